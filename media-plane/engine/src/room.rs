//! A room: the peers among which packets are forwarded, and what all of them are told.

pub mod publication;
pub mod speakers;
pub mod subscription;

use alloc::vec::Vec;
use core::time::Duration;

use units::handle::{PeerId, PublicationId, RoomId};
use units::time::Instant;

use crate::command::{AudioLevels, RoomSpec};
use crate::slots::Slot;

#[derive(Debug)]
pub struct Room {
    pub id: RoomId,
    pub audio_levels: AudioLevels,
    pub sif_trailer: Vec<u8>,
    pub peers: Vec<Slot<PeerId>>,
    pub publications: Vec<Slot<PublicationId>>,
    /// As told last: loudest first.
    pub speakers: Vec<(PublicationId, f32)>,
    /// Where the next ones are gathered.
    pub speakers_now: Vec<(PublicationId, f32)>,
    pub speakers_at: Instant,
    pub layers_at: Instant,
    pub quality_at: Instant,
}

impl Room {
    #[must_use]
    pub fn new(now: Instant, spec: &RoomSpec) -> Self {
        Self {
            id: spec.id,
            audio_levels: spec.audio_levels,
            sif_trailer: spec.sif_trailer.clone(),
            peers: Vec::new(),
            publications: Vec::new(),
            speakers: Vec::new(),
            speakers_now: Vec::new(),
            speakers_at: now + interval(&spec.audio_levels),
            layers_at: now + LAYERS_INTERVAL,
            quality_at: now + QUALITY_INTERVAL,
        }
    }

    /// When the room has something to do.
    #[must_use]
    pub fn next_at(&self) -> Option<Instant> {
        let next = self.speakers_at.min(self.layers_at).min(self.quality_at);
        (!self.publications.is_empty() || !self.speakers.is_empty()).then_some(next)
    }
}

/// How often speakers are told: at least 50 ms apart.
#[must_use]
pub fn interval(levels: &AudioLevels) -> Duration {
    levels.update_interval.max(Duration::from_millis(50))
}

/// How often to look for layers that ended.
pub const LAYERS_INTERVAL: Duration = Duration::from_millis(500);
/// How often quality is told.
pub const QUALITY_INTERVAL: Duration = Duration::from_secs(5);
