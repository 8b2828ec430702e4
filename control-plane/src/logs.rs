//! Logs that never block: a bounded queue and a writer thread; lines that find it full are counted and dropped.

use std::io::{self, Write};
use std::panic;

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// Keeps the writer thread; when it is dropped, what waits is written out.
#[derive(Debug)]
pub struct Logs {
    dropped: ErrorCounter,
    _writer: WorkerGuard,
}

impl Logs {
    /// Lines that were dropped because nobody took them in time.
    pub fn dropped(&self) -> usize {
        self.dropped.dropped_lines()
    }
}

/// Starts logging to stderr, and sends panics there too. `level` is one of LiveKit's levels, or a filter as in
/// `info,control_plane=debug`.
///
/// # Errors
/// A sentence, if `level` is none.
pub fn start(level: &str, json: bool) -> Result<Logs, String> {
    let filter = filter(level)?;
    let (writer, guard) = queue(io::stderr());
    let dropped = writer.error_counter();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let started = if json { builder.json().try_init() } else { builder.with_ansi(false).try_init() };
    started.map_err(|error| format!("cannot start logging: {error}"))?;
    // The default hook writes to stderr itself and would wait for whoever reads it.
    panic::set_hook(Box::new(|information| {
        let thread = std::thread::current();
        tracing::error!(thread = thread.name().unwrap_or_default(), "{information}");
    }));
    Ok(Logs { dropped, _writer: guard })
}

/// A bare level is for us; the libraries below speak up from warnings on, or debugging would be unreadable.
fn filter(level: &str) -> Result<EnvFilter, String> {
    let text = match level {
        "debug" | "trace" => format!("warn,control_plane={level},millrace={level}"),
        other => other.to_owned(),
    };
    EnvFilter::try_new(text).map_err(|error| format!("log level {level:?}: {error}"))
}

fn queue(target: impl Write + Send + 'static) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default().lossy(true).buffered_lines_limit(LINES).thread_name("logs").finish(target)
}

const LINES: usize = 16 * 1024; // ~3 MB of lines
