//! When media was captured, by our clock instead of its publisher's (webrtc.org abs-capture-time).

use core::time::Duration;

use units::time::{Instant, NtpTime};
use wire::extension::AbsCaptureTime;
use wire::rtp::Header;

use crate::command::ExtensionKind;
use crate::egress::header::Written;
use crate::ingress::elements::ExtensionIds;

/// What our clock is ahead of another one, in units of 2^-32 s. All arithmetic on it is modulo 2^64: the other
/// clock's epoch may be any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockOffset(pub i64);

/// What our clock is ahead of that of a publisher's sender reports, as far as they tell.
///
/// A report is as late as its way was long. So the least difference of the last one or two windows counts: the way
/// without its queues is part of it, jitter is not, and a clock that drifts is followed. The way is taken to be half of
/// the shortest round trip.
#[derive(Debug, Default)]
pub struct PublisherClock {
    differences: Least<ClockOffset>,
    round_trips: Least<Duration>,
    offset: Option<ClockOffset>,
}

impl PublisherClock {
    /// Learns from a sender report that arrived when our clock said `arrived`.
    pub fn reported(&mut self, now: Instant, arrived: NtpTime, ntp: NtpTime) {
        let newest = ClockOffset(arrived.0.wrapping_sub(ntp.0).cast_signed());
        let before = self.differences.of(ClockOffset::lesser);
        if before.is_some_and(|before| newest.after(before).unsigned_abs() > CLOCK_CHANGED) {
            self.differences = Least::default();
        }
        self.differences.learn(now, newest, ClockOffset::lesser);
        self.settle();
    }

    /// Learns how long a way there and back took.
    pub fn travelled(&mut self, now: Instant, round_trip: Duration) {
        self.round_trips.learn(now, round_trip, Duration::min);
        self.settle();
    }

    /// `None` before the first report.
    #[must_use]
    pub const fn offset(&self) -> Option<ClockOffset> {
        self.offset
    }

    fn settle(&mut self) {
        let way = self.round_trips.of(Duration::min).unwrap_or_default() / 2;
        let way = (NtpTime(0) + way).0.cast_signed();
        let difference = self.differences.of(ClockOffset::lesser);
        self.offset = difference.map(|difference| ClockOffset(difference.0.wrapping_sub(way)));
    }
}

/// The least of what was learnt in the window that runs and in the one before.
#[derive(Debug)]
struct Least<T> {
    windows: [Option<T>; 2],
    ends_at: Instant,
}

impl<T> Default for Least<T> {
    fn default() -> Self {
        Self { windows: [None, None], ends_at: Instant(0) }
    }
}

impl<T: Copy> Least<T> {
    fn learn(&mut self, now: Instant, value: T, lesser: impl Fn(T, T) -> T) {
        if now - self.ends_at > WINDOW {
            self.windows = [None; 2];
        }
        if self.windows[0].is_none() || now >= self.ends_at {
            self.windows = [None, self.windows[0]];
            self.ends_at = now + WINDOW;
        }
        self.windows[0] = Some(self.windows[0].map_or(value, |least| lesser(least, value)));
    }

    fn of(&self, lesser: impl Fn(T, T) -> T) -> Option<T> {
        let [newer, older] = self.windows;
        newer.zip(older).map(|(newer, older)| lesser(newer, older)).or(newer)
    }
}

/// The element of one packet as its copies have it, and the offset that it was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Captured {
    pub clock: ClockOffset,
    element: [u8; AbsCaptureTime::LEN_MAX],
}

impl Captured {
    /// `None` if the packet does not say when it was captured, or as long as nothing is known of its publisher's clock.
    #[must_use]
    pub fn read(packet: &[u8], ids: &ExtensionIds, clock: Option<ClockOffset>) -> Option<Self> {
        let id = ids.id(ExtensionKind::AbsCaptureTime)?;
        let clock = clock?;
        let element = clock.rewrite(Header::parse(packet).ok()?.extension(id)?)?;
        Some(Self { clock, element })
    }

    #[must_use]
    pub const fn written(&self) -> Written<'_> {
        Written { kind: ExtensionKind::AbsCaptureTime, data: &self.element }
    }
}

impl ClockOffset {
    /// The element's content for subscribers: the capture time by our clock.
    ///
    /// Sender reports are passed on with the publisher's time, so what our clock is ahead of it is the offset that
    /// the element tells.
    #[must_use]
    pub fn rewrite(self, data: &[u8]) -> Option<[u8; AbsCaptureTime::LEN_MAX]> {
        let captured = AbsCaptureTime::read(data)?;
        // The capturer may be yet another one, whose clock is ahead of the publisher's by this much.
        let ahead = captured.clock_offset.unwrap_or(0);
        let capture = captured.capture.0.wrapping_add_signed(self.0.wrapping_sub(ahead));
        let mut written = [0; AbsCaptureTime::LEN_MAX];
        let _ = AbsCaptureTime { capture: NtpTime(capture), clock_offset: Some(self.0) }.write(&mut written);
        Some(written)
    }

    const fn after(self, other: Self) -> i64 {
        self.0.wrapping_sub(other.0)
    }

    const fn lesser(self, other: Self) -> Self {
        if self.after(other) < 0 { self } else { other }
    }
}

const WINDOW: Duration = Duration::from_secs(30);
/// No way is this much longer than another: somebody set the publisher's clock.
const CLOCK_CHANGED: u64 = 5 << 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: i64 = 1 << 32;
    const HALF: i128 = 1 << 31;

    /// The offset after reports at some seconds, each with the difference of both clocks in milliseconds.
    fn learnt(epoch: u64, reports: &[(u64, i64)]) -> Option<i64> {
        let mut clock = PublisherClock::default();
        for (at, difference) in reports {
            let arrived = NtpTime(epoch.wrapping_add(at << 32));
            let ntp = NtpTime(arrived.0.wrapping_add_signed(-difference * SECOND / 1_000));
            clock.reported(Instant(at * 1_000_000_000), arrived, ntp);
        }
        clock.offset().map(milliseconds)
    }

    #[test]
    fn offset_is_the_least_difference_of_the_last_windows() {
        for (name, reports, expected) in [
            ("no report", &[][..], None),
            ("one report", &[(1, 1_500)], Some(1_500)),
            ("the way was longer", &[(1, 1_500), (4, 1_900)], Some(1_500)),
            ("the way was shorter", &[(1, 1_500), (4, 1_300)], Some(1_300)),
            ("a clock ahead of ours", &[(1, -1_500), (4, -1_400)], Some(-1_500)),
            ("still remembered", &[(1, 1_500), (32, 1_600), (61, 1_700)], Some(1_500)),
            ("drifts away", &[(1, 1_500), (32, 1_600), (63, 1_700), (94, 1_800)], Some(1_700)),
            ("nothing came for long", &[(1, 1_500), (100, 1_800)], Some(1_800)),
            ("clock was set back", &[(1, 1_500), (4, 60_000)], Some(60_000)),
            ("clock was set forward", &[(1, 60_000), (4, 1_500), (7, 1_600)], Some(1_500)),
        ] {
            for epoch in [0, 0xe000_0000_0000_0000] {
                assert_eq!(learnt(epoch, reports), expected, "{name}");
            }
        }
    }

    #[test]
    fn half_of_the_shortest_round_trip_is_taken_for_the_way_of_reports() {
        for (name, round_trips, expected) in [
            ("not known", &[][..], 1_500),
            ("one", &[(1, 80)], 1_460),
            ("queues are none of it", &[(1, 300), (3, 80), (5, 200)], 1_460),
            ("a longer way, for long", &[(1, 80), (32, 200), (63, 200)], 1_400),
        ] {
            let mut clock = PublisherClock::default();
            for (at, ms) in round_trips {
                clock.travelled(Instant(at * 1_000_000_000), Duration::from_millis(*ms));
            }
            assert_eq!(clock.offset(), None, "{name}");
            let arrived = NtpTime(100 << 32);
            let ntp = NtpTime(arrived.0.wrapping_add_signed(-1_500 * SECOND / 1_000));
            clock.reported(Instant(0), arrived, ntp);
            assert_eq!(milliseconds(clock.offset().unwrap()), expected, "{name}");
        }
    }

    fn milliseconds(offset: ClockOffset) -> i64 {
        ((i128::from(offset.0) * 1_000 + HALF) >> 32).try_into().unwrap()
    }

    #[test]
    fn capture_time_is_moved_to_our_clock_and_tells_by_how_much() {
        for (name, capture, clock_offset, expected) in [
            ("captured by the publisher", 10 * SECOND, None, 13 * SECOND),
            ("which says so", 10 * SECOND, Some(0), 13 * SECOND),
            ("captured before the publisher", 10 * SECOND, Some(4 * SECOND), 9 * SECOND),
        ] {
            let captured = AbsCaptureTime { capture: NtpTime(capture.cast_unsigned()), clock_offset };
            let written = ClockOffset(3 * SECOND).rewrite(captured.write(&mut [0; 16])).unwrap();
            let expected =
                AbsCaptureTime { capture: NtpTime(expected.cast_unsigned()), clock_offset: Some(3 * SECOND) };
            assert_eq!(AbsCaptureTime::read(&written), Some(expected), "{name}");
        }
        assert_eq!(ClockOffset(0).rewrite(&[0; 7]), None, "cut off");
    }

    proptest! {
        #[test]
        fn receiver_finds_the_same_moment_by_the_clock_of_the_sender_reports(capture: u64, ahead: Option<i64>, offset: i64) {
            let captured = AbsCaptureTime { capture: NtpTime(capture), clock_offset: ahead };
            let written = ClockOffset(offset).rewrite(captured.write(&mut [0; 16])).unwrap();
            let written = AbsCaptureTime::read(&written).unwrap();
            let by_sender = |time: AbsCaptureTime| {
                time.capture.0.wrapping_add_signed(time.clock_offset.unwrap_or(0).wrapping_neg())
            };
            prop_assert_eq!(by_sender(written), by_sender(captured));
        }
    }
}
