//! What must never happen, told by the truth that cameras and payloads carry; and how well each subscriber fared.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use engine::counters::Counters;
use engine::discard::{Reason, RelayReason};
use units::sequence::Seq;
use units::time::Instant;

use crate::camera::Picture;
use crate::stamp::Stamp;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A shown picture refers to one that was not.
    MissingReference { subscriber: usize, picture: (u8, u32), needed: u32 },
    /// A shown picture is put together from packets of several, or lacks some.
    NotWhole { subscriber: usize, picture: (u8, u32) },
    /// An older picture was shown after a newer one.
    Backwards { subscriber: usize, picture: (u8, u32) },
    /// A packet came under two sequence numbers, or a number was used for two packets.
    Sequence { subscriber: usize, stamp: Stamp },
    /// A picture came under two ids, or an id was used for two pictures.
    PictureId { subscriber: usize, stamp: Stamp },
    /// Nothing was lost on purpose in audio, yet its numbers do not say how much was lost.
    AudioNumbers { subscriber: usize, stamp: Stamp },
    /// Something was sent to an address from which no authentic check had come.
    SentUnasked { to: SocketAddr },
    /// A datagram that was given to an engine ended neither forwarded, nor consumed, nor discarded for a reason.
    Unaccounted { given: u64, received: u64, ended: u64 },
    /// The same of a packet that went from one engine to another.
    LostBetween { relayed: u64, received: u64, ended: u64 },
}

/// How a subscriber fared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fared {
    /// Pictures that were shown, by temporal layer.
    pub shown: [u32; 3],
    pub shown_layer: Option<u8>,
    /// Between two shown pictures.
    pub longest_freeze: Duration,
    /// Of at least [`FREEZE_MIN`].
    pub freezes: Vec<Duration>,
    pub first_shown_at: Option<Instant>,
    pub last_shown_at: Option<Instant>,
    pub audio_packets: u32,
}

#[derive(Debug, Default)]
pub struct Oracle {
    /// By layer and number.
    truth: BTreeMap<(u8, u32), Picture>,
    validated: BTreeSet<SocketAddr>,
    subscribers: Vec<Watched>,
    violations: Vec<Violation>,
}

#[derive(Debug, Default)]
struct Watched {
    fared: Fared,
    sequences: OneToOne<Stamp, u64>,
    ids: OneToOne<(u8, u32), i64>,
    shown: BTreeSet<(u8, u32)>,
    shown_newest: Option<(u8, u32)>,
    /// Sequence number and ticks of audio packet 0.
    audio_origin: Option<(u64, u32)>,
}

impl Oracle {
    #[must_use]
    pub fn new(subscribers: usize) -> Self {
        Self { subscribers: (0..subscribers).map(|_| Watched::default()).collect(), ..Self::default() }
    }

    /// A camera captured a picture.
    pub fn published(&mut self, _now: Instant, picture: Picture) {
        self.truth.insert((picture.layer, picture.number), picture);
    }

    /// An authentic check came to the engine from this address.
    pub fn validated(&mut self, remote: SocketAddr) {
        self.validated.insert(remote);
    }

    /// The engine sent a datagram.
    pub fn sent(&mut self, to: SocketAddr) {
        if !self.validated.contains(&to) {
            self.violations.push(Violation::SentUnasked { to });
        }
    }

    /// A subscriber opened a video packet for the first time.
    pub fn arrived(&mut self, subscriber: usize, stamp: Stamp, sequence: Seq, picture_id: i64) {
        let Some(watched) = self.subscribers.get_mut(subscriber) else { return };
        if !watched.sequences.holds(stamp, sequence.0) {
            self.violations.push(Violation::Sequence { subscriber, stamp });
        }
        if !watched.ids.holds((stamp.layer, stamp.picture), picture_id) {
            self.violations.push(Violation::PictureId { subscriber, stamp });
        }
    }

    /// A subscriber opened an audio packet for the first time.
    pub fn heard(&mut self, subscriber: usize, stamp: Stamp, sequence: Seq, timestamp: u32) {
        let Some(watched) = self.subscribers.get_mut(subscriber) else { return };
        watched.fared.audio_packets += 1;
        let ticks = stamp.picture * (crate::camera::AUDIO_CLOCK_RATE / 50);
        let origin = (sequence.0.wrapping_sub(u64::from(stamp.picture)), timestamp.wrapping_sub(ticks));
        if *watched.audio_origin.get_or_insert(origin) != origin {
            self.violations.push(Violation::AudioNumbers { subscriber, stamp });
        }
    }

    /// A subscriber shows a picture that it put together from packets with these stamps.
    pub fn shown(&mut self, now: Instant, subscriber: usize, stamps: &[Stamp]) {
        let (Some(watched), Some(first)) = (self.subscribers.get_mut(subscriber), stamps.first()) else {
            return;
        };
        let picture = (first.layer, first.picture);
        let whole = (0..first.count).map(|index| Stamp { index, ..*first });
        if !whole.eq(stamps.iter().copied()) {
            self.violations.push(Violation::NotWhole { subscriber, picture });
        }
        if watched.shown_newest.is_some_and(|newest| is_backwards(newest, picture)) {
            self.violations.push(Violation::Backwards { subscriber, picture });
        }
        watched.shown_newest = Some(picture);
        let Some(truth) = self.truth.get(&picture) else { return };
        let missing = truth.needs.iter().find(|&&needed| !watched.shown.contains(&(picture.0, needed)));
        if let Some(&needed) = missing {
            self.violations.push(Violation::MissingReference { subscriber, picture, needed });
        }
        watched.shown.insert(picture);
        watched.fared.show(now, truth);
    }

    /// How many datagrams the engines were given, and their counters at the end.
    pub fn account<'a>(&mut self, given: u64, counters: impl Iterator<Item = &'a Counters> + Clone) {
        let sum = |count: fn(&Counters) -> u64| counters.clone().map(count).sum::<u64>();
        let discarded = sum(|counters| Reason::ALL.iter().map(|&reason| counters.discarded(reason)).sum());
        let received = sum(|counters| counters.datagrams_received);
        let ended = sum(|counters| counters.datagrams_forwarded + counters.datagrams_consumed) + discarded;
        if given != received || received != ended {
            self.violations.push(Violation::Unaccounted { given, received, ended });
        }
        let discarded = sum(|counters| {
            let reasons = RelayReason::ALL.iter().filter(|&&reason| reason != RelayReason::NoRoom);
            reasons.map(|&reason| counters.relayed_discarded(reason)).sum()
        });
        let relayed = sum(|counters| counters.packets_relayed);
        let received = sum(|counters| counters.relayed_received);
        let ended = sum(|counters| counters.relayed_forwarded) + discarded;
        // Some may be under way.
        if received != ended || !(received..=received + UNDER_WAY_MAX).contains(&relayed) {
            self.violations.push(Violation::LostBetween { relayed, received, ended });
        }
    }

    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    pub fn fared(&self) -> impl Iterator<Item = &Fared> {
        self.subscribers.iter().map(|watched| &watched.fared)
    }

    /// How many pictures up to this temporal layer a layer's camera captured.
    #[must_use]
    pub fn captured(&self, layer: u8, temporal_max: u8) -> usize {
        let of_layer = self.truth.range((layer, 0)..=(layer, u32::MAX));
        of_layer.filter(|(_, picture)| picture.temporal <= temporal_max).count()
    }
}

impl Fared {
    fn show(&mut self, now: Instant, picture: &Picture) {
        if let Some(count) = self.shown.get_mut(usize::from(picture.temporal)) {
            *count += 1;
        }
        self.shown_layer = Some(picture.layer);
        self.first_shown_at.get_or_insert(now);
        if let Some(before) = self.last_shown_at.replace(now) {
            self.longest_freeze = self.longest_freeze.max(now - before);
            self.freezes.extend(Some(now - before).filter(|&freeze| freeze >= FREEZE_MIN));
        }
    }
}

/// What may be between engines at the end of a run.
const UNDER_WAY_MAX: u64 = 100;

/// Another layer may repeat up to 50 ms: it is put behind what was sent.
fn is_backwards(newest: (u8, u32), picture: (u8, u32)) -> bool {
    let allowed = if newest.0 == picture.0 { 0 } else { 2 };
    picture.1 + allowed <= newest.1
}

/// Two things that stand for one another, once and for all.
#[derive(Debug)]
struct OneToOne<A, B> {
    forth: BTreeMap<A, B>,
    back: BTreeMap<B, A>,
}

impl<A: Copy + Ord, B: Copy + Ord> OneToOne<A, B> {
    fn holds(&mut self, a: A, b: B) -> bool {
        *self.forth.entry(a).or_insert(b) == b && *self.back.entry(b).or_insert(a) == a
    }
}

impl<A, B> Default for OneToOne<A, B> {
    fn default() -> Self {
        Self { forth: BTreeMap::new(), back: BTreeMap::new() }
    }
}

/// What a viewer takes for a freeze.
pub const FREEZE_MIN: Duration = Duration::from_millis(400);

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(number: u32, needs: &[u32]) -> Picture {
        Picture { layer: 0, number, temporal: 0, needs: needs.into() }
    }

    fn stamp(picture: u32, index: u8, count: u8) -> Stamp {
        Stamp { layer: 0, picture, index, count }
    }

    #[test]
    fn each_broken_promise_is_seen() {
        let address: SocketAddr = "192.0.2.9:9".parse().unwrap();
        for (name, act, expected) in [
            (
                "all is well",
                (|oracle| oracle.shown(Instant(0), 0, &[stamp(0, 0, 1)])) as fn(&mut Oracle),
                None,
            ),
            (
                "reference was not shown",
                |oracle| oracle.shown(Instant(0), 0, &[stamp(1, 0, 1)]),
                Some(Violation::MissingReference { subscriber: 0, picture: (0, 1), needed: 0 }),
            ),
            (
                "packet is missing",
                |oracle| oracle.shown(Instant(0), 0, &[stamp(0, 0, 2)]),
                Some(Violation::NotWhole { subscriber: 0, picture: (0, 0) }),
            ),
            (
                "packet of another picture",
                |oracle| oracle.shown(Instant(0), 0, &[stamp(0, 0, 2), stamp(1, 1, 2)]),
                Some(Violation::NotWhole { subscriber: 0, picture: (0, 0) }),
            ),
            (
                "shown again",
                |oracle| (0..2).for_each(|_| oracle.shown(Instant(0), 0, &[stamp(0, 0, 1)])),
                Some(Violation::Backwards { subscriber: 0, picture: (0, 0) }),
            ),
            (
                "two packets under one number",
                |oracle| (0..2).for_each(|index| oracle.arrived(0, stamp(0, index, 2), Seq(7), 3)),
                Some(Violation::Sequence { subscriber: 0, stamp: stamp(0, 1, 2) }),
            ),
            (
                "two pictures under one id",
                |oracle| {
                    [(0, 7), (1, 8)]
                        .map(|(number, sequence)| oracle.arrived(0, stamp(number, 0, 1), Seq(sequence), 3))[0]
                },
                Some(Violation::PictureId { subscriber: 0, stamp: stamp(1, 0, 1) }),
            ),
            (
                "audio without its hole",
                |oracle| {
                    [(0, 7), (2, 8)].map(|(number, sequence)| {
                        oracle.heard(0, stamp(number, 0, 1), Seq(sequence), number * 960)
                    })[0]
                },
                Some(Violation::AudioNumbers { subscriber: 0, stamp: stamp(2, 0, 1) }),
            ),
            (
                "sent to a stranger",
                |oracle| oracle.sent("192.0.2.9:9".parse().unwrap()),
                Some(Violation::SentUnasked { to: address }),
            ),
            (
                "a datagram that vanished",
                |oracle| {
                    let mut counters = Counters::default();
                    counters.datagrams_received = 1;
                    oracle.account(1, [&counters].into_iter());
                },
                Some(Violation::Unaccounted { given: 1, received: 1, ended: 0 }),
            ),
            (
                "a datagram that was not even counted",
                |oracle| oracle.account(1, [&Counters::default()].into_iter()),
                Some(Violation::Unaccounted { given: 1, received: 0, ended: 0 }),
            ),
            (
                "a packet that vanished in an engine that was given it",
                |oracle| {
                    let (mut home, mut other) = (Counters::default(), Counters::default());
                    (home.packets_relayed, other.relayed_received) = (1, 1);
                    oracle.account(0, [&home, &other].into_iter());
                },
                Some(Violation::LostBetween { relayed: 1, received: 1, ended: 0 }),
            ),
            (
                "packets that vanished between engines",
                |oracle| {
                    let mut home = Counters::default();
                    home.packets_relayed = 101;
                    oracle.account(0, [&home].into_iter());
                },
                Some(Violation::LostBetween { relayed: 101, received: 0, ended: 0 }),
            ),
        ] {
            let mut oracle = Oracle::new(1);
            oracle.published(Instant(0), picture(0, &[]));
            oracle.published(Instant(0), picture(1, &[0]));
            act(&mut oracle);
            assert_eq!(oracle.violations(), expected.as_slice(), "{name}");
        }
    }
}
