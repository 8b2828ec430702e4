//! A source's dependency descriptors: the structure that they refer to, and their frame numbers without wraps.

use forward::dependency::{Dependency, Known, Targets};
use units::sequence::{Seq, Seq16};
use units::time::Instant;
use wire::av1::dependency::structure::Structure;
use wire::av1::dependency::{Descriptor, Mandatory, has_structure};

use crate::ingress::spatial::SpatialLayers;

/// What was learnt from the descriptors of one source. Large: it is made at the first one.
#[derive(Debug, Default)]
pub struct Dependencies {
    known: Option<Brought>,
    /// The last structure can't be read: then descriptors say nothing until another one comes.
    is_unreadable: bool,
    /// Counts structures that differ.
    version: u32,
    highest: Option<Seq>,
    /// What the publisher sends, and the frame that said so.
    active: u32,
    active_since: Option<Seq>,
    layers: SpatialLayers,
    /// Decode targets that are not sent, whatever was said.
    silent: u32,
}

/// A structure, and the key frame that brought it.
#[derive(Debug)]
struct Brought {
    frame: Seq,
    structure: Structure,
    targets: Targets,
}

/// What a packet's descriptor told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    pub dependency: Dependency,
    /// The packet begins a key frame. `None` if that takes a structure that is not known.
    pub key_frame: Option<bool>,
}

impl Dependencies {
    /// Reads the descriptor of a packet, which may be late. `None` if it tells nothing.
    pub fn read(&mut self, now: Instant, data: &[u8]) -> Option<Told> {
        let mandatory = Mandatory::parse(data)?;
        let newest = self.highest;
        let frame = self.extend(mandatory.frame_number);
        if has_structure(data) {
            let structure = Structure::brought_by(data).ok().flatten();
            let is_newest = self.known.as_ref().is_none_or(|known| known.frame <= frame);
            match structure {
                Some(structure) if is_newest => self.adopt(frame, structure),
                Some(structure) => return told_by(&structure, data, frame),
                None => {
                    self.known = None;
                    self.is_unreadable = true;
                }
            }
        }
        if self.is_unreadable {
            return None;
        }
        let descriptor = self.known.as_ref().and_then(|known| Descriptor::parse(data, &known.structure).ok());
        let (Some(descriptor), Some(known)) = (descriptor, &self.known) else {
            let dependency = Dependency { frame, end_of_frame: mandatory.end_of_frame, known: None };
            return Some(Told { dependency, key_frame: None });
        };
        if let Some(active) = descriptor.active_decode_targets
            && self.active_since <= Some(frame)
        {
            self.active = active;
            self.active_since = Some(frame);
        }
        if self.layers.observe(now, descriptor.spatial, newest < Some(frame)) {
            self.silent = self.layers.silent(&known.targets);
        }
        // A source of which all is silent is none that could be understood.
        let heard = Some(self.active & !self.silent).filter(|heard| *heard != 0);
        Some(told(&descriptor, frame, known.targets, self.version, heard.unwrap_or(self.active)))
    }

    fn extend(&mut self, frame_number: u16) -> Seq {
        // In the second cycle, so that what came before the first one has a number, too.
        let start = Seq(0x1_0000 | u64::from(frame_number));
        let frame = self.highest.map_or(start, |highest| highest.nearest(Seq16(frame_number)));
        self.highest = self.highest.max(Some(frame));
        frame
    }

    /// Unless the key frame says otherwise, all of its decode targets are sent.
    fn adopt(&mut self, frame: Seq, structure: Structure) {
        self.is_unreadable = false;
        self.active = structure.all_decode_targets();
        self.active_since = Some(frame);
        match &mut self.known {
            Some(known) if known.structure == structure => known.frame = frame,
            known => {
                self.version = self.version.wrapping_add(1);
                let targets = Targets::of(&structure);
                self.silent = self.layers.silent(&targets);
                *known = Some(Brought { frame, targets, structure });
            }
        }
    }
}

/// A key frame from before the last one, which came late.
fn told_by(structure: &Structure, data: &[u8], frame: Seq) -> Option<Told> {
    let descriptor = Descriptor::parse(data, structure).ok()?;
    let active = descriptor.active_decode_targets.unwrap_or_else(|| structure.all_decode_targets());
    Some(told(&descriptor, frame, Targets::of(structure), 0, active))
}

fn told(descriptor: &Descriptor, frame: Seq, targets: Targets, structure: u32, active: u32) -> Told {
    let known = Known {
        spatial: descriptor.spatial,
        temporal: descriptor.temporal,
        indications: descriptor.indications,
        differences: descriptor.differences,
        chain_differences: descriptor.chain_differences,
        structure,
        targets,
        active,
        tells_active: descriptor.active_decode_targets.is_some(),
        brings_structure: descriptor.brings_structure,
    };
    let dependency =
        Dependency { frame, end_of_frame: descriptor.mandatory.end_of_frame, known: Some(known) };
    Told { dependency, key_frame: Some(descriptor.key_frame()) }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::tests::dependency_structure;

    const NOW: Instant = Instant(0);

    /// The first packet of a key frame.
    fn key(frame: u16) -> Vec<u8> {
        [&delta(frame)[..], &dependency_structure()].concat()
    }

    fn delta(frame: u16) -> [u8; 3] {
        let [high, low] = frame.to_be_bytes();
        [0x80, high, low]
    }

    fn read(dependencies: &mut Dependencies, data: &[u8]) -> Option<(u64, Option<u32>, Option<bool>)> {
        let told = dependencies.read(NOW, data)?;
        let structure = told.dependency.known.map(|known| known.structure);
        Some((told.dependency.frame.0 - 0x1_0000, structure, told.key_frame))
    }

    #[test]
    fn frame_numbers_never_wrap_and_late_ones_leave_no_trace() {
        let mut dependencies = Dependencies::default();
        for (name, data, expected) in [
            ("no structure yet", &delta(65_533)[..], Some((65_533, None, None))),
            ("key frame", &key(65_534), Some((65_534, Some(1), Some(true)))),
            ("wrapped", &delta(1), Some((65_537, Some(1), Some(false)))),
            ("late", &delta(65_535), Some((65_535, Some(1), Some(false)))),
            ("same structure", &key(3), Some((65_539, Some(1), Some(true)))),
            ("late key frame", &key(2), Some((65_538, Some(0), Some(true)))),
            ("goes on", &delta(4), Some((65_540, Some(1), Some(false)))),
            ("template of another structure", &[0xbf, 0, 5], Some((65_541, None, None))),
            ("cut off", &[0x80, 0], None),
        ] {
            assert_eq!(read(&mut dependencies, data), expected, "{name}");
        }
    }

    #[test]
    fn structure_that_cannot_be_read_silences_descriptors_until_the_next() {
        let mut dependencies = Dependencies::default();
        let broken = [&delta(2)[..], &[0x80]].concat();
        for (name, data, expected) in [
            ("key frame", &key(1)[..], Some((1, Some(1), Some(true)))),
            ("broken", &broken, None),
            ("refers to it", &delta(3), None),
            ("the next", &key(4), Some((4, Some(2), Some(true)))),
        ] {
            assert_eq!(read(&mut dependencies, data), expected, "{name}");
        }
    }

    #[test]
    fn active_decode_targets_hold_until_others_are_told() {
        let mut dependencies = Dependencies::default();
        let fewer = |frame, bits: u8| [&delta(frame)[..], &[0b0100_0000 | bits << 1]].concat();
        for (name, data, active, tells) in [
            ("a structure has all", &key(1)[..], 0b11, false),
            ("fewer", &fewer(3, 0b01), 0b01, true),
            ("since then", &delta(4), 0b01, false),
            ("said before, came late", &fewer(2, 0b10), 0b01, true),
            ("another key frame", &key(5), 0b11, false),
        ] {
            let known = dependencies.read(NOW, data).unwrap().dependency.known.unwrap();
            assert_eq!((known.active, known.tells_active), (active, tells), "{name}");
        }
    }

    #[test]
    fn layer_that_stopped_without_a_word_is_not_active_until_it_comes_again() {
        let mut dependencies = Dependencies::default();
        let mut active = |ms: u64, data: &[u8]| {
            let told = dependencies.read(Instant(ms * 1_000_000), data).unwrap();
            told.dependency.known.unwrap().active
        };
        // Template 1 is of the lower layer, 3 of the upper one.
        let above = |frame: u16| {
            let [_, high, low] = delta(frame);
            [0x83, high, low]
        };
        let base = |frame: u16| {
            let [_, high, low] = delta(frame);
            [0x81, high, low]
        };
        active(0, &key(1));
        assert_eq!(active(0, &above(2)), 0b11);
        for (picture, ms) in (1..).zip([33, 66, 99, 132, 500]) {
            assert_eq!(active(ms, &base(2 + picture)), 0b11, "{ms} ms");
        }
        assert_eq!(active(533, &base(8)), 0b01);
        assert_eq!(active(566, &key(9)), 0b01, "nor is it behind a key frame that says nothing of it");
        assert_eq!(active(600, &above(10)), 0b11);
    }
}
