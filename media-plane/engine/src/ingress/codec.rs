//! What a payload says to whoever forwards it: whether a key frame begins, and the descriptors of VP8 and VP9.

use forward::facts::Class;
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
