//! What a payload says to whoever forwards it: whether a key frame begins, and the descriptors of VP8 and VP9.

use forward::facts::{Class, Facts};
use forward::scalable::Scalability;
use wire::{av1, h264, h265, vp8, vp9};

use crate::command::Codec;

/// What was read from the front of one payload; nothing of one that is malformed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// The first packet of a key frame.
    pub key_frame: bool,
    pub vp8: Option<vp8::Descriptor>,
}

impl Picture {
    /// What VP9 tells of its layers goes to `layers`: it is large, and most packets have nothing of the kind.
    #[must_use]
    pub fn read(codec: Codec, payload: &[u8], layers: &mut Scalability) -> Self {
        let key_frame = match codec {
            Codec::Vp8 => {
                let vp8 = vp8::Descriptor::parse(payload).ok();
                let key_frame = vp8.is_some_and(|descriptor| descriptor.key_frame);
                return Self { key_frame, vp8 };
            }
            Codec::Vp9 => {
                layers.vp9 = vp9::Descriptor::parse(payload).ok();
                layers.vp9.is_some_and(|descriptor| descriptor.key_frame())
            }
            Codec::H264 => h264::Units::parse(payload).is_ok_and(h264::Units::key_frame),
            Codec::H265 => h265::Units::parse(payload).is_ok_and(h265::Units::key_frame),
            Codec::Av1 => av1::Aggregation::parse(payload).is_ok_and(|aggregation| aggregation.key_frame()),
            Codec::Opus | Codec::Red | Codec::Pcmu | Codec::Pcma => false,
        };
        Self { key_frame, vp8: None }
    }
}

/// What a codec asks of forwarding.
#[must_use]
pub const fn class(codec: Codec) -> Class {
    match codec {
        Codec::Opus | Codec::Red | Codec::Pcmu | Codec::Pcma => Class::Audio,
        Codec::Vp8 => Class::Vp8,
        Codec::Vp9 => Class::Vp9,
        Codec::H264 | Codec::H265 | Codec::Av1 => Class::Video,
    }
}

/// Whether pictures that follow may depend on the one of a packet: all do that are not known to be above the lowest
/// temporal layer.
#[must_use]
pub fn is_needed(codec: Codec, payload: &[u8], facts: &Facts, layers: &Scalability) -> bool {
    let of_vp8 = || Some(facts.vp8?.temporal?.id);
    let of_h265 = || match codec {
        Codec::H265 => Some(h265::Units::parse(payload).ok()?.temporal),
        _ => None,
    };
    let temporal = of_vp8().or_else(|| layers.temporal()).or_else(of_h265);
    temporal.is_none_or(|temporal| temporal == 0)
}

#[cfg(test)]
mod tests {
    use forward::dependency::{Dependency, Known, Targets};
    use units::rtp::Ssrc;
    use units::sequence::Seq;
    use wire::av1::dependency::CHAINS_MAX;
    use wire::av1::dependency::structure::{Differences, Indications};

    use super::*;

    #[test]
    fn picture_above_the_lowest_temporal_layer_is_not_needed() {
        let dependency = |temporal| {
            let known = Known {
                spatial: 0,
                temporal,
                indications: Indications::default(),
                differences: Differences::default(),
                chain_differences: [0; CHAINS_MAX],
                structure: 1,
                targets: Targets::new(&[], false),
                active: 0,
                tells_active: false,
                brings_structure: false,
            };
            let dependency = Dependency { frame: Seq(1), end_of_frame: true, known: Some(known) };
            Some(dependency)
        };
        for (name, codec, payload, dependency, expected) in [
            ("VP8 without layers", Codec::Vp8, &[0x10, 1][..], None, true),
            ("VP8, lowest", Codec::Vp8, &[0x90, 0x20, 0x00, 1], None, true),
            ("VP8, above", Codec::Vp8, &[0x90, 0x20, 0x40, 1], None, false),
            ("VP8 without layers of its own, lowest", Codec::Vp8, &[0x10, 1], dependency(0), true),
            ("VP8 without layers of its own, above", Codec::Vp8, &[0x10, 1], dependency(1), false),
            ("VP9, lowest", Codec::Vp9, &[0xac, 0x80, 1, 0x00, 0, 1], None, true),
            ("VP9, above", Codec::Vp9, &[0xac, 0x80, 1, 0x20, 0, 1], None, false),
            ("H265, lowest", Codec::H265, &[0x02, 0x01, 1], None, true),
            ("H265, above", Codec::H265, &[0x02, 0x02, 1], None, false),
            ("H265, malformed", Codec::H265, &[0x02], None, true),
            ("H264 with descriptors, above", Codec::H264, &[0x41, 1], dependency(2), false),
            ("H264", Codec::H264, &[0x41, 1], None, true),
            ("audio", Codec::Opus, &[0x02, 0x02, 1], None, true),
        ] {
            let mut layers = Scalability { vp9: None, dependency };
            let picture = Picture::read(codec, payload, &mut layers);
            let facts = Facts {
                source: Ssrc(1),
                layer: 0,
                sequence: Seq(1),
                out_of_order: false,
                timestamp: 0,
                marker: true,
                payload_len: payload.len(),
                key_frame: picture.key_frame,
                vp8: picture.vp8,
                reference: None,
            };
            assert_eq!(is_needed(codec, payload, &facts, &layers), expected, "{name}");
        }
    }
}
