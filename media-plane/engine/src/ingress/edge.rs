//! Whether packets that are missing between two others can be of a picture that later ones need (RFC 7741 §4.2).

use wire::vp8::Descriptor;

/// What a packet tells of the pictures around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Counts the pictures of the base layer.
    tl0: u8,
    is_base: bool,
    begins_picture: bool,
    ends_picture: bool,
}

impl Edge {
    /// `None` if the stream has no temporal layers, or does not tell.
    #[must_use]
    pub fn of(descriptor: &Descriptor, marker: bool) -> Option<Self> {
        Some(Self {
            tl0: descriptor.tl0_picture_index?,
            is_base: descriptor.temporal?.id == 0,
            begins_picture: descriptor.start_of_picture(),
            ends_picture: marker,
        })
    }

    /// Whether all that is missing between this packet and `next` is of layers above the base, without which the
    /// base goes on.
    #[must_use]
    pub const fn misses_only_enhancements(&self, next: &Self) -> bool {
        let is_own_end_missing = self.is_base && !self.ends_picture;
        let is_next_begin_missing = next.is_base && !next.begins_picture;
        let bases_between = next.tl0.wrapping_sub(self.tl0).wrapping_sub(next.is_base as u8);
        !is_own_end_missing && !is_next_begin_missing && bases_between == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn edge(tl0: u8, temporal: u8, begins_picture: bool, ends_picture: bool) -> Edge {
        Edge { tl0, is_base: temporal == 0, begins_picture, ends_picture }
    }

    #[test]
    fn missing_packets_are_told_by_their_neighbours() {
        for (name, one, next, expected) in [
            ("base, then the next base", edge(7, 0, true, true), edge(8, 0, true, true), true),
            ("over the wrap", edge(255, 2, true, true), edge(0, 0, true, false), true),
            ("base, then an enhancement of it", edge(7, 0, true, true), edge(7, 1, true, true), true),
            ("middle of an enhancement", edge(7, 2, true, false), edge(7, 2, false, true), true),
            ("enhancements of two bases", edge(7, 2, true, true), edge(8, 2, true, true), false),
            ("a whole base between", edge(7, 0, true, true), edge(9, 0, true, true), false),
            ("end of the base", edge(7, 0, true, false), edge(7, 1, true, true), false),
            ("begin of the base", edge(7, 2, true, true), edge(8, 0, false, true), false),
            ("middle of the base", edge(7, 0, true, false), edge(7, 0, false, true), false),
        ] {
            assert_eq!(one.misses_only_enhancements(&next), expected, "{name}");
        }
    }
}
