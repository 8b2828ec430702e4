//! Where rooms and publications are beside their own worker: wherever a peer of the room lives, or a subscriber.

use std::collections::BTreeMap;

use proto::key::Key;
use units::handle::WorkerIndex;

/// Counts what brings a room or a publication to a worker that is not its own.
#[derive(Debug, Default)]
pub struct Presence {
    counts: BTreeMap<(Key, WorkerIndex), u32>,
}

impl Presence {
    /// True if it was not there before.
    pub fn begin(&mut self, key: Key, worker: WorkerIndex) -> bool {
        let count = self.counts.entry((key, worker)).or_default();
        *count += 1;
        *count == 1
    }

    /// True if nothing there needs it any more.
    pub fn end(&mut self, key: Key, worker: WorkerIndex) -> bool {
        let Some(count) = self.counts.get_mut(&(key, worker)) else { return false };
        *count -= 1;
        if *count > 0 {
            return false;
        }
        self.counts.remove(&(key, worker));
        true
    }

    /// Forgets everything about it; tells where it was.
    pub fn forget(&mut self, key: Key) -> Vec<WorkerIndex> {
        let workers: Vec<WorkerIndex> = self.of(key).collect();
        for worker in &workers {
            self.counts.remove(&(key, *worker));
        }
        workers
    }

    #[must_use]
    pub fn is_at(&self, key: Key, worker: WorkerIndex) -> bool {
        self.counts.contains_key(&(key, worker))
    }

    /// The workers beside its own.
    pub fn of(&self, key: Key) -> impl Iterator<Item = WorkerIndex> {
        let (first, last) = ((key, WorkerIndex(0)), (key, WorkerIndex(u16::MAX)));
        self.counts.range(first..=last).map(|((_, worker), _)| *worker)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_there_from_the_first_need_to_the_last() {
        let (key, one, two) = (Key::Publication(1), WorkerIndex(1), WorkerIndex(2));
        let mut presence = Presence::default();
        assert!(presence.begin(key, one), "the first");
        assert!(!presence.begin(key, one), "the second");
        assert!(presence.begin(key, two), "elsewhere");
        assert!(presence.begin(Key::Publication(2), one), "another");
        assert_eq!(presence.of(key).collect::<Vec<_>>(), [one, two]);
        assert!(!presence.end(key, one));
        assert!(presence.is_at(key, one));
        assert!(presence.end(key, one), "the last");
        assert!(!presence.end(key, one), "once more");
        assert_eq!(presence.forget(key), [two]);
        assert!(presence.end(Key::Publication(2), one));
        assert!(presence.is_empty());
    }
}
