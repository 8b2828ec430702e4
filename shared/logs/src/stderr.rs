//! Lines to standard error, by a bounded queue and a writer thread; those that find it full are counted and dropped.

use std::fmt;
use std::io::{self, Write};
use std::panic;
use std::sync::Arc;

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, reload};

/// Keeps the writer thread; when it is dropped, what waits is written out.
#[derive(Debug)]
pub struct Logs {
    dropped: ErrorCounter,
    filter: Filter,
    _writer: WorkerGuard,
}

impl Logs {
    /// Lines that were dropped because nobody took them in time.
    #[must_use]
    pub fn dropped(&self) -> ErrorCounter {
        self.dropped.clone()
    }

    #[must_use]
    pub fn filter(&self) -> Filter {
        self.filter.clone()
    }
}

/// What is logged, which may change at any time.
#[derive(Clone)]
pub struct Filter(Arc<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>);

impl Filter {
    /// # Errors
    /// A sentence, if `filter` is none; then nothing has changed.
    pub fn set(&self, filter: &str) -> Result<(), String> {
        (self.0)(parse(filter)?).map_err(|error| format!("cannot change what is logged: {error}"))
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Filter").finish_non_exhaustive()
    }
}

/// Starts logging, and sends panics there too.
///
/// # Errors
/// A sentence, if `filter` is none.
pub fn start(filter: &str, json: bool) -> Result<Logs, String> {
    let directives = parse(filter)?;
    let (writer, guard) = queue(io::stderr());
    let dropped = writer.error_counter();
    let builder = tracing_subscriber::fmt().with_env_filter(directives).with_writer(writer);
    let (filter, started) = if json {
        let builder = builder.json().with_filter_reloading();
        let handle = builder.reload_handle();
        (Filter(Arc::new(move |filter| handle.reload(filter))), builder.try_init())
    } else {
        let builder = builder.with_ansi(false).with_filter_reloading();
        let handle = builder.reload_handle();
        (Filter(Arc::new(move |filter| handle.reload(filter))), builder.try_init())
    };
    started.map_err(|error| format!("cannot start logging: {error}"))?;
    // The default hook writes to stderr itself and would wait for whoever reads it.
    panic::set_hook(Box::new(|information| {
        let thread = std::thread::current();
        tracing::error!(thread = thread.name().unwrap_or_default(), "{information}");
    }));
    Ok(Logs { dropped, filter, _writer: guard })
}

/// Whether something can be logged by it.
///
/// # Errors
/// A sentence, if it is none.
pub fn check(filter: &str) -> Result<(), String> {
    parse(filter).map(|_| ())
}

fn parse(filter: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(directives(filter)).map_err(|error| format!("log level {filter:?}: {error}"))
}

/// A mere `debug` is for our own crates: with every library's, nobody could read it. Anything longer is taken as it is.
fn directives(filter: &str) -> String {
    match filter.to_ascii_lowercase().as_str() {
        level @ ("debug" | "trace") => {
            OUR_CRATES.iter().fold("info".into(), |all: String, ours| format!("{all},{ours}={level}"))
        }
        _ => filter.into(),
    }
}

fn queue(target: impl Write + Send + 'static) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default().lossy(true).buffered_lines_limit(LINES).thread_name("logs").finish(target)
}

const LINES: usize = 16 * 1024; // ~3 MB of lines
/// Those that log something.
const OUR_CRATES: [&str; 6] =
    ["control_plane", "millrace", "media_plane", "millrace_media", "engine", "driver"];

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    use super::*;

    /// A pipe that nobody reads.
    struct Stuck(mpsc::Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stopped_does_not_stop_us() {
        let (release, stuck) = mpsc::channel();
        let (mut writer, guard) = queue(Stuck(stuck));
        let start = Instant::now();
        for _ in 0..LINES + 1_000 {
            writer.write_all(b"line\n").unwrap();
        }
        assert!(start.elapsed() < Duration::from_secs(5));
        assert!(writer.error_counter().dropped_lines() >= 900);
        drop(release);
        drop(guard);
    }

    #[test]
    fn libraries_are_quiet_at_a_mere_level() {
        let ours = |level: &str| {
            format!(
                "info,control_plane={level},millrace={level},media_plane={level},millrace_media={level},\
                 engine={level},driver={level}"
            )
        };
        for (filter, expected) in [
            ("info", "info".to_owned()),
            ("Debug", ours("debug")),
            ("trace", ours("trace")),
            ("info,h2=trace", "info,h2=trace".to_owned()),
        ] {
            assert_eq!(directives(filter), expected);
            assert!(EnvFilter::try_new(directives(filter)).is_ok(), "{filter}");
        }
    }
}
