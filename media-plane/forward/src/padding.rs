//! Numbers of packets that we make ourselves: they go on where the stream stands, and end on frame boundaries.

use units::sequence::Seq;

use crate::rewrite::Rewrite;

/// How packets of our own follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spacing {
    pub clock_rate: u32,
    /// 0: all have the timestamp of what was sent last.
    pub frames_per_second: u32,
}

impl Spacing {
    /// Ticks until the beginning of frame `count`, rounded up.
    #[must_use]
    pub fn ticks(self, count: u32) -> u32 {
        let ticks = u64::from(count) * u64::from(self.clock_rate);
        // Modulo 2^32 as all timestamps are.
        #[expect(clippy::cast_possible_truncation, reason = "modulo 2^32 is the point")]
        let ticks = ticks.div_ceil(u64::from(self.frames_per_second).max(1)) as u32;
        ticks
    }
}

/// The numbers of consecutive packets of our own.
#[derive(Clone, Debug)]
pub struct Run {
    sequence: Seq,
    /// Of what was sent before.
    timestamp: u32,
    /// What the frames are counted from.
    base: u32,
    spacing: Spacing,
    /// The first packet is the last one of the frame before it.
    closes_frame: bool,
    given: u32,
    count: u32,
}

impl Run {
    /// `count` packets from `sequence` on. The frame before them has `sent` for its timestamp, and theirs follow `base`.
    #[must_use]
    pub fn new(
        sequence: Seq,
        sent: u32,
        base: u32,
        spacing: Spacing,
        closes_frame: bool,
        count: u16,
    ) -> Self {
        Self { sequence, timestamp: sent, base, spacing, closes_frame, given: 0, count: count.into() }
    }

    /// The timestamp that packet `index` has, the one before it having that of `self`.
    fn next_timestamp(&self) -> u32 {
        if self.spacing.frames_per_second == 0 || self.closes_frame && self.given == 0 {
            return self.timestamp;
        }
        let frames = self.given + u32::from(!self.closes_frame);
        let timestamp = self.base.wrapping_add(self.spacing.ticks(frames));
        let is_after = timestamp.wrapping_sub(self.timestamp).cast_signed() > 0;
        if is_after { timestamp } else { self.timestamp.wrapping_add(1) }
    }
}

impl Iterator for Run {
    type Item = Rewrite;

    fn next(&mut self) -> Option<Rewrite> {
        if self.given == self.count {
            return None;
        }
        let rewrite = Rewrite {
            sequence: Seq(self.sequence.0 + u64::from(self.given)),
            timestamp: self.next_timestamp(),
            marker: self.closes_frame && self.given == 0,
            patch: None,
            descriptor: None,
        };
        self.timestamp = rewrite.timestamp;
        self.given += 1;
        Some(rewrite)
    }
}

/// Why there is no padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotPadded {
    /// Nothing was sent that it could follow.
    NotStarted,
    /// The frame that was sent last is not complete.
    InsideFrame,
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn numbers_go_on_and_timestamps_step_by_frames() {
        let five_of_ten = Spacing { clock_rate: 10, frames_per_second: 5 };
        let three_of_ten = Spacing { clock_rate: 10, frames_per_second: 3 };
        let twenty_of_ten = Spacing { clock_rate: 10, frames_per_second: 20 };
        let none = Spacing { clock_rate: 10, frames_per_second: 0 };
        for (name, spacing, closes_frame, base, expected) in [
            ("between frames", five_of_ten, false, 100, [102, 104, 106, 108]),
            ("inside of a frame: its timestamp first", five_of_ten, true, 100, [100, 102, 104, 106]),
            ("steps are rounded up", three_of_ten, false, 100, [104, 107, 110, 114]),
            ("later, as time passed", five_of_ten, false, 150, [152, 154, 156, 158]),
            ("inside of a frame, later", five_of_ten, true, 150, [100, 152, 154, 156]),
            ("base before what was sent", five_of_ten, false, 97, [101, 102, 103, 105]),
            ("more frames than ticks", twenty_of_ten, false, 100, [101, 102, 103, 104]),
            ("no frames", none, false, 100, [100; 4]),
            ("no frames, inside of one", none, true, 100, [100; 4]),
        ] {
            let run = Run::new(Seq(7), 100, base, spacing, closes_frame, 4);
            let told: Vec<_> =
                run.map(|rewrite| (rewrite.sequence.0, rewrite.timestamp, rewrite.marker)).collect();
            let marker = |index| closes_frame && index == 0;
            let expected: Vec<_> =
                (0..4).map(|index| (7 + index as u64, expected[index], marker(index))).collect();
            assert_eq!(told, expected, "{name}");
        }
        assert_eq!(Run::new(Seq(7), 100, 100, five_of_ten, false, 0).count(), 0, "none wanted");
        let wrapping = Run::new(Seq(0xffff), u32::MAX, u32::MAX, five_of_ten, false, 2);
        let told: Vec<_> = wrapping.map(|rewrite| (rewrite.sequence.0, rewrite.timestamp)).collect();
        assert_eq!(told, [(0xffff, 1), (0x1_0000, 3)], "over the wrap");
    }
}
