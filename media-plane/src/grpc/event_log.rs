//! Events that were told, kept for a control plane that attaches again.

use std::collections::{BTreeMap, VecDeque};

use proto::media::v1::{Event, event};

use crate::grpc::attachment::OUTGOING;

#[derive(Debug, Default)]
pub struct EventLog {
    last_sequence: u64,
    kept: VecDeque<Event>,
    /// The last of each room: an older one means nothing any more.
    speakers: BTreeMap<u64, Event>,
}

impl EventLog {
    /// Gives an event its sequence number and keeps it, if it will still mean something later.
    pub fn record(&mut self, room: u64, event: event::Event) -> Event {
        self.last_sequence += 1;
        let event = Event { sequence: self.last_sequence, room, event: Some(event) };
        match event.event {
            // Measured over an interval that is over.
            Some(event::Event::Quality(_)) => {}
            Some(event::Event::Speakers(_)) => {
                self.speakers.insert(room, event.clone());
            }
            _ => {
                if self.kept.len() == KEPT_MAX {
                    self.kept.pop_front();
                }
                self.kept.push_back(event.clone());
            }
        }
        event
    }

    pub fn forget_room(&mut self, room: u64) {
        self.speakers.remove(&room);
    }

    #[must_use]
    pub const fn last_sequence(&self) -> u64 {
        self.last_sequence
    }

    /// What is kept of the events after `seen`, in order.
    #[must_use]
    pub fn after(&self, seen: u64) -> Vec<Event> {
        let later = |event: &&Event| event.sequence > seen;
        let mut events: Vec<Event> = self.speakers.values().filter(later).cloned().collect();
        events.sort_by_key(|event| event.sequence);
        // Who speaks in the other rooms is told with the next change.
        events.drain(..events.len().saturating_sub(SPEAKERS_MAX));
        events.extend(self.kept.iter().filter(later).cloned());
        events.sort_by_key(|event| event.sequence);
        events
    }
}

/// Both together fit into what may wait for a control plane, or it could never attach again.
const KEPT_MAX: usize = OUTGOING / 2;
const SPEAKERS_MAX: usize = OUTGOING / 4;

#[cfg(test)]
mod tests {
    use proto::media::v1::{DataReady, Quality, Speakers};

    use super::*;

    fn ready(route: u64) -> event::Event {
        event::Event::DataReady(DataReady { route })
    }

    #[test]
    fn later_events_are_told_again_in_order() {
        let mut log = EventLog::default();
        log.record(1, ready(1));
        log.record(1, event::Event::Speakers(Speakers::default()));
        log.record(1, event::Event::Quality(Quality::default()));
        log.record(2, event::Event::Speakers(Speakers::default()));
        log.record(1, event::Event::Speakers(Speakers::default()));
        log.record(2, ready(2));
        let sequences = |seen| log.after(seen).iter().map(|event| event.sequence).collect::<Vec<_>>();
        assert_eq!(sequences(0), [1, 4, 5, 6], "without measurements and outdated speakers");
        assert_eq!(sequences(5), [6]);
        assert_eq!(sequences(6), [0; 0]);
        assert_eq!(log.last_sequence(), 6);
    }

    #[test]
    fn no_more_is_kept_than_the_bound() {
        let mut log = EventLog::default();
        for route in 0..KEPT_MAX as u64 + 10 {
            log.record(1, ready(route));
        }
        let kept = log.after(0);
        assert_eq!(kept.len(), KEPT_MAX);
        assert_eq!(kept[0].sequence, 11);
    }

    #[test]
    fn what_is_told_again_fits_into_the_stream() {
        let mut log = EventLog::default();
        for room in 0..2 * OUTGOING as u64 {
            log.record(room, event::Event::Speakers(Speakers::default()));
            log.record(room, ready(room));
        }
        let told = log.after(0);
        assert!(told.len() < OUTGOING, "{}", told.len());
        assert_eq!(told.last().map(|event| event.sequence), Some(log.last_sequence()));
        assert!(told.is_sorted_by_key(|event| event.sequence));
    }
}
