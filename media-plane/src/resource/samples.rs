//! Resources that are right, for tests to begin with.

use proto::media::v1::resource::Spec;
use proto::media::v1::{
    AudioLevels, Codec, DataChannel, Encoding, ExtensionKind, Fingerprint, HeaderExtension, IceCredentials,
    MediaKind, PayloadCodec, PayloadMapping, Peer, Publication, Resource, Room, Route, Sctp, Subscription,
    UplinkFeedback,
};

pub(crate) fn room(id: u64, worker: u32) -> Room {
    let audio_levels =
        AudioLevels { active_level: 35, min_percentile: 40, update_interval_ms: 400, smooth_intervals: 2 };
    Room { id, worker, audio_levels: Some(audio_levels), sif_trailer: b"trailer".into() }
}

pub(crate) fn peer(id: u64, room: u64) -> Peer {
    Peer {
        id,
        room,
        local_ice: vec![IceCredentials { ufrag: format!("00p{id}xyz"), password: "p".repeat(32) }],
        remote_ufrags: vec!["remote".into()],
        remote_fingerprints: vec![Fingerprint { algorithm: "sha-256".into(), value: vec![7; 32] }],
        dtls_role: 0,
        receive_extensions: vec![HeaderExtension { id: 4, kind: ExtensionKind::Mid.into() }],
        send_extensions: vec![HeaderExtension { id: 1, kind: ExtensionKind::Mid.into() }],
        sctp: Some(Sctp {
            remote_port: 5000,
            message_size_max: 0,
            channels: vec![DataChannel { label: "_reliable".into(), ordered: true, retransmits_max: None }],
        }),
        uplink_feedback: UplinkFeedback::TransportCc.into(),
        rtcp_ssrc: 1000 + u32::try_from(id).unwrap(),
        worker: None,
    }
}

pub(crate) fn publication(id: u64, peer: u64, room: u64) -> Publication {
    let encoding = |rid: &str, layer| Encoding { rid: rid.into(), ssrc: 0, rtx_ssrc: 0, layer };
    Publication {
        id,
        room,
        peer,
        kind: MediaKind::Video.into(),
        mid: id.to_string(),
        codecs: vec![PayloadCodec {
            payload_type: 96,
            codec: Codec::Vp8.into(),
            clock_rate: 90_000,
            rtx_payload_type: Some(97),
        }],
        encodings: vec![encoding("q", 0), encoding("h", 1), encoding("f", 2)],
        muted: false,
        nack: true,
        pli: true,
        fir: true,
        encrypted: false,
    }
}

pub(crate) fn subscription(id: u64, peer: u64, publication: u64, room: u64) -> Subscription {
    let number = u32::try_from(id).unwrap();
    Subscription {
        id,
        room,
        peer,
        publication,
        mid: id.to_string(),
        ssrc: 2000 + number,
        rtx_ssrc: 3000 + number,
        payloads: vec![PayloadMapping { from: 96, to: 96, rtx: Some(97), red: None }],
        paused: false,
        layer_max: 2,
        temporal_layer_max: 3,
        frame_rate_max: 0,
        cname: "cname".into(),
        playout_delay: None,
        strip_packet_trailer: false,
    }
}

pub(crate) fn route(id: u64, peer: u64, room: u64) -> Route {
    Route {
        id,
        room,
        receive_peer: peer,
        send_peer: peer,
        identity: format!("identity-{id}"),
        sid: format!("PA_{id}"),
        can_send: true,
        can_receive: true,
        agent: false,
        hidden: false,
        data_subscriptions: Vec::new(),
    }
}

pub(crate) fn resource(spec: Spec) -> Resource {
    Resource { spec: Some(spec), state: b"state".to_vec(), ..Resource::default() }
}
