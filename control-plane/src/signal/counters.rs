//! What happened to signalling connections, counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// One of each for the whole server.
#[derive(Debug, Default)]
pub struct Counters {
    pub opened: Counter,
    pub closed_by_client: Counter,
    pub closed_by_server: Counter,
    pub lost: Counter,
    pub silent: Counter,
    pub slow: Counter,
    pub malformed: Counter,
    pub too_large: Counter,
    pub too_fast: Counter,
    /// Messages of a kind that we do not know: newer clients' business.
    pub unknown_messages: Counter,
    pub refused: Counter,
    pub connections_refused: Counter,
}

#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
