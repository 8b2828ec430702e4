//! How many frames a second a stream brings, with each of its temporal layers.

use core::time::Duration;

use units::time::Instant;

/// Counted over windows of arrival time. What shares a timestamp is one frame.
#[derive(Debug, Default)]
pub struct FrameRate {
    began: Option<Instant>,
    timestamp: Option<u32>,
    frames: [u32; TEMPORAL_LAYERS],
    /// Frames in 1,000 s up to each temporal layer, over the last window.
    rates: Option<[u64; TEMPORAL_LAYERS]>,
}

impl FrameRate {
    /// Notes a packet that arrived in order. Returns whether a window ended with it.
    pub fn observe(&mut self, now: Instant, timestamp: u32, temporal: u8) -> bool {
        if self.timestamp.replace(timestamp) == Some(timestamp) {
            return false;
        }
        let elapsed = now - *self.began.get_or_insert(now);
        let ended = elapsed >= WINDOW;
        if ended {
            // A stream that paused says nothing of its rate.
            if elapsed < WINDOW * 2 {
                self.rates = Some(rates(&self.frames, elapsed));
            }
            self.began = Some(now);
            self.frames = [0; TEMPORAL_LAYERS];
        }
        if let Some(frames) = self.frames.get_mut(usize::from(temporal)) {
            *frames += 1;
        }
        ended
    }

    /// The lowest temporal layer with which there are about so many frames a second; the highest there can be where
    /// that is not known.
    #[must_use]
    pub fn temporal_layer_for(&self, frames_per_second: u32) -> u8 {
        let wanted = u64::from(frames_per_second) * (1_000 - TOLERANCE_PER_MILLE);
        let enough = self.rates.and_then(|rates| rates.iter().position(|rate| *rate >= wanted));
        enough.and_then(|layer| u8::try_from(layer).ok()).unwrap_or(u8::MAX)
    }
}

fn rates(frames: &[u32; TEMPORAL_LAYERS], elapsed: Duration) -> [u64; TEMPORAL_LAYERS] {
    let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    let mut sum = 0;
    frames.map(|frames| {
        sum += u64::from(frames);
        sum * 1_000_000 / milliseconds
    })
}

/// As many as a descriptor can tell apart.
const TEMPORAL_LAYERS: usize = 8;
const WINDOW: Duration = Duration::from_secs(2);
/// How much less than what was asked for is still about as much: as upstream.
const TOLERANCE_PER_MILLE: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    /// Three packets a frame, 30 frames a second, layers as L1T3 has them. Returns how many windows ended.
    fn play(rate: &mut FrameRate, from: u64, frames: u64, layer: impl Fn(u64) -> u8) -> usize {
        let mut ended = 0;
        for frame in from..from + frames {
            let at = Instant(frame * 1_000_000_000 / 30);
            let timestamp = u32::try_from(frame * 3_000).unwrap();
            for _ in 0..3 {
                ended += usize::from(rate.observe(at, timestamp, layer(frame)));
            }
        }
        ended
    }

    fn l1t3(frame: u64) -> u8 {
        [0, 2, 1, 2][(frame % 4) as usize]
    }

    #[test]
    fn lowest_layer_that_brings_about_as_many_frames_is_found() {
        for (name, layer, wanted, expected) in [
            ("a few", l1t3 as fn(u64) -> u8, 1, 0),
            ("a quarter, about", l1t3, 8, 0),
            ("a third", l1t3, 10, 1),
            ("half", l1t3, 15, 1),
            ("more than half", l1t3, 20, 2),
            ("all", l1t3, 30, 2),
            ("more than there are", l1t3, 60, u8::MAX),
            ("no number", l1t3, u32::MAX, u8::MAX),
            ("one layer", |_| 0, 15, 0),
            ("one layer, more", |_| 0, 60, u8::MAX),
            ("a layer that there can't be", |_| 9, 1, u8::MAX),
        ] {
            let mut rate = FrameRate::default();
            assert_eq!(rate.temporal_layer_for(wanted), u8::MAX, "{name}: not known yet");
            assert_eq!(play(&mut rate, 0, 61, layer), 1, "{name}");
            assert_eq!(rate.temporal_layer_for(wanted), expected, "{name}");
        }
    }

    #[test]
    fn rate_follows_the_stream_and_outlasts_its_pauses() {
        let mut rate = FrameRate::default();
        assert_eq!(play(&mut rate, 0, 121, l1t3), 2);
        assert_eq!(rate.temporal_layer_for(15), 1);
        assert_eq!(play(&mut rate, 600, 1, l1t3), 1, "16 s later");
        assert_eq!(rate.temporal_layer_for(15), 1, "what was");
        assert_eq!(play(&mut rate, 601, 120, |_| 0), 2);
        assert_eq!(rate.temporal_layer_for(15), 0, "one layer has it all now");
    }
}
