//! What a worker is told by the hub, and what it answers.

use driver::relays::{Incoming, Outgoing};
use engine::command::{Command, Refusal};
use engine::event::Event;
use tokio::sync::oneshot;
use units::handle::WorkerIndex;
use units::histogram::Histogram;

/// From the hub. Each `Command` is answered by one [`Report::Done`], in order.
#[derive(Debug)]
pub enum Order {
    Command(Command),
    /// From now on packets go to another worker, and come from there. Not answered.
    Link(Box<Link>),
    Counters(oneshot::Sender<Counted>),
    Stop,
    /// As if the engine did.
    #[cfg(test)]
    Panic,
}

/// A worker's ends of the rings between it and another one.
#[derive(Debug)]
pub struct Link {
    pub with: WorkerIndex,
    pub outgoing: Box<Outgoing>,
    pub incoming: Box<Incoming>,
}

/// What a worker counted until now.
#[derive(Debug, Default)]
pub struct Counted {
    pub counters: Vec<(&'static str, u64)>,
    pub histograms: Vec<(&'static str, Histogram)>,
}

/// To the hub.
#[derive(Debug)]
pub enum Report {
    Done(Outcome),
    /// Anything but a DTLS record, which goes to the helper.
    Event(Event),
    /// The engine was given up after repeated panics and replaced: it has no resources any more.
    Rebuilt,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Applied,
    Refused(Refusal),
    Panicked,
}

/// Commands of the hub that may be unanswered at once. The ring for reports has room for so many answers beyond
/// its events, so an answer never finds it full.
pub const UNANSWERED_MAX: usize = 2048;
/// Orders beside commands (stop, counters, links) find room beyond that.
pub const ORDERS: usize = UNANSWERED_MAX + 64;
/// Events wait in what is left.
pub const REPORTS: usize = UNANSWERED_MAX + 8192;
/// Keys and DTLS records of the helper.
pub const HELPER_COMMANDS: usize = 4096;
