//! The resources of a call, as the control plane would order them.

use core::time::Duration;

use engine::command::{
    AudioLevels, Codec, EncodingSpec, ExtensionKind, Extensions, IceCredentials, MediaKind, PayloadCodec,
    PayloadMapping, PeerSpec, PublicationSpec, RoomSpec, SubscriptionSpec, UplinkFeedback,
};
use srtp::keys::{Keys, Profile};
use units::handle::{PeerId, PublicationId, RoomId, SubscriptionId};
use units::rtp::{Mid, PayloadType, Ssrc};

use crate::media::{DESCRIPTOR_ID, Media, OPUS, SOURCE};

pub(crate) fn credentials(peer: u16) -> IceCredentials {
    IceCredentials { ufrag: format!("u{peer}"), password: format!("a-password-of-peer-{peer}") }
}

pub(crate) fn keys(peer: u16, we_are_client: bool) -> Keys {
    let [low, high] = peer.to_le_bytes();
    let material: [u8; 56] = core::array::from_fn(|index| if index % 2 == 0 { low } else { high ^ 0x55 });
    Keys::from_keying_material(Profile::AeadAes128Gcm, &material, we_are_client).expect("56 bytes suffice")
}

pub(crate) fn room() -> RoomSpec {
    let audio_levels = AudioLevels {
        active_level: 35,
        min_percentile: 40,
        update_interval: Duration::from_millis(400),
        smooth_intervals: 2,
    };
    RoomSpec { id: RoomId(1), audio_levels, sif_trailer: Vec::new() }
}

pub(crate) fn peer_spec(peer: u16) -> PeerSpec {
    PeerSpec {
        id: PeerId(peer.into()),
        room: RoomId(1),
        local_ice: vec![credentials(peer)],
        remote_ufrags: vec![String::from("theirs")],
        receive_extensions: Extensions(vec![
            (1, ExtensionKind::Mid),
            (4, ExtensionKind::AudioLevel),
            (5, ExtensionKind::TransportCc),
            (DESCRIPTOR_ID, ExtensionKind::DependencyDescriptor),
        ]),
        send_extensions: Extensions(vec![
            (7, ExtensionKind::AudioLevel),
            (8, ExtensionKind::AbsSendTime),
            (9, ExtensionKind::Mid),
            (13, ExtensionKind::DependencyDescriptor),
        ]),
        uplink_feedback: UplinkFeedback::TransportCc,
        rtcp_ssrc: Ssrc(1),
    }
}

pub(crate) fn publication(media: Media) -> PublicationSpec {
    let payload_type = media.payload_type();
    let opus =
        PayloadCodec { payload_type: OPUS, codec: Codec::Opus, clock_rate: 48_000, rtx_payload_type: None };
    let video = |codec| {
        let rtx_payload_type = Some(PayloadType(97));
        (MediaKind::Video, vec![PayloadCodec { payload_type, codec, clock_rate: 90_000, rtx_payload_type }])
    };
    let (kind, codecs) = match media {
        Media::Video => video(Codec::Vp8),
        Media::Vp9 => video(Codec::Vp9),
        Media::Av1 => video(Codec::Av1),
        Media::Audio | Media::Encoded => (MediaKind::Audio, vec![opus]),
        Media::Red => {
            (MediaKind::Audio, vec![PayloadCodec { payload_type, codec: Codec::Red, ..opus }, opus])
        }
    };
    PublicationSpec {
        id: PublicationId(1),
        peer: PeerId(0),
        kind,
        mid: Mid::new(b"1").expect("short"),
        codecs,
        encodings: vec![EncodingSpec { rid: None, ssrc: Some(SOURCE), rtx_ssrc: None }],
        muted: false,
        nack: media.is_video(),
        pli: media.is_video(),
        fir: false,
        encrypted: false,
        home: None,
    }
}

pub(crate) fn subscription(peer: u16, media: Media) -> SubscriptionSpec {
    let payload =
        |from, to| PayloadMapping { from, to: PayloadType(to), rtx: Some(PayloadType(to + 1)), red: None };
    let payloads = match media {
        Media::Video | Media::Vp9 | Media::Av1 | Media::Audio => vec![payload(media.payload_type(), 100)],
        Media::Encoded => {
            vec![PayloadMapping { rtx: None, red: Some(PayloadType(100)), ..payload(OPUS, 98) }]
        }
        // Every other subscriber does without RED.
        Media::Red => {
            vec![
                payload(media.payload_type(), if peer.is_multiple_of(2) { 98 } else { 100 }),
                payload(OPUS, 100),
            ]
        }
    };
    SubscriptionSpec {
        id: SubscriptionId(peer.into()),
        peer: PeerId(peer.into()),
        publication: PublicationId(1),
        mid: Mid::new(b"5").expect("short"),
        ssrc: Ssrc(10_000 + u32::from(peer)),
        rtx_ssrc: Some(Ssrc(20_000 + u32::from(peer))),
        payloads,
        paused: false,
        layer_max: 2,
        temporal_layer_max: 3,
        frame_rate_max: None,
        cname: String::from("cname"),
        playout_delay: None,
        strip_packet_trailer: false,
    }
}
