//! What is counted over all rooms: who is here, and what was refused.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use livekit_protocol::TrackType;

use crate::room::effect::Refused;
use crate::room::state::Room;

/// What there is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub rooms: usize,
    pub participants: usize,
    /// WebSockets that belong to a participant.
    pub connections: usize,
    pub tracks: usize,
    /// Of those.
    pub video_tracks: usize,
    pub subscriptions: usize,
}

/// One room's part, written by its actor and read by whoever counts.
#[derive(Debug, Default)]
pub struct Tally {
    participants: AtomicUsize,
    connections: AtomicUsize,
    tracks: AtomicUsize,
    video_tracks: AtomicUsize,
    subscriptions: AtomicUsize,
}

impl Tally {
    pub fn set(&self, room: &Room) {
        let subscriptions =
            room.participants.values().map(|participant| participant.subscriptions.len()).sum();
        self.participants.store(room.participants.len(), Ordering::Relaxed);
        self.connections.store(room.connections.len(), Ordering::Relaxed);
        self.tracks.store(room.tracks.len(), Ordering::Relaxed);
        let videos = room.tracks.values().filter(|track| track.record.info.r#type() == TrackType::Video);
        self.video_tracks.store(videos.count(), Ordering::Relaxed);
        self.subscriptions.store(subscriptions, Ordering::Relaxed);
    }

    pub fn add_to(&self, counts: &mut Counts) {
        counts.rooms += 1;
        counts.participants += self.participants.load(Ordering::Relaxed);
        counts.connections += self.connections.load(Ordering::Relaxed);
        counts.tracks += self.tracks.load(Ordering::Relaxed);
        counts.video_tracks += self.video_tracks.load(Ordering::Relaxed);
        counts.subscriptions += self.subscriptions.load(Ordering::Relaxed);
    }
}

/// Joins since the start.
#[derive(Debug, Default)]
pub struct Joins {
    done: AtomicU64,
    failed: AtomicU64,
}

impl Joins {
    pub fn count(&self, done: bool) {
        let counter = if done { &self.done } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Done, and failed.
    #[must_use]
    pub fn read(&self) -> (u64, u64) {
        (self.done.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }
}

/// How often each thing was refused since the start.
#[derive(Debug, Default)]
pub struct Refusals {
    counters: [AtomicU64; Refused::ALL.len()],
}

impl Refusals {
    pub fn count(&self, refused: Refused) {
        let position = Refused::ALL.iter().position(|one| *one == refused);
        if let Some(counter) = position.and_then(|position| self.counters.get(position)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[must_use]
    pub fn read(&self) -> Vec<(&'static str, u64)> {
        let values = self.counters.iter().map(|counter| counter.load(Ordering::Relaxed));
        Refused::ALL.iter().map(|refused| refused.name()).zip(values).collect()
    }
}
