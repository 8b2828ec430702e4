//! VP8 whose own descriptors tell nothing of pictures and layers, because dependency descriptors tell it all: what
//! Chromium sends where those are negotiated. Then decode targets decide, and the payload goes out as it came.

use alloc::boxed::Box;

use crate::facts::Facts;
use crate::forwarder::Forwarder;
use crate::scalable::{Scalability, Scalable};

impl Forwarder {
    /// Whether a key frame of VP8 changes what tells of its layers: then it begins anew, as if it had another source.
    #[cold]
    pub(super) fn is_told_otherwise(&self, facts: &Facts, layers: &Scalability) -> bool {
        let by_dependencies = self.scalable.as_ref().is_some_and(|scalable| scalable.decides());
        self.vp8.is_some() && by_dependencies != leaves_it_to_dependencies(facts, layers)
    }

    /// What begins with this key frame has its layers told so.
    pub(super) fn switch_layers(&mut self, facts: &Facts, layers: &Scalability) {
        let is_plain = self.vp8.is_some() && !leaves_it_to_dependencies(facts, layers);
        let layers = if is_plain { &Scalability::NONE } else { layers };
        if self.vp8.is_some() && !is_plain && self.scalable.is_none() {
            let mut scalable = Box::new(Scalable::of_opaque());
            scalable.set_limits(self.limits);
            self.scalable = Some(scalable);
        }
        if let Some(scalable) = &mut self.scalable {
            scalable.switch(layers);
        }
    }
}

fn leaves_it_to_dependencies(facts: &Facts, layers: &Scalability) -> bool {
    let is_known = layers.dependency.is_some_and(|dependency| dependency.known.is_some());
    is_known && facts.vp8.is_some_and(|descriptor| descriptor.is_bare())
}

#[cfg(test)]
mod tests {
    use units::rtp::Ssrc;
    use units::sequence::Seq;
    use units::time::Instant;
    use wire::av1::dependency::CHAINS_MAX;
    use wire::av1::dependency::structure::{DecodeTarget, Differences, Indication};
    use wire::picture_id::PictureId;
    use wire::vp8::{Descriptor, Temporal};

    use crate::dependency::{Dependency, Known, Limits, Targets};
    use crate::discard::Reason;
    use crate::facts::Class;
    use crate::forwarder::Forwarder;
    use crate::forwarder::own::Padding;
    use crate::rewrite::Rewrite;
    use crate::select::Choice;

    use super::*;

    const NOW: Instant = Instant(0);
    const BARE: Descriptor = Descriptor {
        len: 1,
        non_reference: false,
        start_of_partition: true,
        partition: 0,
        picture_id: None,
        tl0_picture_index: None,
        temporal: None,
        key_index: None,
        key_frame: false,
        dimensions: None,
    };

    type Packet = (Facts, Scalability);

    /// A picture of one packet, of a source with three temporal layers, which depends on the one `back` before.
    fn bare(layer: u8, sequence: u64, frame: u64, temporal: u8, back: u16) -> Packet {
        let targets = [0, 1, 2].map(|temporal| DecodeTarget { spatial: 0, temporal, chain: 0 });
        let indications = targets.iter().map(|target| match temporal {
            _ if temporal > target.temporal => Indication::NotPresent,
            2 => Indication::Discardable,
            _ => Indication::Switch,
        });
        let mut differences = Differences::default();
        if back > 0 {
            differences.push(back).unwrap();
        }
        let to_base = if temporal == 0 { back.into() } else { frame % 4 };
        let known = Known {
            spatial: 0,
            temporal,
            indications: indications.collect(),
            differences,
            chain_differences: [u8::try_from(to_base).unwrap(); CHAINS_MAX],
            structure: 1,
            targets: Targets::new(&targets, true),
            active: 0b111,
            tells_active: false,
            brings_structure: back == 0,
        };
        let dependency = Dependency { frame: Seq(frame), end_of_frame: true, known: Some(known) };
        let key_frame = back == 0;
        let facts = Facts {
            source: Ssrc(layer.into()),
            layer,
            marker: true,
            key_frame,
            vp8: Some(Descriptor { key_frame, ..BARE }),
            ..crate::forwarder::tests::audio(sequence)
        };
        (facts, Scalability { vp9: None, dependency: Some(dependency) })
    }

    fn key(layer: u8, sequence: u64, frame: u64) -> Packet {
        bare(layer, sequence, frame, 0, 0)
    }

    fn full(layer: u8, sequence: u64, picture: u16, key_frame: bool) -> Packet {
        let (facts, _) = bare(layer, sequence, 0, 0, u16::from(!key_frame));
        let descriptor = Descriptor {
            len: 6,
            picture_id: Some(PictureId::Fifteen(picture)),
            tl0_picture_index: Some(9),
            temporal: Some(Temporal { id: 0, sync: true }),
            key_index: Some(3),
            key_frame,
            ..BARE
        };
        (Facts { vp8: Some(descriptor), ..facts }, Scalability::NONE)
    }

    fn late((facts, layers): Packet) -> Packet {
        (Facts { out_of_order: true, ..facts }, layers)
    }

    fn padding((facts, _): Packet) -> Packet {
        (Facts { payload_len: 0, vp8: None, key_frame: false, ..facts }, Scalability::NONE)
    }

    fn forwarder(temporal: u8) -> Forwarder {
        let mut forwarder = Forwarder::new(Class::Vp8, 90_000);
        forwarder.set_target(Some(0), temporal);
        forwarder.set_limits(Limits { spatial: u8::MAX, temporal });
        forwarder
    }

    /// Which number tells of the picture.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Number {
        Picture(u16),
        Frame(u16),
        /// The payload is left out.
        Empty,
        None,
    }

    fn number(rewrite: Rewrite) -> (u64, Number) {
        let number = match (rewrite.patch, rewrite.descriptor) {
            (None, Some(descriptor)) => Number::Frame(descriptor.frame_number),
            (Some(patch), None) if patch.len == 0 => Number::Empty,
            (Some(patch), None) => {
                let descriptor = Descriptor::parse(&[patch.as_bytes(), &[1]].concat()).unwrap();
                Number::Picture(descriptor.picture_id.unwrap().value())
            }
            (None, None) => Number::None,
            both => panic!("{both:?}"),
        };
        (rewrite.sequence.0, number)
    }

    fn forward(forwarder: &mut Forwarder, (facts, layers): &Packet) -> Result<(u64, Number), Reason> {
        forwarder.forward_layered(NOW, facts, layers).map(number)
    }

    #[test]
    fn pictures_pass_by_decode_target_with_their_payload_as_it_is() {
        use Number::{Empty, Frame, None};
        let mut forwarder = forwarder(1);
        for (name, packet, expected) in [
            ("key frame", key(0, 100, 40), Ok((100, Frame(40)))),
            ("above", bare(0, 101, 41, 2, 1), Err(Reason::OtherTarget)),
            ("wanted", bare(0, 102, 42, 1, 2), Ok((101, Frame(42)))),
            ("padding is closed up", padding(bare(0, 103, 0, 0, 0)), Err(Reason::Padding)),
            ("behind a gap", bare(0, 106, 44, 0, 4), Ok((104, Frame(44)))),
            ("late, above, in the gap", late(bare(0, 105, 43, 2, 1)), Ok((103, Empty))),
            ("once more", late(bare(0, 106, 44, 0, 4)), Err(Reason::Duplicate)),
            ("padding behind a gap", padding(bare(0, 108, 0, 0, 0)), Ok((106, None))),
            ("late, wanted, in that gap", late(bare(0, 107, 46, 1, 2)), Ok((105, Frame(46)))),
            ("goes on", bare(0, 109, 48, 0, 4), Ok((107, Frame(48)))),
        ] {
            assert_eq!(forward(&mut forwarder, &packet), expected, "{name}");
        }
        forwarder.set_limits(Limits { spatial: u8::MAX, temporal: 0 });
        for (name, packet, expected) in [
            ("base", bare(0, 110, 52, 0, 4), Ok((108, Frame(52)))),
            ("not wanted any more", bare(0, 111, 54, 1, 2), Err(Reason::OtherTarget)),
        ] {
            assert_eq!(forward(&mut forwarder, &packet), expected, "{name}");
        }
    }

    #[test]
    fn each_numbering_goes_on_where_it_was_left_whatever_came_between() {
        use Number::{Frame, Picture};
        let mut forwarder = forwarder(2);
        for (name, layer, packet, expected) in [
            ("full", 0, full(0, 10, 500, true), (10, Picture(500))),
            ("goes on", 0, full(0, 11, 501, false), (11, Picture(501))),
            ("another layer, bare", 1, key(1, 7_000, 40), (12, Frame(40))),
            ("goes on", 1, bare(1, 7_001, 41, 2, 1), (13, Frame(41))),
            ("a third layer, bare, too", 2, key(2, 300, 9_000), (14, Frame(42))),
            ("goes on", 2, bare(2, 301, 9_002, 1, 2), (15, Frame(44))),
            ("full again", 0, full(0, 60, 700, true), (16, Picture(502))),
            ("goes on", 0, full(0, 61, 701, false), (17, Picture(503))),
            ("bare again", 1, key(1, 8_000, 80), (18, Frame(45))),
            ("the same source, full from here on", 1, full(1, 8_001, 3, true), (19, Picture(504))),
            ("goes on", 1, full(1, 8_002, 4, false), (20, Picture(505))),
            ("the same source, bare from here on", 1, key(1, 8_003, 88), (21, Frame(46))),
            ("goes on", 1, bare(1, 8_004, 92, 0, 4), (22, Frame(50))),
        ] {
            forwarder.set_target(Some(layer), 2);
            assert_eq!(forward(&mut forwarder, &packet), Ok(expected), "{name}");
        }
    }

    #[test]
    fn late_packets_from_before_a_change_of_descriptors_show_nothing() {
        let mut forwarder = forwarder(2);
        for (name, packet, expected) in [
            ("bare", key(0, 10, 40), Ok((10, Number::Frame(40)))),
            ("full, behind a gap, which is closed", full(0, 12, 500, true), Ok((11, Number::Picture(500)))),
            ("late, bare", late(bare(0, 11, 44, 0, 4)), Err(Reason::TooLate)),
            ("bare, behind a gap", key(0, 14, 48), Ok((12, Number::Frame(41)))),
            ("late, full", late(full(0, 13, 501, false)), Err(Reason::TooLate)),
            ("late, full, a key frame", late(full(0, 13, 501, true)), Err(Reason::TooLate)),
        ] {
            assert_eq!(forward(&mut forwarder, &packet), expected, "{name}");
        }
    }

    #[test]
    fn bare_descriptors_alone_let_everything_pass_as_it_is() {
        let unknown = |(facts, layers): Packet| {
            let dependency = layers.dependency.map(|dependency| Dependency { known: None, ..dependency });
            (facts, Scalability { dependency, ..layers })
        };
        for (name, strip) in [
            ("no dependency descriptors", (|(facts, _)| (facts, Scalability::NONE)) as fn(Packet) -> Packet),
            ("their structure is missing", unknown),
        ] {
            let mut forwarder = forwarder(0);
            for (packet, expected) in [(key(0, 10, 40), 10), (bare(0, 11, 41, 2, 1), 11)] {
                let sent = forward(&mut forwarder, &strip(packet));
                assert_eq!(sent, Ok((expected, Number::None)), "{name}");
            }
            let sent = forward(&mut forwarder, &key(0, 12, 48));
            assert_eq!(sent, Ok((12, Number::Frame(48))), "{name}: until a key frame has one");
            assert_eq!(forward(&mut forwarder, &bare(0, 13, 49, 2, 1)), Err(Reason::OtherTarget), "{name}");
        }
    }

    #[test]
    fn key_frames_of_our_own_and_padding_stand_between_pictures() {
        let mut forwarder = forwarder(2);
        forward(&mut forwarder, &key(0, 10, 40)).unwrap();
        let run = forwarder.pad(NOW, Padding { count: 2, frames_per_second: 30, force: false }).unwrap();
        assert_eq!(run.count(), 2);
        let own = forwarder.insert(NOW, 30).unwrap();
        let descriptor = own.patch.unwrap();
        let descriptor = Descriptor::parse(&[descriptor.as_bytes(), &[1]].concat()).unwrap();
        assert!(descriptor.is_bare(), "as are the publisher's");
        assert_eq!((own.sequence.0, own.descriptor), (13, None));
        for (name, packet, expected) in [
            ("needs a key frame", bare(0, 11, 44, 0, 4), Err(Reason::AwaitingKeyFrame)),
            ("which goes on", key(0, 12, 48), Ok((14, Number::Frame(41)))),
        ] {
            assert_eq!(forward(&mut forwarder, &packet), expected, "{name}");
        }
    }

    #[test]
    fn broken_chain_asks_for_a_key_frame_of_the_layer() {
        let mut forwarder = forwarder(0);
        let (facts, layers) = key(0, 10, 40);
        assert_eq!(forwarder.choose(NOW, &facts, &layers), Ok(Choice::Switch));
        forwarder.forward_layered(NOW, &facts, &layers).unwrap();
        assert_eq!(forward(&mut forwarder, &bare(0, 12, 48, 0, 4)), Ok((12, Number::Frame(48))));
        assert_eq!(forwarder.needs_key_frame(), None, "what is missing may come");
        let (facts, layers) = bare(0, 13, 52, 0, 4);
        let second_later = Instant(1_000_000_000);
        assert_eq!(forwarder.forward_layered(second_later, &facts, &layers), Err(Reason::Undecodable));
        assert_eq!(forwarder.needs_key_frame(), Some(0));
    }
}
