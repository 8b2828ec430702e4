//! SIGTERM and SIGINT, one after the other, and SIGHUP beside them.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// From the moment it is made, neither ends the process by itself.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// # Errors
    /// A sentence, if the system refuses.
    pub fn listen() -> Result<Self, String> {
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// The name of the next one.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// SIGHUP, which does not end the process from now on.
///
/// # Errors
/// A sentence, if the system refuses.
pub fn hangup() -> Result<Signal, String> {
    listen(SignalKind::hangup())
}

fn listen(kind: SignalKind) -> Result<Signal, String> {
    signal(kind).map_err(|error| format!("cannot listen for signals: {error}"))
}
