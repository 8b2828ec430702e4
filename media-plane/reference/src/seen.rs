//! What someone who knows the truth can say of the copies that a subscriber gets.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::hash::Hash;

use forward::discard::Reason;
use forward::rewrite::Rewrite;

use crate::camera::{Packet, TICKS_A_FRAME};
use crate::model::Numbers;

/// A picture of a simulcast layer.
type Picture = (u8, i64);

#[derive(Debug, Default)]
pub struct Seen {
    sequences: HashSet<u64>,
    sequence_highest: Option<u64>,
    ids: OneToOne<Picture>,
    tl0_indices: OneToOne<Picture>,
    forwarded: HashSet<Picture>,
    dropped: HashSet<Picture>,
    layer: Option<u8>,
    /// The highest incoming number of that layer.
    highest: u64,
    /// Real losses since the last copy in order.
    lost: u64,
    /// Outgoing ticks of the publisher's clock's zero, by the first copy.
    clock: Option<u32>,
    last_in_order: Option<(Picture, u32)>,
    /// Frames of our own, which are numbered as if they were of a layer that does not exist.
    own: i64,
}

impl Seen {
    pub fn switched(&mut self, packet: &Packet) {
        self.layer = Some(packet.facts.layer);
        self.highest = packet.facts.sequence.0 - 1;
        self.lost = 0;
    }

    /// A packet of our own: padding, or a whole frame.
    pub fn inserted(&mut self, numbers: &Numbers) {
        assert!(self.sequences.insert(numbers.sequence), "a number is given once: {numbers:?}");
        if let Some(highest) = self.sequence_highest.replace(numbers.sequence) {
            assert_eq!(
                numbers.sequence - highest - 1,
                std::mem::take(&mut self.lost),
                "a hole is a real loss"
            );
        }
        if let Some((id, tl0_index, _)) = numbers.picture {
            let picture = (u8::MAX, self.own);
            self.own += 1;
            self.ids.check(picture, i64::from(id), 1 << 15);
            self.tl0_indices.check(picture, i64::from(tl0_index), 1 << 8);
        }
    }

    pub fn forwarded(&mut self, packet: &Packet, rewrite: &Rewrite, numbers: &Numbers) {
        assert!(self.sequences.insert(rewrite.sequence.0), "a number is given once: {packet:?}");
        assert_eq!(rewrite.marker, packet.facts.marker);
        let in_order = self.arrive(packet);
        if in_order {
            if let Some(highest) = self.sequence_highest {
                let hole = rewrite.sequence.0 - highest - 1;
                assert_eq!(hole, self.lost, "a hole is a real loss and a real loss is a hole: {packet:?}");
            }
            self.sequence_highest = Some(rewrite.sequence.0);
            self.lost = 0;
        } else {
            self.fill(rewrite.sequence.0);
        }
        self.check_clock(packet, rewrite, in_order);
        match numbers.picture {
            Some((id, tl0_index, _)) => self.check_picture(packet, id, tl0_index),
            None if packet.is_padding() || packet.facts.vp8.is_none() => {}
            None => assert!(
                !in_order && packet.temporal > 0,
                "only what is late and above goes out empty: {packet:?}"
            ),
        }
    }

    pub fn discarded(&mut self, packet: &Packet, reason: Reason) {
        if self.layer != Some(packet.facts.layer) || packet.facts.sequence.0 <= self.highest {
            assert_ne!(reason, Reason::Temporal, "late packets are not filtered");
            return;
        }
        let picture = (packet.facts.layer, packet.picture);
        let lost_before = self.lost;
        let was_dropped = self.dropped.contains(&picture);
        if !matches!(reason, Reason::Temporal | Reason::Padding) {
            return;
        }
        self.arrive(packet);
        if reason == Reason::Temporal {
            assert!(!self.forwarded.contains(&picture), "a picture is dropped whole: {packet:?}");
            assert!(packet.temporal > 0, "the base layer is never dropped");
            self.dropped.insert(picture);
            if was_dropped {
                // What is missing inside of a dropped picture is nobody's loss.
                self.lost = lost_before;
            }
        }
    }

    /// Whether the packet is in order.
    fn arrive(&mut self, packet: &Packet) -> bool {
        let sequence = packet.facts.sequence.0;
        if sequence <= self.highest {
            return false;
        }
        let gap = sequence - self.highest - 1;
        self.lost += gap;
        self.highest = sequence;
        true
    }

    /// A late packet may be the highest that was sent, if all behind it was dropped: then a loss less is to be seen.
    fn fill(&mut self, sequence: u64) {
        if let Some(ahead) = self.sequence_highest.and_then(|highest| sequence.checked_sub(highest)) {
            self.lost -= ahead;
            self.sequence_highest = Some(sequence);
        }
    }

    fn check_picture(&mut self, packet: &Packet, id: u16, tl0_index: u8) {
        let picture = (packet.facts.layer, packet.picture);
        assert!(!self.dropped.contains(&picture), "a picture is dropped whole: {packet:?}");
        self.ids.check(picture, i64::from(id), 1 << 15);
        let base = packet.needs.first().filter(|_| packet.temporal > 0).copied();
        self.tl0_indices.check(
            (packet.facts.layer, base.unwrap_or(packet.picture)),
            i64::from(tl0_index),
            1 << 8,
        );
        self.forwarded.insert(picture);
        for &needed in &packet.needs {
            let needed = (packet.facts.layer, needed);
            assert!(!self.dropped.contains(&needed), "needs a dropped picture: {packet:?}");
        }
    }

    fn check_clock(&mut self, packet: &Packet, rewrite: &Rewrite, in_order: bool) {
        if packet.facts.reference.is_some() {
            let origin = rewrite.timestamp.wrapping_sub(packet.frame * TICKS_A_FRAME);
            let apart = origin.wrapping_sub(*self.clock.get_or_insert(origin)).cast_signed();
            // A layer up to 50 ms behind is put right after what was sent.
            assert!((0..=4_501).contains(&apart), "{apart} ticks off the publisher's clock: {packet:?}");
        }
        if in_order {
            let picture = (packet.facts.layer, packet.picture);
            if let Some((last, timestamp)) = self.last_in_order {
                let step = rewrite.timestamp.wrapping_sub(timestamp).cast_signed();
                assert!(
                    if last == picture { step == 0 } else { step > 0 },
                    "{step} ticks on from the last picture"
                );
            }
            self.last_in_order = Some((picture, rewrite.timestamp));
        }
    }
}

/// Checks that a wrapping number stands for one thing, and a thing has one number.
#[derive(Debug)]
struct OneToOne<T> {
    numbers: HashMap<T, i64>,
    things: HashMap<i64, T>,
    newest: i64,
}

impl<T: Copy + Debug + Eq + Hash> OneToOne<T> {
    fn check(&mut self, thing: T, wrapped: i64, span: i64) {
        let ahead = (wrapped - self.newest + span / 2).rem_euclid(span) - span / 2;
        let number = self.newest + ahead;
        self.newest = self.newest.max(number);
        let known = *self.numbers.entry(thing).or_insert(number);
        assert_eq!(known, number, "{thing:?} has two numbers");
        let owner = *self.things.entry(number).or_insert(thing);
        assert_eq!(owner, thing, "number {number} stands for two");
    }
}

impl<T> Default for OneToOne<T> {
    fn default() -> Self {
        Self { numbers: HashMap::new(), things: HashMap::new(), newest: 0 }
    }
}
