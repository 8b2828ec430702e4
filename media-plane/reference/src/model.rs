//! The reference: slow, with the truth about picture numbers, and each rule as it is written down.
//!
//! It keeps the three caches of the specification; that one value can stand for two of them is shown by being equal.

use std::collections::BTreeSet;

use crate::camera::Packet;

const MISSING_MAX: usize = 50;
const DROPPED_MAX: usize = 20;

/// The numbers of a copy: sequence number, picture id, TL0PICIDX, KEYIDX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    pub sequence: u64,
    pub picture: Option<(u16, u8, u8)>,
}

#[derive(Debug, Default)]
pub struct Model {
    /// Payloads go out as they are: no picture has a number that is known here.
    is_opaque: bool,
    target: Option<u8>,
    temporal_wanted: u8,
    temporal: u8,
    current: Option<u8>,
    // Sequence numbers: those of the source that came or were closed up, and how the first one went out.
    first: u64,
    first_outgoing: u64,
    due: u64,
    came: BTreeSet<u64>,
    closed: BTreeSet<u64>,
    /// How many packets of our own stand before a number of the source.
    own: Vec<(u64, u64)>,
    outgoing_next: Option<u64>,
    // Pictures.
    lag: i64,
    sent: Option<i64>,
    highest: i64,
    missing: Vec<(i64, Noted)>,
    dropped: Vec<i64>,
    exempt: Vec<i64>,
    gap_is_pending: bool,
    tl0: Index,
    key: Index,
}

/// What is known of a picture of which packets may come late.
#[derive(Clone, Copy, Debug)]
enum Noted {
    Forwarded { lag: i64 },
    Unseen { lag: i64, temporal: u8 },
    Dropped,
}

#[derive(Clone, Copy, Debug, Default)]
struct Index {
    lag: u8,
    sent: Option<u8>,
}

impl Model {
    #[must_use]
    pub fn new(is_opaque: bool) -> Self {
        Self { is_opaque, ..Self::default() }
    }

    pub fn set_target(&mut self, layer: Option<u8>, temporal: u8) {
        self.target = layer;
        self.temporal_wanted = temporal;
        if layer.is_none() {
            self.current = None;
        }
    }

    pub fn pause(&mut self) {
        self.current = None;
    }

    /// So many packets of padding: the number of the first, `None` before there is a stream.
    pub fn pad(&mut self, count: u64) -> Option<u64> {
        self.outgoing_next?;
        let first = self.outgoing(self.due);
        self.own.push((self.due, count));
        self.outgoing_next = Some(first + count);
        Some(first)
    }

    /// A frame of our own, after which only a key frame goes on.
    pub fn insert(&mut self) -> Option<Numbers> {
        let sequence = self.pad(1)?;
        self.current = None;
        if self.is_opaque {
            return Some(Numbers { sequence, picture: None });
        }
        self.sent = self.sent.map(|sent| sent + 1);
        for index in [&mut self.tl0, &mut self.key] {
            index.sent = index.sent.map(|sent| sent.wrapping_add(1));
        }
        let id = u16::try_from(self.sent?.rem_euclid(0x8000)).unwrap();
        Some(Numbers { sequence, picture: Some((id, self.tl0.sent?, self.key.sent? % 32)) })
    }

    pub fn forward(&mut self, packet: &Packet) -> Option<Numbers> {
        let facts = &packet.facts;
        if self.current != Some(facts.layer) {
            let target = self.target?;
            let may = facts.layer == target
                || facts.layer < target && self.current.is_none_or(|current| current > target);
            if !facts.key_frame || facts.out_of_order || !may {
                return None;
            }
            self.switch(packet);
        }
        let sequence = facts.sequence.0;
        if self.came.contains(&sequence) || self.closed.contains(&sequence) || sequence < self.first {
            return None;
        }
        if sequence < self.due { self.forward_late(packet) } else { self.forward_in_order(packet) }
    }

    fn switch(&mut self, packet: &Packet) {
        self.current = Some(packet.facts.layer);
        let sequence = packet.facts.sequence.0;
        self.first = sequence;
        self.first_outgoing = self.outgoing_next.unwrap_or(sequence % 0x8000);
        self.due = sequence;
        self.came.clear();
        self.closed.clear();
        self.own.clear();
        if self.is_opaque {
            return;
        }
        let descriptor = packet.facts.vp8.unwrap();
        let id = i64::from(descriptor.picture_id.unwrap().value());
        // The truth never wraps; what goes out first is the id as it stands in the packet.
        self.lag = packet.picture - self.sent.map_or(id, |sent| sent + 1);
        self.highest = packet.picture - 1;
        for (index, incoming) in
            [(&mut self.tl0, descriptor.tl0_picture_index), (&mut self.key, descriptor.key_index)]
        {
            index.lag = index.sent.map_or(0, |sent| incoming.unwrap().wrapping_sub(sent).wrapping_sub(1));
        }
        self.missing.clear();
        self.dropped.clear();
        self.exempt.clear();
        self.gap_is_pending = false;
    }

    fn outgoing(&self, sequence: u64) -> u64 {
        let own: u64 =
            self.own.iter().filter(|(before, _)| *before <= sequence).map(|(_, count)| count).sum();
        let closed = u64::try_from(self.closed.range(..sequence).count()).unwrap();
        self.first_outgoing + (sequence - self.first) - closed + own
    }

    fn forward_late(&mut self, packet: &Packet) -> Option<Numbers> {
        let picture = if packet.is_padding() || self.is_opaque {
            None
        } else {
            let &(_, noted) = self.missing.iter().find(|(picture, _)| *picture == packet.picture)?;
            match noted {
                Noted::Forwarded { lag } => Some(self.picture(packet, lag)),
                Noted::Unseen { lag, temporal } if packet.temporal <= temporal || is_synced(packet) => {
                    Some(self.picture(packet, lag))
                }
                Noted::Unseen { .. } | Noted::Dropped => None,
            }
        };
        Some(self.send(packet, picture))
    }

    fn forward_in_order(&mut self, packet: &Packet) -> Option<Numbers> {
        let sequence = packet.facts.sequence.0;
        let is_gap = sequence > self.due;
        let closes_from = self.due;
        self.due = sequence + 1;
        if packet.is_padding() {
            if !is_gap {
                self.closed.insert(sequence);
                return None;
            }
            self.gap_is_pending = true;
            return Some(self.send(packet, None));
        }

        if self.is_opaque {
            return Some(self.send(packet, None));
        }
        let is_gap = std::mem::take(&mut self.gap_is_pending) || is_gap;
        let temporal_before = self.temporal;
        self.raise_temporal(packet);
        let is_above = packet.temporal > self.temporal;
        if packet.facts.marker {
            self.temporal = self.temporal.min(self.temporal_wanted);
        }
        let highest = std::mem::replace(&mut self.highest, packet.picture);
        if is_gap {
            if self.dropped.contains(&packet.picture) {
                self.closed.extend(closes_from..=sequence);
                return None;
            }
            let is_dropped = is_above && !is_synced(packet) && packet.picture != highest;
            for picture in highest..=packet.picture {
                let lag = self.lag;
                let noted = if self.dropped.contains(&picture) || is_dropped && picture == packet.picture {
                    Noted::Dropped
                } else if picture == highest || picture == packet.picture {
                    Noted::Forwarded { lag }
                } else {
                    Noted::Unseen { lag, temporal: temporal_before }
                };
                self.note_missing(picture, noted);
            }
            if is_dropped {
                push(&mut self.dropped, packet.picture);
                self.lag += 1;
                self.take_numbers(packet);
                self.closed.insert(sequence);
                return None;
            }
            if is_above {
                push(&mut self.exempt, packet.picture);
            }
        } else if is_above && !self.exempt.contains(&packet.picture) {
            if packet.picture != highest {
                push(&mut self.dropped, packet.picture);
                self.lag += 1;
            }
            self.take_numbers(packet);
            self.closed.insert(sequence);
            return None;
        }
        let picture = self.take_numbers(packet);
        Some(self.send(packet, Some(picture)))
    }

    /// Up to here all numbers are taken, by what was sent or by what may come late.
    fn take_numbers(&mut self, packet: &Packet) -> (u16, u8, u8) {
        let picture = self.picture(packet, self.lag);
        self.sent = Some(packet.picture - self.lag);
        (self.tl0.sent, self.key.sent) = (Some(picture.1), Some(picture.2));
        picture
    }

    fn send(&mut self, packet: &Packet, picture: Option<(u16, u8, u8)>) -> Numbers {
        let sequence = self.outgoing(packet.facts.sequence.0);
        self.came.insert(packet.facts.sequence.0);
        self.outgoing_next = self.outgoing_next.max(Some(sequence + 1));
        Numbers { sequence, picture }
    }

    fn raise_temporal(&mut self, packet: &Packet) {
        let descriptor = packet.facts.vp8.unwrap();
        let syncs = descriptor.temporal.unwrap().sync && descriptor.start_of_picture();
        if descriptor.key_frame {
            self.temporal = self.temporal_wanted;
        } else if self.temporal < self.temporal_wanted && packet.temporal == self.temporal + 1 && syncs {
            self.temporal += 1;
        }
    }

    fn note_missing(&mut self, picture: i64, noted: Noted) {
        match self.missing.iter_mut().find(|(other, _)| *other == picture) {
            Some((_, known)) => *known = noted,
            None => self.missing.push((picture, noted)),
        }
        if self.missing.len() > MISSING_MAX {
            self.missing.remove(0);
        }
    }

    fn picture(&self, packet: &Packet, lag: i64) -> (u16, u8, u8) {
        let descriptor = packet.facts.vp8.unwrap();
        (
            u16::try_from((packet.picture - lag).rem_euclid(0x8000)).unwrap(),
            descriptor.tl0_picture_index.unwrap().wrapping_sub(self.tl0.lag),
            descriptor.key_index.unwrap().wrapping_sub(self.key.lag) % 32,
        )
    }
}

fn is_synced(packet: &Packet) -> bool {
    packet.facts.vp8.unwrap().temporal.unwrap().sync
}

fn push(pictures: &mut Vec<i64>, picture: i64) {
    if !pictures.contains(&picture) {
        pictures.push(picture);
    }
    if pictures.len() > DROPPED_MAX {
        pictures.remove(0);
    }
}
