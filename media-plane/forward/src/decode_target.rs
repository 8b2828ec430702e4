//! Which frames of a stream with dependency descriptors pass: those of one decode target, as long as its chain is whole.
//!
//! A frame passes if the decode target needs it and nothing that it refers to was dropped (AV1 RTP payload format,
//! appendix A.4.3 and A.4.4). What is missing may yet be repaired: frames that need it are forwarded until it is given
//! up. The decode target changes at key frames, and at a frame that is decodable and has a Switch indication for it.
//!
//! Frame numbers are not closed up where a frame is dropped: differences and chains count in them, and a number only
//! has to be higher than the one before (A.4.2). libwebrtc takes them for identities alone
//! (`RtpGenericFrameRefFinder` subtracts the differences and looks for nothing between), and refuses a structure whose
//! frame number lies before that of the last one (`RtpVideoStreamReceiver2`). So they go on across a switch of the
//! source, each by the same offset.

use core::time::Duration;

use units::sequence::Seq;
use units::time::Instant;
use wire::av1::dependency::rewrite::ActiveDecodeTargets;
use wire::av1::dependency::structure::Indication;

use crate::dependency::{Dependency, Known, Limits};
use crate::discard::Reason;
use crate::order::Order;
use crate::rewrite::Renumbered;
use crate::scalable::Pass;
use crate::verdicts::{Verdict, Verdicts};

/// Decides over frames of one source; packets of one frame have one fate, whenever they come.
#[derive(Debug)]
pub struct DecodeTargets {
    limits: Limits,
    /// What passes now; `None` before a key frame.
    current: Option<Current>,
    /// The structure that `current` is a target of.
    structure: u32,
    /// A frame that the target cannot do without was dropped or given up.
    broken: bool,
    /// The earliest frame of the chain that is still missing, and since when.
    awaited: Option<(Seq, Instant)>,
    /// Frames since another target was wanted.
    waited: u16,
    /// Only a key frame leads to what is wanted.
    is_stuck: bool,
    /// The frame at which another target was taken without a key frame: its packets tell so.
    changed_at: Option<Seq>,
    verdicts: Verdicts,
    numbers: FrameNumbers,
}

/// How frames are numbered as they go out: on and on, whatever the source.
#[derive(Clone, Copy, Debug, Default)]
pub struct FrameNumbers {
    /// By how much outgoing numbers lag behind.
    lag: u64,
    /// The number after the highest that was sent.
    next: Option<Seq>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Current {
    target: u8,
    /// The first frame that passed for this target: all after it can be decoded.
    since: Seq,
}

/// How the frames are that a frame refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum References {
    Whole,
    Missing,
    Dropped,
}

impl DecodeTargets {
    #[must_use]
    pub fn new(limits: Limits, numbers: FrameNumbers) -> Self {
        Self {
            limits,
            current: None,
            structure: 0,
            broken: false,
            awaited: None,
            waited: 0,
            is_stuck: false,
            changed_at: None,
            verdicts: Verdicts::new(),
            numbers,
        }
    }

    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Another source, or the same one after a pause, goes on with `first`.
    pub fn switch(&mut self, first: Seq) {
        self.current = None;
        self.renumber(first);
    }

    #[must_use]
    pub fn numbers(&self) -> FrameNumbers {
        self.numbers
    }

    /// Whether nothing but a key frame leads to what is wanted.
    #[must_use]
    pub fn needs_key_frame(&self) -> bool {
        self.broken || self.is_stuck
    }

    /// # Errors
    /// If the packet is late and its frame too old to be remembered.
    pub fn pass(
        &mut self,
        now: Instant,
        packet: &Dependency,
        key_frame: bool,
        order: Order,
    ) -> Result<Pass, Reason> {
        if order == Order::Late {
            return self.pass_late(now, packet, key_frame);
        }
        let newest = self.verdicts.highest();
        let verdict = match newest.filter(|newest| packet.frame <= *newest) {
            Some(newest) if packet.frame < newest && key_frame => {
                // The numbers fell back: they begin anew.
                self.renumber(packet.frame);
                self.decide(now, packet, key_frame)
            }
            Some(_) => self.settle_late(packet).unwrap_or_else(|| {
                // Numbers that fell back, and the key frame is missing.
                self.is_stuck = true;
                Verdict::Dropped
            }),
            None => self.decide(now, packet, key_frame),
        };
        let is_inside = order == Order::Gap && newest == Some(packet.frame);
        Ok(match verdict {
            Verdict::Forwarded(target) => self.send(packet, target),
            Verdict::Dropped | Verdict::Missing(_) => {
                let reason = self.reason(packet);
                if is_inside { Pass::DropWithGap(reason) } else { Pass::Drop(reason) }
            }
        })
    }

    fn pass_late(&mut self, now: Instant, packet: &Dependency, key_frame: bool) -> Result<Pass, Reason> {
        let newest = self.verdicts.highest().ok_or(Reason::UnknownPicture)?;
        let verdict = if packet.frame > newest {
            // What came in order behind it was nothing but padding.
            self.decide(now, packet, key_frame)
        } else {
            self.settle_late(packet).ok_or(Reason::UnknownPicture)?
        };
        match verdict {
            Verdict::Forwarded(target) => Ok(self.send(packet, target)),
            Verdict::Dropped | Verdict::Missing(_) => Ok(Pass::Empty),
        }
    }

    /// The fate of a frame that is not the newest: as it was decided, and if nothing of it came before, by what passed
    /// at its time.
    fn settle_late(&mut self, packet: &Dependency) -> Option<Verdict> {
        let target = match self.verdicts.of(packet.frame)? {
            Verdict::Missing(target) => target,
            decided => return Some(decided),
        };
        let passes = packet.known.as_ref().is_none_or(|known| {
            let is_present = known.indications.of(target) != Indication::NotPresent;
            known.brings_structure
                || is_present && self.references(packet.frame, known) != References::Dropped
        });
        let verdict = if passes { Verdict::Forwarded(target) } else { Verdict::Dropped };
        self.verdicts.set(packet.frame, verdict);
        if self.awaited.is_some_and(|(frame, _)| frame == packet.frame) {
            self.awaited = None;
            self.broken |= !passes;
        }
        Some(verdict)
    }

    /// The fate of a new frame, which is noted.
    fn decide(&mut self, now: Instant, packet: &Dependency, key_frame: bool) -> Verdict {
        let passed = self.current.filter(|_| !self.broken);
        let between = passed.map_or(Verdict::Dropped, |current| Verdict::Missing(current.target));
        self.verdicts.advance(packet.frame, between, Verdict::Dropped);
        let passes = match &packet.known {
            Some(known) if key_frame => self.begin(packet.frame, known),
            Some(known) => self.go_on(now, packet.frame, known),
            None => {
                // Whatever it is, it needs a key frame that is missing; if that comes late, all of this is wanted.
                self.is_stuck = true;
                passed.is_some()
            }
        };
        if !passes {
            return Verdict::Dropped;
        }
        let verdict = Verdict::Forwarded(self.current.map_or(0, |current| current.target));
        self.verdicts.set(packet.frame, verdict);
        verdict
    }

    /// A key frame: whatever is wanted can begin.
    fn begin(&mut self, frame: Seq, known: &Known) -> bool {
        let is_present = |target| known.indications.of(target) != Indication::NotPresent;
        let target = known.targets.best(self.limits, known.active, is_present);
        self.structure = known.structure;
        self.take(target.map(|target| Current { target, since: frame }));
        self.changed_at = None;
        target.is_some()
    }

    fn go_on(&mut self, now: Instant, frame: Seq, known: &Known) -> bool {
        let wanted = known.targets.best(self.limits, known.active, |_| true);
        if self.structure != known.structure {
            // The key frame came late. All of it and behind it was forwarded.
            self.structure = known.structure;
            self.take(
                wanted.map(|target| Current { target, since: frame }).filter(|_| self.current.is_some()),
            );
        }
        self.give_up(now);
        let references = self.references(frame, known);
        self.check_chain(now, frame, known);
        self.change(frame, known, wanted, references);
        let Some(current) = self.current else {
            self.is_stuck = true;
            return false;
        };
        let indication = known.indications.of(current.target);
        let is_lost = references == References::Dropped
            && matches!(indication, Indication::Switch | Indication::Required);
        self.broken |= is_lost && known.targets.chain(current.target).is_none();
        !self.broken && indication != Indication::NotPresent && references != References::Dropped
    }

    /// Takes another target if one is wanted, or if the present one is broken, and the frame leads to it.
    fn change(&mut self, frame: Seq, known: &Known, wanted: Option<u8>, references: References) {
        let Some(current) = self.current else { return };
        let leads_to = |target| known.indications.of(target) == Indication::Switch;
        let settled = wanted == Some(current.target);
        // Above the present target's layers, the picture was ended already; only what stands alone may follow then.
        let is_ended =
            known.spatial > known.targets.get(current.target).spatial && !known.differences.is_empty();
        if settled {
            (self.waited, self.is_stuck) = (0, false);
        } else {
            self.waited = self.waited.saturating_add(1);
            let is_missed = (is_ended || references == References::Dropped) && wanted.is_some_and(leads_to);
            self.is_stuck |= is_missed || self.waited > WAITED_MAX;
        }
        if references != References::Whole || is_ended || settled && !self.broken {
            return;
        }
        let next = match wanted.filter(|wanted| leads_to(*wanted)) {
            None if self.broken => known.targets.best(self.limits, known.active, leads_to),
            next => next,
        };
        if let Some(target) = next {
            self.take(Some(Current { target, since: frame }));
            self.is_stuck = wanted != next;
        }
    }

    fn take(&mut self, current: Option<Current>) {
        self.changed_at = current.map(|current| current.since);
        self.current = current;
        self.broken = false;
        self.awaited = None;
        self.waited = 0;
        self.is_stuck = false;
    }

    /// Looks for the frame that the target's chain needs before this one (A.4.3).
    fn check_chain(&mut self, now: Instant, frame: Seq, known: &Known) {
        let Some(current) = self.current else { return };
        let Some(chain) = known.targets.chain(current.target) else { return };
        let difference = known.chain_differences.get(usize::from(chain)).copied().unwrap_or(0);
        if difference == 0 {
            if known.indications.of(current.target) != Indication::NotPresent {
                (self.broken, self.awaited) = (false, None);
            }
            return;
        }
        let before = Seq(frame.0.saturating_sub(difference.into()));
        if before < current.since {
            return;
        }
        match self.verdicts.of(before) {
            Some(Verdict::Forwarded(_)) => {}
            Some(Verdict::Missing(_)) => {
                self.awaited.get_or_insert((before, now));
            }
            // A number between two contiguous packets, or one that was dropped.
            Some(Verdict::Dropped) | None => self.broken = true,
        }
    }

    /// What is missing for too long will not be repaired, and nothing since then can be decoded.
    fn give_up(&mut self, now: Instant) {
        let overdue = self.awaited.filter(|(_, since)| now.since(*since) > REPAIRED_WITHIN);
        let (Some((missing, _)), Some(newest)) = (overdue, self.verdicts.highest()) else { return };
        self.awaited = None;
        self.broken = true;
        self.verdicts.drop_from(missing, newest);
    }

    fn references(&self, frame: Seq, known: &Known) -> References {
        known.differences.iter().fold(References::Whole, |all, difference| {
            let referred = Seq(frame.0.saturating_sub(difference.into()));
            match self.verdicts.of(referred) {
                Some(Verdict::Dropped) => References::Dropped,
                Some(Verdict::Missing(_)) if all == References::Whole => References::Missing,
                // What is too old to be remembered was decoded, or the frame would not be of this target (A.2).
                _ => all,
            }
        })
    }

    fn reason(&self, packet: &Dependency) -> Reason {
        let current = self.current.filter(|_| !self.broken);
        match (current, &packet.known) {
            (Some(current), Some(known))
                if known.indications.of(current.target) == Indication::NotPresent =>
            {
                Reason::OtherTarget
            }
            _ => Reason::Undecodable,
        }
    }

    fn send(&mut self, packet: &Dependency, target: u8) -> Pass {
        let outgoing = Seq(packet.frame.0.wrapping_sub(self.numbers.lag));
        self.numbers.next = self.numbers.next.max(Some(outgoing.next()));
        let known = packet.known.as_ref();
        let ends_picture = packet.end_of_frame
            && known.is_some_and(|known| known.spatial == known.targets.get(target).spatial);
        let active = known.and_then(|known| self.told(packet.frame, known, target));
        let descriptor = Some(Renumbered { frame_number: outgoing.low().0, active });
        Pass::Send { descriptor, ends_picture }
    }

    /// What is said of active decode targets: in the frame from which on another target passes, and wherever the
    /// publisher says something itself or a structure would say that all are (A.4.4).
    fn told(&self, frame: Seq, known: &Known, target: u8) -> Option<ActiveDecodeTargets> {
        let bitmask = known.targets.within(target, known.active);
        let is_told = known.tells_active
            || self.changed_at == Some(frame)
            || known.brings_structure && bitmask != known.targets.every();
        is_told.then(|| ActiveDecodeTargets { bitmask, count: known.targets.count() })
    }

    fn renumber(&mut self, first: Seq) {
        if let Some(next) = self.numbers.next {
            self.numbers.lag = first.0.wrapping_sub(next.0);
        }
        self.verdicts.restart();
        self.broken = false;
        self.awaited = None;
        self.is_stuck = false;
    }
}

/// A chain whose missing frame did not come within this time is broken.
const REPAIRED_WITHIN: Duration = Duration::from_millis(500);

/// After so many frames without a chance to change, a key frame is asked for: a second of 30 pictures with two layers.
const WAITED_MAX: u16 = 60;

#[cfg(test)]
mod tests;
