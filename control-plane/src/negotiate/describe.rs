//! Codec lines of our descriptions, for answers and offers alike.

use sdp::codec::Codec as Line;
use sdp::section::{Kind as SectionKind, MediaSection};

use crate::negotiate::codec::PublishedCodec;

/// Adds a codec, and its retransmissions right behind it.
pub(super) fn push_codec(
    section: &mut MediaSection,
    codec: &PublishedCodec,
    parameters: String,
    feedback: Vec<String>,
) {
    section.codecs.push(Line {
        payload_type: codec.payload_type,
        name: codec.codec.name().to_owned(),
        clock_rate: codec.clock_rate,
        channels: codec.channels,
        parameters,
        feedback,
    });
    if let Some(payload_type) = codec.rtx_payload_type {
        section.codecs.push(Line {
            payload_type,
            name: "rtx".to_owned(),
            clock_rate: codec.clock_rate,
            channels: None,
            parameters: format!("apt={}", codec.payload_type),
            feedback: Vec::new(),
        });
    }
}

/// The section of the data channels (RFC 8841).
pub(super) fn data_section(mid: &str, protocol: String) -> MediaSection {
    let mut section = MediaSection::new(SectionKind::Application, protocol);
    "webrtc-datachannel".clone_into(&mut section.format);
    section.mid = Some(mid.to_owned());
    section.sctp_port = Some(SCTP_PORT);
    section.max_message_size = Some(MESSAGE_SIZE_MAX);
    section
}

/// LiveKit's; the port is a formality, since there is one association to a DTLS connection.
const SCTP_PORT: u16 = 5000;
const MESSAGE_SIZE_MAX: u64 = 65_535;
