//! Whether packets that are missing between two others can be of a picture that later ones need (RFC 7741 §4.2).

use forward::scalable::Scalability;
use wire::vp8::Descriptor;

/// What a packet tells of the pictures around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// A number of the base layer's newest picture up to this one.
    base: u64,
    /// The same of the base layer's newest picture before this one.
    base_before: u64,
    is_base: bool,
    begins_picture: bool,
    ends_picture: bool,
}

impl Edge {
    /// `None` if the stream has no temporal layers, or does not tell.
    #[must_use]
    pub fn of(descriptor: &Descriptor, layers: &Scalability, marker: bool) -> Option<Self> {
        let (base, base_before, is_base) =
            if descriptor.is_bare() { by_dependencies(layers)? } else { by_tl0(descriptor)? };
        let begins_picture = descriptor.start_of_picture();
        Some(Self { base, base_before, is_base, begins_picture, ends_picture: marker })
    }

    /// Whether all that is missing between this packet and `next` is of layers above the base, without which the
    /// base goes on.
    #[must_use]
    pub const fn misses_only_enhancements(&self, next: &Self) -> bool {
        let is_own_end_missing = self.is_base && !self.ends_picture;
        let is_next_begin_missing = next.is_base && !next.begins_picture;
        !is_own_end_missing && !is_next_begin_missing && next.base_before == self.base
    }
}

/// TL0PICIDX counts the pictures of the base layer.
fn by_tl0(descriptor: &Descriptor) -> Option<(u64, u64, bool)> {
    let index = descriptor.tl0_picture_index?;
    let is_base = descriptor.temporal?.id == 0;
    Some((index.into(), index.wrapping_sub(is_base.into()).into(), is_base))
}

/// The chain of the lowest decode target is the base layer (AV1 RTP payload format, A.3.5): of one spatial layer.
fn by_dependencies(layers: &Scalability) -> Option<(u64, u64, bool)> {
    let dependency = layers.dependency?;
    let known = dependency.known?;
    let lowest = (0..known.targets.count()).find(|target| known.targets.get(*target).temporal == 0)?;
    let chain = known.targets.chain(lowest)?;
    let back: u64 = known.chain_differences.get(usize::from(chain)).copied()?.into();
    let is_base = known.temporal == 0;
    let frame = dependency.frame.0;
    let before = frame.saturating_sub(back);
    Some((if is_base { frame } else { before }, before, is_base))
}

#[cfg(test)]
mod tests {
    use forward::dependency::{Dependency, Known, Targets};
    use units::sequence::Seq;
    use wire::av1::dependency::CHAINS_MAX;
    use wire::av1::dependency::structure::{DecodeTarget, Differences, Indications};
    use wire::vp8::Temporal;

    use super::*;

    const BARE: Descriptor = Descriptor {
        len: 1,
        non_reference: false,
        start_of_partition: false,
        partition: 0,
        picture_id: None,
        tl0_picture_index: None,
        temporal: None,
        key_index: None,
        key_frame: false,
        dimensions: None,
    };

    fn edge(tl0: u8, temporal: u8, begins_picture: bool, ends_picture: bool) -> Edge {
        let descriptor = Descriptor {
            start_of_partition: begins_picture,
            tl0_picture_index: Some(tl0),
            temporal: Some(Temporal { id: temporal, sync: false }),
            ..BARE
        };
        Edge::of(&descriptor, &Scalability::NONE, ends_picture).unwrap()
    }

    /// Of a picture that a chain leads to, so many frames from the base picture before.
    fn chained(frame: u64, temporal: u8, back: u8, begins_picture: bool, ends_picture: bool) -> Edge {
        let targets = [0, 1].map(|temporal| DecodeTarget { spatial: 0, temporal, chain: 0 });
        let known = Known {
            spatial: 0,
            temporal,
            indications: Indications::default(),
            differences: Differences::default(),
            chain_differences: [back; CHAINS_MAX],
            structure: 1,
            targets: Targets::new(&targets, true),
            active: 0b11,
            tells_active: false,
            brings_structure: false,
        };
        let dependency = Dependency { frame: Seq(frame), end_of_frame: ends_picture, known: Some(known) };
        let layers = Scalability { vp9: None, dependency: Some(dependency) };
        let descriptor = Descriptor { start_of_partition: begins_picture, ..BARE };
        Edge::of(&descriptor, &layers, ends_picture).unwrap()
    }

    #[test]
    fn bare_descriptors_have_chains_that_tell() {
        for (name, one, next, expected) in [
            ("base, then the next base", chained(8, 0, 4, true, true), chained(12, 0, 4, true, true), true),
            ("base, then an enhancement", chained(8, 0, 4, true, true), chained(11, 1, 3, true, true), true),
            ("two enhancements of one", chained(9, 1, 1, true, true), chained(11, 1, 3, true, true), true),
            ("middle of an enhancement", chained(9, 1, 1, true, false), chained(9, 1, 1, false, true), true),
            (
                "enhancement, then the next base",
                chained(9, 1, 1, true, true),
                chained(12, 0, 4, true, true),
                true,
            ),
            ("enhancements of two bases", chained(9, 1, 1, true, true), chained(13, 1, 1, true, true), false),
            ("a whole base between", chained(8, 0, 4, true, true), chained(16, 0, 4, true, true), false),
            ("end of the base", chained(8, 0, 4, true, false), chained(9, 1, 1, true, true), false),
            ("begin of the base", chained(9, 1, 1, true, true), chained(12, 0, 4, false, true), false),
            ("middle of the base", chained(8, 0, 4, true, false), chained(8, 0, 4, false, true), false),
        ] {
            assert_eq!(one.misses_only_enhancements(&next), expected, "{name}");
        }
        assert_eq!(Edge::of(&BARE, &Scalability::NONE, true), None, "nothing tells");
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
