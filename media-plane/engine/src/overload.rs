//! What is left out while the worker does not keep up: probes, retransmissions, then ever more of the video, never audio.
//!
//! A worker keeps up if, now and then at least, it handles a datagram soon after the host received it. If each one waited
//! for long over a whole window, the queue stands, and a little more is left out; once none has for a while, a
//! little less. The processor's time is not asked: it says nothing where other programs use the core as well.

use core::time::Duration;

use units::time::Instant;

use crate::outbox::Precedence;

/// How much less of a publication goes to its subscribers than they may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restraint {
    pub layer_max: u8,
    pub temporal_max: u8,
    /// Nothing goes to anybody.
    pub paused: bool,
}

impl Restraint {
    pub const NONE: Self = Self { layer_max: u8::MAX, temporal_max: u8::MAX, paused: false };

    /// Temporal layers first, as they can be left out at once; other layers need a key frame.
    const RUNGS: [Self; 6] = [
        Self::NONE,
        Self { temporal_max: 1, ..Self::NONE },
        Self { temporal_max: 0, ..Self::NONE },
        Self { layer_max: 1, temporal_max: 1, paused: false },
        Self { layer_max: 0, temporal_max: 1, paused: false },
        Self { layer_max: 0, temporal_max: 0, paused: true },
    ];
}

#[derive(Debug)]
pub struct Overload {
    /// 0: nothing is left out.
    step: u8,
    window: Window,
    /// The least wait of the window before.
    before: Duration,
    /// When the last window ended in which the queue stood.
    behind_at: Instant,
    lowered_at: Option<Instant>,
    /// How long the worker must keep up before less is left out.
    hold: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    began: Instant,
    looked_at: Instant,
    /// No datagram waited for less, in nanoseconds; [`NONE`]: none came.
    least: u64,
    /// The host had no room for some.
    lost: bool,
}

impl Window {
    const fn at(now: Instant) -> Self {
        Self { began: now, looked_at: now, least: NONE, lost: false }
    }
}

/// No datagram waits for so long.
const NONE: u64 = u64::MAX;

impl Overload {
    #[must_use]
    pub const fn new() -> Self {
        Self {
            step: 0,
            window: Window::at(Instant(0)),
            before: Duration::ZERO,
            behind_at: Instant(0),
            lowered_at: None,
            hold: HOLD,
        }
    }

    /// A datagram that came at `received` is handled at `now`. For each of them, so it has to be cheap.
    pub fn waited(&mut self, now: Instant, received: Instant) {
        self.window.least = self.window.least.min(now.0.saturating_sub(received.0));
    }

    /// The host dropped datagrams for want of room.
    pub const fn lost(&mut self) {
        self.window.lost = true;
    }

    /// To be called at the end of each wake; true if something else is left out from now on.
    pub fn judge(&mut self, now: Instant) -> bool {
        // Whoever stood still has a queue and tells nothing by it.
        let stood_still = now.0.saturating_sub(self.window.looked_at.0) > PAUSE_NANOS;
        self.window.looked_at = now;
        if stood_still && self.window.least != NONE {
            self.window = Window::at(now);
        }
        now.0.saturating_sub(self.window.began.0) >= WINDOW_NANOS && self.conclude(now)
    }

    /// A window is over.
    #[cold]
    fn conclude(&mut self, now: Instant) -> bool {
        let Window { least, lost, .. } = core::mem::replace(&mut self.window, Window::at(now));
        let least = if least == NONE { Duration::ZERO } else { Duration::from_nanos(least) };
        let before = core::mem::replace(&mut self.before, least);
        if least >= LATE || (lost && least >= LATE_IF_LOST) {
            self.behind_at = now;
            // One such window may be the end of a moment in which the worker did not run at all.
            return (lost || self.step > 0 || before >= LATE) && self.raise(now, least, before);
        }
        if least >= SOON {
            self.behind_at = now;
        }
        self.step > 0 && now - self.behind_at >= self.hold && self.lower(now)
    }

    fn raise(&mut self, now: Instant, least: Duration, before: Duration) -> bool {
        // What is left out already shows: the queue is being worked off.
        if least < before - before / 8 {
            return false;
        }
        if self.lowered_at.take().is_some_and(|at| now - at < RELAPSE) {
            self.hold = (self.hold * 2).min(HOLD_MAX);
        }
        let steps = match least {
            least if least >= 8 * LATE => SHARES,
            least if least >= 3 * LATE => SHARES / 2,
            _ => 1,
        };
        let step = (self.step + steps).min(STEPS);
        core::mem::replace(&mut self.step, step) != step
    }

    fn lower(&mut self, now: Instant) -> bool {
        if self.lowered_at.replace(now).is_some() {
            self.hold = (self.hold / 2).max(HOLD_MIN);
        }
        self.step -= 1;
        self.behind_at = now;
        true
    }

    /// When [`Self::judge`] is to be called at the latest, if nothing comes.
    #[must_use]
    pub fn next_at(&self) -> Option<Instant> {
        (self.step > 0).then(|| self.window.began + Duration::from_nanos(WINDOW_NANOS))
    }

    /// How much is left out, from 0 to [`STEPS`].
    #[must_use]
    pub const fn step(&self) -> u8 {
        self.step
    }

    /// Whether what is sent in this name is left out. What is left out of video is [`Self::restraint`]'s.
    #[must_use]
    pub const fn leaves_out(&self, precedence: Precedence) -> bool {
        match precedence {
            Precedence::Probe => self.step >= 1,
            Precedence::Retransmission => self.step >= 2,
            Precedence::Video | Precedence::Audio => false,
        }
    }

    /// Of the publication with this lot: a quarter of them has its turn after the other, so that a step is a small one.
    #[must_use]
    pub fn restraint(&self, lot: usize) -> Restraint {
        let share = lot % usize::from(SHARES);
        let rung = (usize::from(self.step.saturating_sub(BEFORE_VIDEO)) + share) / usize::from(SHARES);
        let rung = if self.step <= BEFORE_VIDEO { 0 } else { rung };
        Restraint::RUNGS.get(rung).or(Restraint::RUNGS.last()).copied().unwrap_or(Restraint::NONE)
    }
}

impl Default for Overload {
    fn default() -> Self {
        Self::new()
    }
}

/// Probes and retransmissions have a step each.
const BEFORE_VIDEO: u8 = 2;
/// Of the publications that have their turn together.
const SHARES: u8 = 4;
/// All video is paused.
pub const STEPS: u8 = BEFORE_VIDEO + SHARES * 5;

const WINDOW_NANOS: u64 = 100_000_000;
/// Longer than a turn of a worker ever takes.
const PAUSE_NANOS: u64 = 250_000_000;
/// A queue of this length stands. Wakes of a worker that is busy and keeps up take less.
const LATE: Duration = Duration::from_millis(5);
/// What the host has room for may be less than what comes in that time.
const LATE_IF_LOST: Duration = Duration::from_millis(1);
/// The queue does not stand, but not much is missing.
const SOON: Duration = Duration::from_millis(3);
const HOLD: Duration = Duration::from_secs(1);
const HOLD_MIN: Duration = Duration::from_millis(500);
const HOLD_MAX: Duration = Duration::from_secs(16);
/// If more has to be left out so soon again, less will be tried later the next time.
const RELAPSE: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    const WAKE: Duration = Duration::from_millis(10);
    const PAUSE: Duration = Duration::from_nanos(PAUSE_NANOS);

    fn waited(overload: &mut Overload, now: Instant, waited: Duration) {
        overload.waited(now, Instant(now.0 - u64::try_from(waited.as_nanos()).unwrap()));
    }

    /// So many windows of wakes whose datagrams waited so many milliseconds; the step after each window.
    fn windows(overload: &mut Overload, now: &mut Instant, count: usize, waited_ms: u64) -> Vec<u8> {
        let mut steps = Vec::new();
        for _ in 0..count {
            for _ in 0..10 {
                *now += WAKE;
                waited(overload, *now, Duration::from_millis(waited_ms));
                overload.judge(*now);
            }
            steps.push(overload.step());
        }
        steps
    }

    fn started() -> (Overload, Instant) {
        let (mut overload, now) = (Overload::new(), Instant(1_000_000_000));
        overload.judge(now);
        (overload, now)
    }

    #[test]
    fn the_longer_the_queue_the_more_is_left_out() {
        for (name, waited_ms, expected) in [
            ("keeps up", 4, [0, 0, 0]),
            ("a standing queue", 5, [0, 1, 2]),
            ("a longer one", 15, [0, 2, 4]),
            ("a very long one", 40, [0, 4, 8]),
        ] {
            let (mut overload, mut now) = started();
            assert_eq!(windows(&mut overload, &mut now, 3, waited_ms), expected, "{name}");
        }
        let (mut overload, mut now) = started();
        assert_eq!(windows(&mut overload, &mut now, 30, 100).last(), Some(&STEPS), "and no more than all");
    }

    #[test]
    fn one_datagram_in_a_window_that_did_not_wait_tells_that_no_queue_stands() {
        let (mut overload, mut now) = started();
        for wake in 0..100 {
            now += WAKE;
            waited(&mut overload, now, Duration::from_millis(if wake % 10 == 3 { 1 } else { 50 }));
            assert!(!overload.judge(now), "wake {wake}");
        }
    }

    #[test]
    fn a_queue_that_is_being_worked_off_is_left_to_it() {
        let (mut overload, mut now) = started();
        let steps: Vec<u8> = [100, 100, 80, 60, 40, 20, 6, 6]
            .iter()
            .flat_map(|ms| windows(&mut overload, &mut now, 1, *ms))
            .collect();
        assert_eq!(steps, [0, 4, 4, 4, 4, 4, 4, 5]);
    }

    #[test]
    fn what_the_host_had_no_room_for_is_a_queue_that_was_longer() {
        for (name, waited_ms, expected) in [("soon", 0, 0), ("late", 1, 1)] {
            let (mut overload, mut now) = started();
            overload.lost();
            assert_eq!(windows(&mut overload, &mut now, 1, waited_ms), [expected], "{name}");
        }
    }

    #[test]
    fn whoever_stood_still_learns_nothing_from_the_queue_that_came_of_it() {
        let (mut overload, mut now) = started();
        for _ in 0..20 {
            now = now + PAUSE + WAKE;
            waited(&mut overload, now, PAUSE);
            assert!(!overload.judge(now));
            now += WAKE;
            waited(&mut overload, now, PAUSE);
            assert!(!overload.judge(now));
        }
    }

    #[test]
    fn one_stall_that_is_over_leaves_nothing_out() {
        let (mut overload, mut now) = started();
        for _ in 0..20 {
            now += Duration::from_millis(150);
            waited(&mut overload, now, Duration::from_millis(60));
            assert!(!overload.judge(now));
            windows(&mut overload, &mut now, 1, 0);
            assert_eq!(overload.step(), 0);
        }
    }

    #[test]
    fn less_is_left_out_step_by_step_once_the_worker_keeps_up_and_sooner_each_time() {
        let (mut overload, mut now) = started();
        windows(&mut overload, &mut now, 4, 5);
        let mut lowered_after = Vec::new();
        let mut since = now;
        while overload.step() > 0 {
            now += WAKE;
            waited(&mut overload, now, Duration::from_millis(1));
            if overload.judge(now) {
                lowered_after.push((now - core::mem::replace(&mut since, now)).as_millis());
            }
        }
        assert_eq!(lowered_after, [1000, 1000, 500]);
        assert_eq!(overload.next_at(), None);
    }

    #[test]
    fn without_any_datagram_it_recovers_by_its_deadlines() {
        let (mut overload, mut now) = started();
        windows(&mut overload, &mut now, 30, 100);
        let mut looks = 0;
        while let Some(at) = overload.next_at() {
            assert!(at > now);
            now = at;
            overload.judge(now);
            looks += 1;
        }
        assert!((100..300).contains(&looks), "{looks}");
    }

    #[test]
    fn relapses_put_off_the_next_attempt() {
        let (mut overload, mut now) = started();
        windows(&mut overload, &mut now, 2, 5);
        let mut calm = Vec::new();
        for _ in 0..4 {
            let since = now;
            while overload.step() > 0 {
                windows(&mut overload, &mut now, 1, 1);
            }
            calm.push((now - since).as_millis());
            windows(&mut overload, &mut now, 2, 5);
        }
        assert_eq!(calm, [1000, 2000, 4000, 8000]);
    }

    #[test]
    fn probes_end_first_then_retransmissions_then_video_layer_by_layer_and_audio_never() {
        let mut overload = Overload::new();
        let mut before = [0; 4];
        for step in 0..=STEPS {
            overload.step = step;
            let lots = [0, 1, 2, 3].map(|lot| {
                let restraint = overload.restraint(lot);
                Restraint::RUNGS.iter().position(|rung| *rung == restraint).unwrap()
            });
            let left_out =
                [Precedence::Probe, Precedence::Retransmission].map(|one| overload.leaves_out(one));
            assert_eq!(left_out, [step >= 1, step >= 2], "{step}");
            assert!(!overload.leaves_out(Precedence::Audio));
            let changed = lots.iter().zip(before).filter(|(now, before)| **now != *before).count();
            assert_eq!(changed, usize::from(step > BEFORE_VIDEO), "{step}: one lot has its turn");
            before = lots;
        }
        assert_eq!(before, [5; 4], "paused");
    }
}
