//! What waits for one URL: in order within a room, rooms independent of each other, within bounds.
//!
//! Pure: it is told what happened and what time it is, and says what to deliver next.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::config::webhook::Bounds;
use crate::room::clock::Time;

/// An undelivered event, by its number in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub number: u64,
    pub len: u64,
    pub at: Time,
}

/// What to deliver now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub room: Arc<str>,
    pub number: u64,
    /// Events of this room that were given up since the last one that was delivered.
    pub dropped: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Delivered,
    /// Nobody answered, or too late, or that it should be tried again.
    Failed,
    /// The receiver does not want it as it is.
    Rejected,
}

/// Why an event is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drop {
    Depth,
    Bytes,
    Age,
    Rejected,
}

#[derive(Debug, Default)]
pub struct Line {
    rooms: HashMap<Arc<str>, Room>,
    /// Everything that waits, oldest first.
    order: BTreeMap<u64, Arc<str>>,
    /// Rooms whose first event may go at once; some that are not `Ready` any more.
    ready: VecDeque<Arc<str>>,
    /// Rooms whose first event failed, and when it is tried again.
    resting: BTreeSet<(Time, Arc<str>)>,
    bytes: u64,
    under_way: usize,
    /// Of those, how many failed before.
    retries: usize,
}

#[derive(Debug, Default)]
struct Room {
    waiting: VecDeque<Waiting>,
    place: Place,
    /// Of the first event.
    failures: u32,
    dropped: i32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Nothing waits.
    #[default]
    Empty,
    Ready,
    Resting(Time),
    UnderWay,
}

impl Line {
    /// Another event. Gives those that have to go for it.
    pub fn push(
        &mut self,
        room: &str,
        waiting: Waiting,
        bounds: &Bounds,
        bytes_max: u64,
    ) -> Vec<(u64, Drop)> {
        let room =
            self.rooms.get_key_value(room).map_or_else(|| Arc::from(room), |(room, _)| Arc::clone(room));
        let entry = self.rooms.entry(Arc::clone(&room)).or_default();
        if entry.place == Place::Empty {
            entry.place = Place::Ready;
            self.ready.push_back(Arc::clone(&room));
        }
        entry.waiting.push_back(waiting);
        let depth = entry.waiting.len();
        self.order.insert(waiting.number, Arc::clone(&room));
        self.bytes += waiting.len;
        let mut dropped = Vec::new();
        if depth > bounds.max_depth.max(1) {
            dropped.extend(self.drop_oldest_of(&room).map(|number| (number, Drop::Depth)));
        }
        while self.bytes > bytes_max {
            let Some(number) = self.drop_oldest() else { break };
            dropped.push((number, Drop::Bytes));
        }
        dropped
    }

    /// So many events of a room never got here: its next one tells.
    pub fn lost(&mut self, room: &str, count: i32) {
        if let Some(entry) = self.rooms.get_mut(room) {
            entry.dropped = entry.dropped.saturating_add(count);
        }
    }

    /// Gives up what is too old.
    pub fn expire(&mut self, now: Time, max_age: Duration) -> Vec<(u64, Drop)> {
        let mut dropped = Vec::new();
        let mut skipped = None;
        loop {
            let from = skipped.map_or(0, |number| number + 1);
            let Some((&number, room)) = self.order.range(from..).next() else { return dropped };
            let room = Arc::clone(room);
            let Some((index, waiting, under_way)) = self.find(&room, number) else { return dropped };
            if now.since(waiting.at) <= max_age {
                return dropped;
            }
            if under_way {
                skipped = Some(number);
            } else {
                self.give_up(&room, index);
                dropped.push((number, Drop::Age));
            }
        }
    }

    /// What may go now. Rooms whose events fail take at most half of the places.
    pub fn next(&mut self, now: Time) -> Option<Job> {
        if self.under_way >= UNDER_WAY_MAX {
            return None;
        }
        let due = self.resting.first().filter(|(due, _)| *due <= now && self.retries < RETRIES_MAX).cloned();
        let room = match due {
            Some(due) => {
                self.resting.remove(&due);
                due.1
            }
            None => self.next_ready()?,
        };
        let entry = self.rooms.get_mut(&room)?;
        let number = entry.waiting.front()?.number;
        entry.place = Place::UnderWay;
        self.under_way += 1;
        self.retries += usize::from(entry.failures > 0);
        let dropped = entry.dropped;
        Some(Job { room, number, dropped })
    }

    /// What became of a delivery. `chance` is from 0 to 1. Gives the event if it is given up.
    pub fn done(&mut self, job: &Job, outcome: Outcome, now: Time, chance: f64) -> Option<(u64, Drop)> {
        let entry = self.rooms.get_mut(&job.room).filter(|entry| entry.place == Place::UnderWay)?;
        let failed_before = entry.failures > 0;
        self.under_way -= 1;
        self.retries -= usize::from(failed_before);
        match outcome {
            Outcome::Delivered => {
                // Those that were given up meanwhile are for the next one to tell.
                entry.dropped = entry.dropped.saturating_sub(job.dropped);
                self.remove(&job.room, 0);
                if failed_before {
                    self.wake_one(now);
                }
                None
            }
            Outcome::Rejected if entry.failures + 1 >= REJECTIONS_MAX => {
                self.give_up(&job.room, 0);
                Some((job.number, Drop::Rejected))
            }
            Outcome::Failed | Outcome::Rejected => {
                entry.failures = entry.failures.saturating_add(1);
                let due = now.after(pause(entry.failures, chance));
                entry.place = Place::Resting(due);
                self.resting.insert((due, Arc::clone(&job.room)));
                None
            }
        }
    }

    /// When `next` may give something although nothing else happens.
    #[must_use]
    pub fn next_due(&self) -> Option<Time> {
        let possible = self.under_way < UNDER_WAY_MAX && self.retries < RETRIES_MAX;
        self.resting.first().filter(|_| possible).map(|(due, _)| *due)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    #[must_use]
    pub fn depth(&self, room: &str) -> usize {
        self.rooms.get(room).map_or(0, |entry| entry.waiting.len())
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Everything is given up.
    pub fn clear(&mut self) -> Vec<u64> {
        let numbers = self.order.keys().copied().collect();
        *self = Self::default();
        numbers
    }

    fn next_ready(&mut self) -> Option<Arc<str>> {
        while let Some(room) = self.ready.pop_front() {
            if self.rooms.get(&room).is_some_and(|entry| entry.place == Place::Ready) {
                return Some(room);
            }
        }
        None
    }

    /// The receiver is back: one more that waits for it need not wait longer. So a line gathers speed again.
    fn wake_one(&mut self, now: Time) {
        let Some(rested) = self.resting.first().filter(|(due, _)| *due > now).cloned() else { return };
        self.resting.remove(&rested);
        if let Some(entry) = self.rooms.get_mut(&rested.1) {
            entry.place = Place::Resting(now);
            self.resting.insert((now, rested.1));
        }
    }

    /// Where an event stands in its room, and whether it is being delivered.
    fn find(&self, room: &Arc<str>, number: u64) -> Option<(usize, Waiting, bool)> {
        let entry = self.rooms.get(room)?;
        let (index, waiting) = entry.waiting.iter().enumerate().find(|(_, one)| one.number == number)?;
        Some((index, *waiting, index == 0 && entry.place == Place::UnderWay))
    }

    fn drop_oldest(&mut self) -> Option<u64> {
        let oldest = self.order.iter().take(UNDER_WAY_MAX + 1).find_map(|(number, room)| {
            let (index, _, under_way) = self.find(room, *number)?;
            (!under_way).then(|| (*number, Arc::clone(room), index))
        });
        let (number, room, index) = oldest?;
        self.give_up(&room, index);
        Some(number)
    }

    fn drop_oldest_of(&mut self, room: &Arc<str>) -> Option<u64> {
        let entry = self.rooms.get(room)?;
        let index = usize::from(entry.place == Place::UnderWay);
        let number = entry.waiting.get(index)?.number;
        self.give_up(room, index);
        Some(number)
    }

    fn give_up(&mut self, room: &Arc<str>, index: usize) {
        if let Some(entry) = self.rooms.get_mut(room) {
            entry.dropped = entry.dropped.saturating_add(1);
        }
        self.remove(room, index);
    }

    /// Takes an event out. If it was the first, the next one may go at once.
    fn remove(&mut self, room: &Arc<str>, index: usize) {
        let Some(entry) = self.rooms.get_mut(room) else { return };
        let Some(waiting) = entry.waiting.remove(index) else { return };
        self.order.remove(&waiting.number);
        self.bytes = self.bytes.saturating_sub(waiting.len);
        if index > 0 {
            return;
        }
        entry.failures = 0;
        if let Place::Resting(due) = entry.place {
            self.resting.remove(&(due, Arc::clone(room)));
        }
        if !entry.waiting.is_empty() {
            if entry.place != Place::Ready {
                entry.place = Place::Ready;
                self.ready.push_back(Arc::clone(room));
            }
            return;
        }
        entry.place = Place::Empty;
        // What was given up is remembered for the room's next event, but not for ever more rooms.
        if entry.dropped == 0 || self.rooms.len() > ROOMS_REMEMBERED_MAX {
            self.rooms.remove(room);
        }
    }
}

/// Half a second at first, and twice as long each time; spread, for receivers that come back meet everybody at once.
fn pause(failures: u32, chance: f64) -> Duration {
    let longest = PAUSE_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(PAUSE_MAX);
    longest.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
}

const PAUSE_FIRST: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Deliveries to one URL at a time.
const UNDER_WAY_MAX: usize = 16;
const RETRIES_MAX: usize = UNDER_WAY_MAX / 2;
/// A receiver that says no so often, over a minute or so, means it.
const REJECTIONS_MAX: u32 = 8;
const ROOMS_REMEMBERED_MAX: usize = 4_096;

#[cfg(test)]
mod tests;
