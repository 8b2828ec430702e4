//! Who speaks: levels of RFC 6464 smoothed over intervals, as livekit-server 1.13.5 does it (`sfu/audio/audiolevel.go`).

use core::time::Duration;

use units::time::Instant;

use crate::command::AudioLevels;

/// The loudness of one audio publication.
#[derive(Debug, Default)]
pub struct Speaker {
    observed: Duration,
    active: Duration,
    /// Of the packets that were speech; dB below overload, so the smallest is the loudest.
    loudest: u8,
    smoothed: f64,
    heard_at: Instant,
}

impl Speaker {
    /// Learns a packet's level (dB below overload, 0 to 127) that covers `duration`.
    pub fn observe(&mut self, now: Instant, level: u8, duration: Duration, rules: &AudioLevels) {
        if self.is_stale(now, rules) {
            *self = Self::default();
        }
        self.heard_at = now;
        self.observed += duration;
        if level <= rules.active_level {
            self.loudest = if self.active.is_zero() { level } else { self.loudest.min(level) };
            self.active += duration;
        }
        if self.observed >= rules.update_interval {
            self.close_interval(rules);
        }
    }

    /// Forgets what was heard: the publication was muted.
    pub fn silence(&mut self) {
        *self = Self::default();
    }

    /// The smoothed level from 0 to 1 in eighths, if this is speech now.
    #[must_use]
    pub fn level(&self, now: Instant, rules: &AudioLevels) -> Option<f32> {
        if self.is_stale(now, rules) || self.smoothed < linear(f64::from(rules.active_level)) {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "an eighth is exact in 32 bits")]
        let level = (libm::ceil(self.smoothed * QUANTA) / QUANTA) as f32;
        Some(level.min(1.0))
    }

    fn is_stale(&self, now: Instant, rules: &AudioLevels) -> bool {
        now - self.heard_at >= rules.update_interval * STALE_INTERVALS
    }

    fn close_interval(&mut self, rules: &AudioLevels) {
        let active_min = rules.update_interval * u32::from(rules.min_percentile) / 100;
        self.smoothed = if !self.active.is_zero() && self.active >= active_min {
            // Speech during part of the interval counts for less: -6 dB for half of it.
            let part = self.active.as_secs_f64() / rules.update_interval.as_secs_f64();
            let level = linear(f64::from(self.loudest) - 20.0 * libm::log10(part));
            let factor = 2.0 / (f64::from(rules.smooth_intervals.max(1)) + 1.0);
            self.smoothed + (level - self.smoothed) * factor
        } else {
            0.0
        };
        self.observed = Duration::ZERO;
        self.active = Duration::ZERO;
    }
}

/// Amplitude from 0 to 1 of a level in dB below overload.
fn linear(level: f64) -> f64 {
    libm::pow(10.0, -level / 20.0)
}

/// Steps of a level that is told: a smaller change is not worth a message.
const QUANTA: f64 = 8.0;
/// A source that sends nothing (DTX) for so many intervals is silent.
const STALE_INTERVALS: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: AudioLevels = AudioLevels {
        active_level: 35,
        min_percentile: 40,
        update_interval: Duration::from_millis(400),
        smooth_intervals: 2,
    };

    /// `intervals` of 400 ms in which `speech` of 20 packets have `level` and the others are silent.
    fn after(intervals: u64, level: u8, speech: u64) -> Option<f32> {
        let mut speaker = Speaker::default();
        let packet = Duration::from_millis(20);
        let mut now = Instant(0);
        for count in 0..intervals * 20 {
            now += packet;
            speaker.observe(now, if count % 20 < speech { level } else { 127 }, packet, &RULES);
        }
        speaker.level(now, &RULES)
    }

    #[test]
    fn level_follows_loudness_and_share_of_speech() {
        for (name, level, speech, expected) in [
            ("loudest possible", 0, 20, Some(1.0)),
            ("12 dB down is a quarter", 13, 20, Some(0.25)),
            ("too quiet", 36, 20, None),
            ("just loud enough", 34, 20, Some(0.125)),
            ("too short", 0, 7, None),
            ("half of the time", 0, 10, Some(0.5)),
        ] {
            assert_eq!(after(20, level, speech), expected, "{name}");
        }
    }

    #[test]
    fn smoothing_needs_intervals_and_silence_ends_at_once() {
        assert_eq!(after(1, 0, 20), Some(0.75), "two thirds of the way");
        let mut speaker = Speaker::default();
        let packet = Duration::from_millis(20);
        for _ in 0..20 {
            speaker.observe(Instant(0), 0, packet, &RULES);
        }
        for _ in 0..20 {
            speaker.observe(Instant(0), 127, packet, &RULES);
        }
        assert_eq!(speaker.level(Instant(0), &RULES), None);
    }

    #[test]
    fn source_that_went_quiet_is_no_speaker() {
        let mut speaker = Speaker::default();
        for _ in 0..20 {
            speaker.observe(Instant(0), 0, Duration::from_millis(20), &RULES);
        }
        assert!(speaker.level(Instant(799_000_000), &RULES).is_some());
        assert!(speaker.level(Instant(800_000_000), &RULES).is_none());
        for packet in 0..20 {
            speaker.observe(Instant((2_000 + packet) * 1_000_000), 18, Duration::from_millis(20), &RULES);
        }
        let level = speaker.level(Instant(2_020_000_000), &RULES);
        assert_eq!(level, Some(0.125), "nothing of what was heard before weighs in: two thirds of an eighth");
    }

    #[test]
    fn speech_counts_by_its_share_of_an_interval_not_of_what_was_observed() {
        // Packets of 60 ms: 420 ms are observed, all of them speech, which weighs for a little more.
        let mut speaker = Speaker::default();
        for _ in 0..7 {
            speaker.observe(Instant(0), 20, Duration::from_millis(60), &RULES);
        }
        let expected = linear(20.0 - 20.0 * libm::log10(1.05)) * 2.0 / 3.0;
        assert!((speaker.smoothed - expected).abs() < 1e-9, "{}", speaker.smoothed);
    }
}
