//! What the engines are told of a simulated call: who is there, what is published, and who wants what of it.

use engine::command::{
    Codec, EncodingSpec, Extensions, Home, IceCredentials, MediaKind, PayloadCodec, PayloadMapping, PeerSpec,
    PublicationSpec, SubscriptionSpec, UplinkFeedback,
};
use units::handle::{PeerId, PublicationId, RoomId, SubscriptionId, WorkerIndex};
use units::rtp::{Mid, Ssrc};

use crate::camera::{AUDIO_CLOCK_RATE, LAYERS, VIDEO_CLOCK_RATE};
use crate::client::sender::{
    AUDIO_PAYLOAD_TYPE, AUDIO_SSRC, RTX_PAYLOAD_TYPE, VIDEO_PAYLOAD_TYPE, rtx_ssrc, video_ssrc,
};
use crate::scenario::Wish;

pub(super) fn peer_spec(number: usize, credentials: &IceCredentials) -> PeerSpec {
    PeerSpec {
        id: peer_id(number),
        room: ROOM,
        local_ice: vec![credentials.clone()],
        remote_ufrags: vec![REMOTE_UFRAG.into()],
        receive_extensions: Extensions::default(),
        send_extensions: Extensions::default(),
        uplink_feedback: UplinkFeedback::None,
        rtcp_ssrc: Ssrc(0x99),
    }
}

pub(super) fn publication_spec(kind: MediaKind) -> PublicationSpec {
    let is_video = kind == MediaKind::Video;
    let codec = if is_video {
        PayloadCodec {
            payload_type: VIDEO_PAYLOAD_TYPE,
            codec: Codec::Vp8,
            clock_rate: VIDEO_CLOCK_RATE,
            rtx_payload_type: Some(RTX_PAYLOAD_TYPE),
        }
    } else {
        PayloadCodec {
            payload_type: AUDIO_PAYLOAD_TYPE,
            codec: Codec::Opus,
            clock_rate: AUDIO_CLOCK_RATE,
            rtx_payload_type: None,
        }
    };
    let video = (0..LAYERS).map(|layer| EncodingSpec {
        rid: None,
        ssrc: Some(video_ssrc(layer)),
        rtx_ssrc: Some(rtx_ssrc(layer)),
    });
    let audio = EncodingSpec { rid: None, ssrc: Some(AUDIO_SSRC), rtx_ssrc: None };
    PublicationSpec {
        id: publication_id(kind),
        peer: peer_id(0),
        kind,
        mid: mid(kind),
        codecs: vec![codec],
        encodings: if is_video { video.collect() } else { vec![audio] },
        muted: false,
        nack: is_video,
        pli: is_video,
        fir: false,
        encrypted: false,
        home: Some(Home { worker: WorkerIndex(0), room: ROOM }),
    }
}

pub(super) fn subscription_spec(number: usize, kind: MediaKind, wish: Wish) -> SubscriptionSpec {
    let [audio, video, rtx] = ssrcs(number);
    let is_video = kind == MediaKind::Video;
    let payload = |payload_type, rtx| PayloadMapping { from: payload_type, to: payload_type, rtx, red: None };
    SubscriptionSpec {
        id: SubscriptionId(number as u64 * 10 + u64::from(is_video)),
        peer: peer_id(number),
        publication: publication_id(kind),
        mid: mid(kind),
        ssrc: if is_video { video } else { audio },
        rtx_ssrc: is_video.then_some(rtx),
        payloads: vec![
            payload(AUDIO_PAYLOAD_TYPE, None),
            payload(VIDEO_PAYLOAD_TYPE, Some(RTX_PAYLOAD_TYPE)),
        ],
        paused: false,
        layer_max: wish.layer_max,
        temporal_layer_max: wish.temporal_layer_max,
        frame_rate_max: None,
        playout_delay: None,
        strip_packet_trailer: false,
        cname: String::from("publisher"),
    }
}

pub(super) fn peer_id(number: usize) -> PeerId {
    PeerId(100 + number as u64)
}

pub(super) fn publication_id(kind: MediaKind) -> PublicationId {
    PublicationId(if kind == MediaKind::Video { 2 } else { 1 })
}

pub(super) fn mid(kind: MediaKind) -> Mid {
    Mid::new(if kind == MediaKind::Video { b"1" } else { b"0" }).expect("one byte")
}

/// Of audio, video and retransmissions to a subscriber.
pub(super) fn ssrcs(number: usize) -> [Ssrc; 3] {
    [1, 2, 3].map(|kind| Ssrc(u32::from(low_u16(number)) << 16 | kind))
}

pub(super) fn low_u16(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

pub(super) const ROOM: RoomId = RoomId(1);
pub(super) const REMOTE_UFRAG: &str = "client";
