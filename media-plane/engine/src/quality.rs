//! What is told of a stream's quality: what was counted since it was told last.

use crate::event::StreamQuality;

/// Counts since a stream's beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub packets: u64,
    /// Duplicates can make it negative.
    pub lost: i64,
    pub bytes: u64,
}

impl Totals {
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            packets: self.packets + other.packets,
            lost: self.lost + other.lost,
            bytes: self.bytes + other.bytes,
        }
    }

    /// The quality of what came between `before` and `self`.
    #[must_use]
    pub fn since<Id>(self, before: Self, id: Id, rtt_us: u32, jitter_us: u32) -> StreamQuality<Id> {
        StreamQuality {
            id,
            packets: self.packets.saturating_sub(before.packets),
            packets_lost: u64::try_from(self.lost - before.lost).unwrap_or(0),
            bytes: self.bytes.saturating_sub(before.bytes),
            rtt_us,
            jitter_us,
        }
    }
}
