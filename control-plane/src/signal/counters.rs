//! What happened to signalling connections, and to those of scrapers, counted.

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
    pub too_many_bytes: Counter,
    /// Messages of a kind that we do not know: newer clients' business.
    pub unknown_messages: Counter,
    /// Messages that have no form in the client's format.
    pub unwritable: Counter,
    pub refused: Counter,
    pub connections_refused: Counter,
    /// Scrapers beyond those that may come at once: no row of signalling's.
    pub scrapes_refused: Counter,
}

impl Counters {
    /// Every counter of signalling by its name.
    #[must_use]
    pub fn rows(&self) -> Vec<(&'static str, u64)> {
        [
            ("opened", &self.opened),
            ("closed_by_client", &self.closed_by_client),
            ("closed_by_server", &self.closed_by_server),
            ("lost", &self.lost),
            ("silent", &self.silent),
            ("slow", &self.slow),
            ("malformed", &self.malformed),
            ("too_large", &self.too_large),
            ("too_fast", &self.too_fast),
            ("too_many_bytes", &self.too_many_bytes),
            ("unknown_messages", &self.unknown_messages),
            ("unwritable", &self.unwritable),
            ("refused", &self.refused),
            ("connections_refused", &self.connections_refused),
        ]
        .map(|(name, counter)| (name, counter.value()))
        .to_vec()
    }
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
