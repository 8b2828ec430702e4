//! The other workers that need packets of a publication whose home is here: one edge to each, for as long as it says so.

use alloc::vec::Vec;
use core::time::Duration;

use units::handle::WorkerIndex;
use units::time::Instant;

use crate::relay::{Demand, bit, layers};

/// The edges of one publication, at most [`EDGES_MAX`].
#[derive(Debug, Default)]
pub struct Edges {
    list: Vec<Edge>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    pub to: WorkerIndex,
    /// The layers that go there, one bit each.
    pub layers: u8,
    /// Of them, those that somebody there gets already.
    pub current: u8,
    layers_max: u8,
    /// Pictures of other layers since the last packet that went there.
    silent_pictures: u8,
    /// Packets that were lost since the last one for which there was room.
    lost: u64,
    expires_at: Instant,
}

/// What a demand came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The edge is there now.
    Needed,
    /// There is no edge any more.
    Ended,
    /// There are as many as there may be.
    TooMany,
}

impl Edges {
    /// Takes what a worker needs in the place of what it said before. [`Self::fit`] is to follow.
    pub fn hear(&mut self, now: Instant, from: WorkerIndex, demand: &Demand) -> Heard {
        if demand.is_nothing() {
            self.list.retain(|edge| edge.to != from);
            return Heard::Ended;
        }
        let edge = Edge {
            to: from,
            layers: 0,
            current: demand.current,
            layers_max: demand.layers_max,
            silent_pictures: 0,
            lost: 0,
            expires_at: now + EXPIRES_AFTER,
        };
        if let Some(known) = self.list.iter_mut().find(|edge| edge.to == from) {
            let Edge { silent_pictures, lost, .. } = *known;
            *known = Edge { silent_pictures, lost, ..edge };
        } else if self.list.len() < EDGES_MAX {
            self.list.push(edge);
        } else {
            return Heard::TooMany;
        }
        Heard::Needed
    }

    pub fn clear(&mut self) {
        self.list.clear();
    }

    /// Ends the edges of which nothing was heard for long. Returns how many.
    pub fn expire(&mut self, now: Instant) -> u64 {
        let before = self.list.len();
        self.list.retain(|edge| now < edge.expires_at);
        (before - self.list.len()) as u64
    }

    /// Finds out which layers go where; `best_layer` is the best one there is up to another.
    pub fn fit(&mut self, best_layer: impl Fn(u8) -> Option<u8>) {
        for edge in &mut self.list {
            let wanted = layers(edge.layers_max).filter_map(&best_layer);
            edge.layers = wanted.fold(edge.current, |layers, layer| layers | bit(layer));
        }
    }

    /// Whether a layer is shown to somebody on another worker.
    #[must_use]
    pub fn show(&self, layer: u8) -> bool {
        self.list.iter().any(|edge| edge.current & bit(layer) != 0)
    }

    /// The layers that go anywhere.
    #[must_use]
    pub fn layers(&self) -> u8 {
        self.list.iter().fold(0, |layers, edge| layers | edge.layers)
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Edge> {
        self.list.iter_mut()
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

impl Edge {
    /// Whether a packet of a layer, which may end a picture, is to go there.
    ///
    /// Who gets one layer takes it for dead by the pictures of others that come without it. So those are sent, too, when
    /// nothing else goes there any more.
    pub fn takes(&mut self, layer: u8, ends_picture: bool) -> bool {
        if self.layers & bit(layer) != 0 {
            self.silent_pictures = 0;
            return true;
        }
        self.silent_pictures = self.silent_pictures.saturating_add(u8::from(ends_picture));
        self.silent_pictures > SILENT_PICTURES && bit(layer) < self.layers_max
    }

    /// How many packets are missing there before one that is missing `before` here.
    #[must_use]
    pub const fn missing(&self, before: u64) -> u64 {
        self.lost.saturating_add(before)
    }

    /// Notes whether there was room for a packet that was missing `before` here.
    pub const fn noted(&mut self, had_room: bool, before: u64) {
        self.lost = if had_room { 0 } else { self.missing(before).saturating_add(1) };
    }
}

/// How many pictures of others come before they are sent in the place of what is needed: a quarter of a second of one.
const SILENT_PICTURES: u8 = 8;
/// How long a demand holds: some of those that renew it may be lost.
pub const EXPIRES_AFTER: Duration = Duration::from_secs(5);
/// As many other workers as there may be.
pub const EDGES_MAX: usize = 1_295;

#[cfg(test)]
mod tests {
    use super::*;
    use units::handle::PublicationId;

    const B: WorkerIndex = WorkerIndex(1);
    const C: WorkerIndex = WorkerIndex(2);

    const fn ms(ms: u64) -> Instant {
        Instant(ms * 1_000_000)
    }

    fn demand(layers_max: u8, current: u8) -> Demand {
        Demand { layers_max, current, ..Demand::nothing(PublicationId(1)) }
    }

    fn edges(edges: &Edges) -> Vec<(u16, u8)> {
        edges.list.iter().map(|edge| (edge.to.0, edge.layers)).collect()
    }

    #[test]
    fn what_is_needed_is_the_best_of_what_there_is_and_what_is_shown() {
        for (name, layers_max, current, live, expected) in [
            ("highest", 0b100, 0, 2, 0b100),
            ("highest, not live", 0b100, 0, 1, 0b010),
            ("two wishes come to one layer", 0b110, 0, 1, 0b010),
            ("two layers", 0b101, 0, 2, 0b101),
            ("shown until the switch", 0b100, 0b001, 2, 0b101),
            ("shown only", 0, 0b010, 2, 0b010),
        ] {
            let mut list = Edges::default();
            assert_eq!(list.hear(ms(0), B, &demand(layers_max, current)), Heard::Needed, "{name}");
            list.fit(|layer_max| Some(layer_max.min(live)));
            assert_eq!(edges(&list), [(1, expected)], "{name}");
            assert!((0..3).all(|layer| list.show(layer) == (current & bit(layer) != 0)), "{name}");
        }
    }

    #[test]
    fn others_go_where_a_layer_fell_silent_until_it_comes_again() {
        let mut list = Edges::default();
        list.hear(ms(0), B, &demand(0b010, 0b010));
        list.fit(Some);
        let edge = list.iter_mut().next().unwrap();
        for (name, layer, pictures, expected) in [
            ("another layer", 0, 8, false),
            ("its own", 1, 1, true),
            ("another again", 0, 8, false),
            ("too long", 0, 3, true),
            ("above what is wanted", 2, 3, false),
            ("its own again", 1, 1, true),
            ("as before", 0, 3, false),
        ] {
            for _ in 0..pictures {
                assert_eq!(edge.takes(layer, true), expected, "{name}");
            }
            assert_eq!(edge.takes(layer, false), expected, "{name}: the middle of a picture");
        }
    }

    #[test]
    fn edge_lasts_as_long_as_it_is_renewed_or_until_nothing_is_needed() {
        let mut list = Edges::default();
        list.hear(ms(0), B, &demand(1, 0));
        list.hear(ms(0), C, &demand(1, 0));
        list.hear(ms(3_000), B, &demand(1, 1));
        assert_eq!(list.expire(ms(4_999)), 0);
        assert_eq!(list.expire(ms(5_000)), 1);
        assert_eq!(edges(&list).len(), 1);
        assert_eq!(list.hear(ms(5_000), B, &demand(0, 0)), Heard::Ended);
        assert!(list.is_empty());
        assert_eq!(list.hear(ms(5_000), B, &demand(0, 0)), Heard::Ended, "again");
    }

    #[test]
    fn there_are_not_more_edges_than_allowed() {
        let mut list = Edges::default();
        for worker in 0..=u16::try_from(EDGES_MAX).unwrap() {
            let expected = if usize::from(worker) < EDGES_MAX { Heard::Needed } else { Heard::TooMany };
            assert_eq!(list.hear(ms(0), WorkerIndex(worker), &demand(1, 0)), expected);
        }
        assert_eq!(list.hear(ms(1), WorkerIndex(7), &demand(1, 0)), Heard::Needed, "is there already");
    }
}
