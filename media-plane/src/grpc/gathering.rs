//! Events of one room from several workers, put together so that whoever hears them hears of the whole room.

use std::collections::BTreeMap;

use engine::event::{Event, StreamQuality};
use proto::key::Key;
use units::handle::{PublicationId, SubscriptionId, WorkerIndex};

use crate::resource::Table;

/// Rooms that are on one worker only leave nothing here.
#[derive(Debug, Default)]
pub struct Gathering {
    rooms: BTreeMap<u64, Parts>,
}

#[derive(Debug, Default)]
struct Parts {
    /// As each worker told last.
    speakers: BTreeMap<WorkerIndex, Vec<(PublicationId, f32)>>,
    /// Not told on yet.
    quality: BTreeMap<WorkerIndex, Measured>,
}

#[derive(Debug)]
struct Measured {
    publications: Vec<StreamQuality<PublicationId>>,
    subscriptions: Vec<StreamQuality<SubscriptionId>>,
}

impl Gathering {
    /// The event as it is to be told; `None`: not now, or another worker tells it.
    pub fn take(&mut self, table: &Table, worker: WorkerIndex, event: Event) -> Option<Event> {
        match event {
            Event::SourceStarted { publication, .. } => {
                // Told by its home, which knows the publisher's packets; the others have copies.
                let home = table.worker_of(Key::Publication(publication.0));
                home.is_none_or(|home| home == worker).then_some(event)
            }
            Event::Speakers { room, speakers } => {
                let Some(parts) = self.parts(table, room.0) else {
                    return Some(Event::Speakers { room, speakers });
                };
                parts.speakers.insert(worker, speakers);
                let mut speakers: Vec<_> = parts.speakers.values().flatten().copied().collect();
                speakers.sort_by(|(_, one), (_, other)| other.total_cmp(one));
                Some(Event::Speakers { room, speakers })
            }
            Event::Quality { room, publications, subscriptions } => {
                let workers = table.workers_of_room(room.0);
                let Some(parts) = self.parts(table, room.0) else {
                    return Some(Event::Quality { room, publications, subscriptions });
                };
                let measured = Measured { publications, subscriptions };
                // One that tells again before all have told does not wait for those that have nothing to tell.
                let again = parts.quality.contains_key(&worker);
                let told = again.then(|| std::mem::take(&mut parts.quality));
                parts.quality.insert(worker, measured);
                let is_whole = workers.iter().all(|worker| parts.quality.contains_key(worker));
                let whole = is_whole.then(|| std::mem::take(&mut parts.quality));
                let (mut publications, mut subscriptions) = (Vec::new(), Vec::new());
                for one in told.or(whole)?.into_values() {
                    publications.extend(one.publications);
                    subscriptions.extend(one.subscriptions);
                }
                Some(Event::Quality { room, publications, subscriptions })
            }
            Event::Dtls { .. }
            | Event::Transport { .. }
            | Event::SubscriptionStarted { .. }
            | Event::StreamState { .. } => Some(event),
        }
    }

    pub fn forget_room(&mut self, room: u64) {
        self.rooms.remove(&room);
    }

    /// `None`: the room is on one worker, or gone.
    fn parts(&mut self, table: &Table, room: u64) -> Option<&mut Parts> {
        let workers = table.workers_of_room(room);
        if workers.len() < 2 {
            self.rooms.remove(&room);
            return None;
        }
        let parts = self.rooms.entry(room).or_default();
        parts.speakers.retain(|worker, _| workers.contains(worker));
        parts.quality.retain(|worker, _| workers.contains(worker));
        Some(parts)
    }
}
