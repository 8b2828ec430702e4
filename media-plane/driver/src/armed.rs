//! The flag by which a receiver that is about to sleep asks to be woken, and the order that keeps a wake from being lost.
//!
//! A sender publishes its item, then calls [`Armed::take`] and wakes the receiver if that was true. A receiver that
//! found nothing calls [`Armed::arm`], looks once more, and sleeps only if there still is nothing. Each of the two
//! writes, fences, and reads what the other writes: of two sequentially consistent fences one is first, so either the
//! sender finds the flag set or the receiver finds the item.

use std::sync::atomic::{AtomicBool, Ordering, fence};

/// `F` is another flag than the standard library's only where the order itself is tested.
#[derive(Debug, Default)]
pub struct Armed<F = AtomicBool>(F);

/// A flag between two threads, and the fence that goes with it.
pub trait Flag {
    fn store(&self, value: bool);

    /// Whether it was set, for one of those who ask.
    fn clear(&self) -> bool;

    fn fence();
}

impl<F: Flag> Armed<F> {
    /// The receiver is about to sleep, and will look once more before it does.
    pub fn arm(&self) {
        self.0.store(true);
        F::fence();
    }

    /// The receiver is awake.
    pub fn disarm(&self) {
        self.0.store(false);
    }

    /// After something was published: true if the receiver must be woken, for one of those who ask.
    pub fn take(&self) -> bool {
        F::fence();
        self.0.clear()
    }
}

impl Flag for AtomicBool {
    fn store(&self, value: bool) {
        self.store(value, Ordering::SeqCst);
    }

    fn clear(&self) -> bool {
        self.compare_exchange(true, false, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    fn fence() {
        fence(Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests;
