//! A ring's sending end for items that must arrive: what does not fit waits on the sender's side.

use std::collections::VecDeque;

use crate::mailbox::{Bell, Sender};

#[derive(Debug)]
pub struct Lane<T, B> {
    sender: Sender<T, B>,
    waiting: VecDeque<T>,
    dropped: u64,
}

impl<T, B: Bell> Lane<T, B> {
    #[must_use]
    pub const fn new(sender: Sender<T, B>) -> Self {
        Self { sender, waiting: VecDeque::new(), dropped: 0 }
    }

    /// Keeps the order of everything that was put before.
    pub fn put(&mut self, item: T) {
        self.advance();
        if self.waiting.is_empty() {
            if let Err(item) = self.sender.push(item) {
                self.waiting.push_back(item);
            }
        } else if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(item);
        } else {
            self.dropped += 1;
        }
    }

    /// For what is sent again anyway: dropped and counted if it would have to wait.
    pub fn put_or_drop(&mut self, item: T) {
        self.advance();
        if !self.waiting.is_empty() || self.sender.push(item).is_err() {
            self.dropped += 1;
        }
    }

    /// Moves what waits into the ring, and rings. True if something still waits.
    pub fn flush(&mut self) -> bool {
        self.advance();
        self.sender.ring();
        !self.waiting.is_empty()
    }

    /// Items that were dropped since the last call.
    pub const fn take_dropped(&mut self) -> u64 {
        std::mem::replace(&mut self.dropped, 0)
    }

    fn advance(&mut self) {
        while let Some(item) = self.waiting.pop_front() {
            if let Err(item) = self.sender.push(item) {
                self.waiting.push_front(item);
                return;
            }
        }
    }
}

/// Keys and an ending for every peer that a worker may have, and again.
const WAITING_MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::{TaskBell, ring};

    #[test]
    fn what_must_arrive_arrives_in_order() {
        let (sender, mut receiver) = ring(2, TaskBell::default());
        let mut lane = Lane::new(sender);
        for item in 0..5 {
            lane.put(item);
        }
        lane.put_or_drop(99);
        assert_eq!(lane.take_dropped(), 1);
        let (mut seen, mut waits) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            seen.extend(std::iter::from_fn(|| receiver.pop()));
            waits.push(lane.flush());
        }
        assert_eq!(waits, [true, false, false]);
        lane.put_or_drop(5);
        seen.extend(std::iter::from_fn(|| receiver.pop()));
        assert_eq!(seen, [0, 1, 2, 3, 4, 5]);
        assert_eq!(lane.take_dropped(), 0);
    }
}
