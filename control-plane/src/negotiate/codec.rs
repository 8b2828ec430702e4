//! The codecs that are forwarded, and how one client's payload of a codec is told from another's.

use proto::media::v1 as proto;
use serde::{Deserialize, Serialize};

/// What a media section is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Audio,
    Video,
}

impl Kind {
    #[must_use]
    pub const fn to_proto(self) -> proto::MediaKind {
        match self {
            Self::Audio => proto::MediaKind::Audio,
            Self::Video => proto::MediaKind::Video,
        }
    }
}

/// A codec that we forward. RTX (RFC 4588) is not one: it is a property of the payload that it repairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    Opus,
    Red,
    Pcmu,
    Pcma,
    Vp8,
    Vp9,
    H264,
    Av1,
    H265,
}

impl Codec {
    /// From a media type as LiveKit writes it, `video/VP8`; the case does not matter.
    #[must_use]
    pub fn from_mime(mime: &str) -> Option<Self> {
        let (kind, name) = mime.split_once('/')?;
        let codec = Self::from_name(name)?;
        let same_kind = match codec.kind() {
            Kind::Audio => kind.eq_ignore_ascii_case("audio"),
            Kind::Video => kind.eq_ignore_ascii_case("video"),
        };
        same_kind.then_some(codec)
    }

    /// From an encoding name (`a=rtpmap`), or the short form of `simulcast_codecs`: `vp8`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        ALL.into_iter().find(|codec| name.eq_ignore_ascii_case(codec.name()))
    }

    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Opus | Self::Red | Self::Pcmu | Self::Pcma => Kind::Audio,
            Self::Vp8 | Self::Vp9 | Self::H264 | Self::Av1 | Self::H265 => Kind::Video,
        }
    }

    /// The encoding name, spelt as LiveKit spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opus => "opus",
            Self::Red => "red",
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::Vp8 => "VP8",
            Self::Vp9 => "VP9",
            Self::H264 => "H264",
            Self::Av1 => "AV1",
            Self::H265 => "H265",
        }
    }

    /// The media type, spelt as LiveKit spells it.
    #[must_use]
    pub const fn mime(self) -> &'static str {
        match self {
            Self::Opus => "audio/opus",
            Self::Red => "audio/red",
            Self::Pcmu => "audio/PCMU",
            Self::Pcma => "audio/PCMA",
            Self::Vp8 => "video/VP8",
            Self::Vp9 => "video/VP9",
            Self::H264 => "video/H264",
            Self::Av1 => "video/AV1",
            Self::H265 => "video/H265",
        }
    }

    #[must_use]
    pub const fn to_proto(self) -> proto::Codec {
        match self {
            Self::Opus => proto::Codec::Opus,
            Self::Red => proto::Codec::Red,
            Self::Pcmu => proto::Codec::Pcmu,
            Self::Pcma => proto::Codec::Pcma,
            Self::Vp8 => proto::Codec::Vp8,
            Self::Vp9 => proto::Codec::Vp9,
            Self::H264 => proto::Codec::H264,
            Self::Av1 => proto::Codec::Av1,
            Self::H265 => proto::Codec::H265,
        }
    }
}

/// A payload type that a client may send with: of a publication, in the publisher's own numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedCodec {
    pub codec: Codec,
    pub payload_type: u8,
    pub rtx_payload_type: Option<u8>,
    pub clock_rate: u32,
    pub channels: Option<u8>,
    /// The `a=fmtp` value; empty: none.
    pub parameters: String,
}

impl PublishedCodec {
    #[must_use]
    pub fn to_proto(&self) -> proto::PayloadCodec {
        proto::PayloadCodec {
            payload_type: self.payload_type.into(),
            codec: self.codec.to_proto().into(),
            clock_rate: self.clock_rate,
            rtx_payload_type: self.rtx_payload_type.map(u32::from),
        }
    }
}

/// The room's `enabled_codecs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnabledCodecs {
    pub codecs: Vec<Codec>,
    pub rtx: bool,
}

impl EnabledCodecs {
    /// Media types of which we know nothing are left out.
    #[must_use]
    pub fn from_mimes<'a>(mimes: impl IntoIterator<Item = &'a str>) -> Self {
        let mut enabled = Self { codecs: Vec::new(), rtx: false };
        for mime in mimes {
            if mime.eq_ignore_ascii_case("video/rtx") {
                enabled.rtx = true;
            } else if let Some(codec) = Codec::from_mime(mime)
                && !enabled.codecs.contains(&codec)
            {
                enabled.codecs.push(codec);
            }
        }
        enabled
    }

    #[must_use]
    pub fn contains(&self, codec: Codec) -> bool {
        self.codecs.contains(&codec)
    }
}

impl Default for EnabledCodecs {
    fn default() -> Self {
        Self { codecs: ALL.to_vec(), rtx: true }
    }
}

const ALL: [Codec; 9] = [
    Codec::Opus,
    Codec::Red,
    Codec::Pcmu,
    Codec::Pcma,
    Codec::Vp8,
    Codec::H264,
    Codec::Vp9,
    Codec::Av1,
    Codec::H265,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codecs_are_known_by_their_media_types_in_any_case() {
        for codec in ALL {
            assert_eq!(Codec::from_mime(&codec.mime().to_uppercase()), Some(codec));
            assert_eq!(Codec::from_name(&codec.name().to_lowercase()), Some(codec));
        }
        for mime in ["video/opus", "audio/vp8", "video/rtx", "vp8", "", "/"] {
            assert_eq!(Codec::from_mime(mime), None, "{mime}");
        }
    }

    #[test]
    fn enabled_codecs_leave_out_what_is_unknown_or_said_twice() {
        let enabled =
            EnabledCodecs::from_mimes(["audio/opus", "video/VP8", "video/vp8", "video/theora", "video/RTX"]);
        assert_eq!(enabled, EnabledCodecs { codecs: vec![Codec::Opus, Codec::Vp8], rtx: true });
        assert!(!enabled.contains(Codec::Red));
    }
}
