//! Resources that tests begin with.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use units::handle::{PeerId, PublicationId, RoomId, SubscriptionId};
use units::rtp::{Mid, PayloadType, Rid, Ssrc};

use crate::command::{
    AudioLevels, Codec, EncodingSpec, ExtensionKind, Extensions, IceCredentials, MediaKind, PayloadCodec,
    PayloadMapping, PeerSpec, PublicationSpec, RoomSpec, SubscriptionSpec, UplinkFeedback,
};

pub(crate) const AUDIO_PT: PayloadType = PayloadType(111);
pub(crate) const VIDEO_PT: PayloadType = PayloadType(96);
pub(crate) const RTX_PT: PayloadType = PayloadType(97);

pub(crate) fn room_spec(id: u64) -> RoomSpec {
    let audio_levels = AudioLevels {
        active_level: 35,
        min_percentile: 40,
        update_interval: Duration::from_millis(400),
        smooth_intervals: 2,
    };
    RoomSpec { id: RoomId(id), audio_levels, sif_trailer: b"trailer".into() }
}

pub(crate) fn credentials(peer: u64, generation: u64) -> IceCredentials {
    IceCredentials {
        ufrag: alloc::format!("u{peer}g{generation}"),
        password: alloc::format!("password-of-{peer}-and-{generation}"),
    }
}

pub(crate) fn extensions() -> Extensions {
    Extensions(vec![
        (1, ExtensionKind::Mid),
        (2, ExtensionKind::Rid),
        (3, ExtensionKind::RepairedRid),
        (4, ExtensionKind::AudioLevel),
        (5, ExtensionKind::TransportCc),
    ])
}

pub(crate) fn peer_spec(id: u64, room: u64) -> PeerSpec {
    PeerSpec {
        id: PeerId(id),
        room: RoomId(room),
        local_ice: vec![credentials(id, 0)],
        remote_ufrags: vec![String::from("theirs")],
        receive_extensions: extensions(),
        send_extensions: Extensions(vec![
            (7, ExtensionKind::AudioLevel),
            (8, ExtensionKind::AbsSendTime),
            (9, ExtensionKind::Mid),
        ]),
        uplink_feedback: UplinkFeedback::TransportCc,
        rtcp_ssrc: Ssrc(1),
    }
}

pub(crate) fn audio_spec(id: u64, peer: u64) -> PublicationSpec {
    PublicationSpec {
        id: PublicationId(id),
        peer: PeerId(peer),
        kind: MediaKind::Audio,
        mid: Mid::new(b"0").unwrap(),
        codecs: vec![PayloadCodec {
            payload_type: AUDIO_PT,
            codec: Codec::Opus,
            clock_rate: 48_000,
            rtx_payload_type: None,
        }],
        encodings: vec![EncodingSpec { rid: None, ssrc: None, rtx_ssrc: None }],
        muted: false,
        nack: true,
        pli: false,
        fir: false,
        encrypted: false,
        home: None,
    }
}

pub(crate) fn video_spec(id: u64, peer: u64) -> PublicationSpec {
    PublicationSpec {
        kind: MediaKind::Video,
        mid: Mid::new(b"1").unwrap(),
        codecs: vec![PayloadCodec {
            payload_type: VIDEO_PT,
            codec: Codec::Vp8,
            clock_rate: 90_000,
            rtx_payload_type: Some(RTX_PT),
        }],
        pli: true,
        ..audio_spec(id, peer)
    }
}

/// Three layers that are told by RID.
pub(crate) fn simulcast_spec(id: u64, peer: u64) -> PublicationSpec {
    let encodings: Vec<EncodingSpec> =
        [b"q", b"h", b"f"].map(|rid| EncodingSpec { rid: Rid::new(rid), ssrc: None, rtx_ssrc: None }).into();
    PublicationSpec { encodings, ..video_spec(id, peer) }
}

pub(crate) fn subscription_spec(id: u64, peer: u64, publication: u64, ssrc: u32) -> SubscriptionSpec {
    SubscriptionSpec {
        id: SubscriptionId(id),
        peer: PeerId(peer),
        publication: PublicationId(publication),
        mid: Mid::new(b"5").unwrap(),
        ssrc: Ssrc(ssrc),
        rtx_ssrc: None,
        payloads: vec![
            PayloadMapping { from: AUDIO_PT, to: PayloadType(63), rtx: None, red: None },
            PayloadMapping { from: VIDEO_PT, to: PayloadType(100), rtx: Some(PayloadType(101)), red: None },
        ],
        paused: false,
        layer_max: 2,
        temporal_layer_max: 3,
        frame_rate_max: None,
        cname: String::from("cname"),
        playout_delay: None,
        strip_packet_trailer: false,
    }
}
