//! The helper thread: DTLS, SCTP and data routing, off the packet cores.
//!
//! `Helper` is a state machine without clock and thread; `thread::spawn` runs it.

pub mod counters;
pub mod input;
pub mod output;
pub mod queue;
pub mod thread;

use std::time::Instant;

use crate::dtls::Implementation;
use crate::dtls::certificate::Certificate;
use crate::helper::counters::Counters;
use crate::helper::input::Input;
use crate::helper::output::Sink;
use crate::helper::queue::Datagram;

#[derive(Clone, Debug)]
pub struct Config {
    pub dtls: Implementation,
    pub certificate: Certificate,
}

#[derive(Debug)]
pub struct Helper {
    counters: Counters,
}

impl Helper {
    #[must_use]
    pub fn new(_config: Config) -> Self {
        Self { counters: Counters::default() }
    }

    pub fn order(&mut self, _now: Instant, _order: Input, _sink: &mut impl Sink) {}

    pub fn datagram(&mut self, _now: Instant, _datagram: Datagram, _sink: &mut impl Sink) {
        self.counters.dropped_unknown_peer += 1;
    }

    /// Timers and whatever waits to be sent.
    pub fn tick(&mut self, _now: Instant, _sink: &mut impl Sink) {}

    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        None
    }

    pub const fn add_ring_full(&mut self, dropped: u64) {
        self.counters.dropped_ring_full += dropped;
    }
}
