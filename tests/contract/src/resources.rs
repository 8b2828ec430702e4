//! Resources as a control plane would describe them; each carries its own name as state.

use proto::media::v1::command::Command;
use proto::media::v1::resource::Spec;
use proto::media::v1::{
    Codec, Encoding, ExtensionKind, Fingerprint, HeaderExtension, IceCredentials, MediaKind, PayloadCodec,
    PayloadMapping, Peer, Publication, Resource, ResourceKey, Room, Route, Sctp, Subscription,
    UplinkFeedback, resource_key,
};

pub const PASSWORD: &str = "a-password-of-22-chars-or-more";
pub const REMOTE_UFRAG: &str = "clnt";

/// The ufrag of a peer on a worker.
#[must_use]
pub fn ufrag(worker: u32, peer: u64) -> String {
    format!("{worker:02}peer{peer}")
}

#[must_use]
pub const fn room(id: u64, worker: u32) -> Spec {
    Spec::Room(Room { id, worker, audio_levels: None, sif_trailer: Vec::new() })
}

#[must_use]
pub fn peer(id: u64, room: u64, worker: u32) -> Spec {
    Spec::Peer(Peer {
        id,
        room,
        local_ice: vec![IceCredentials { ufrag: ufrag(worker, id), password: PASSWORD.into() }],
        remote_ufrags: vec![REMOTE_UFRAG.into()],
        remote_fingerprints: vec![Fingerprint { algorithm: "sha-256".into(), value: vec![7; 32] }],
        receive_extensions: vec![HeaderExtension { id: 4, kind: ExtensionKind::Mid.into() }],
        send_extensions: vec![HeaderExtension { id: 1, kind: ExtensionKind::Mid.into() }],
        sctp: Some(Sctp { remote_port: 5000, message_size_max: 0, channels: Vec::new() }),
        uplink_feedback: UplinkFeedback::TransportCc.into(),
        rtcp_ssrc: number(id, 1),
        ..Peer::default()
    })
}

#[must_use]
pub fn publication(id: u64, peer: u64, room: u64) -> Spec {
    let codec = PayloadCodec {
        payload_type: 111,
        codec: Codec::Opus.into(),
        clock_rate: 48_000,
        rtx_payload_type: None,
    };
    Spec::Publication(Publication {
        id,
        room,
        peer,
        kind: MediaKind::Audio.into(),
        mid: id.to_string(),
        codecs: vec![codec],
        encodings: vec![Encoding { ssrc: number(id, 2), ..Encoding::default() }],
        ..Publication::default()
    })
}

#[must_use]
pub fn subscription(id: u64, peer: u64, publication: u64, room: u64) -> Spec {
    Spec::Subscription(Subscription {
        id,
        room,
        peer,
        publication,
        mid: id.to_string(),
        ssrc: number(id, 3),
        payloads: vec![PayloadMapping { from: 111, to: 111, rtx: None, red: None }],
        cname: "cname".into(),
        ..Subscription::default()
    })
}

#[must_use]
pub fn route(id: u64, peer: u64, room: u64) -> Spec {
    Spec::Route(Route {
        id,
        room,
        receive_peer: peer,
        send_peer: peer,
        identity: format!("identity-{id}"),
        sid: format!("PA_{id}"),
        can_send: true,
        can_receive: true,
        ..Route::default()
    })
}

/// The peer says on which worker it lives.
#[must_use]
pub fn on_worker(mut spec: Spec, worker: u32) -> Spec {
    if let Spec::Peer(peer) = &mut spec {
        peer.worker = Some(worker);
    }
    spec
}

/// The peer's client has this certificate, and does the DTLS handshake as a client.
#[must_use]
pub fn with_certificate(mut spec: Spec, sha256: &[u8]) -> Spec {
    if let Spec::Peer(peer) = &mut spec {
        peer.remote_fingerprints = vec![Fingerprint { algorithm: "sha-256".into(), value: sha256.to_vec() }];
    }
    spec
}

/// The publication or subscription is of VP8 video.
#[must_use]
pub fn video(mut spec: Spec) -> Spec {
    match &mut spec {
        Spec::Publication(publication) => {
            publication.kind = MediaKind::Video.into();
            publication.pli = true;
            publication.codecs = vec![PayloadCodec {
                payload_type: 96,
                codec: Codec::Vp8.into(),
                clock_rate: 90_000,
                rtx_payload_type: None,
            }];
        }
        Spec::Subscription(subscription) => {
            subscription.payloads = vec![PayloadMapping { from: 96, to: 96, rtx: None, red: None }];
        }
        Spec::Room(_) | Spec::Peer(_) | Spec::Route(_) => {}
    }
    spec
}

/// A room with a publisher (2), a subscriber (3), a publication, a subscription and a route, on worker 0.
#[must_use]
pub fn call(room_id: u64) -> Vec<Command> {
    let id = |number: u64| room_id * 100 + number;
    let specs = [
        room(room_id, 0),
        peer(id(2), room_id, 0),
        peer(id(3), room_id, 0),
        publication(id(4), id(2), room_id),
        subscription(id(5), id(3), id(4), room_id),
        route(id(6), id(2), room_id),
    ];
    specs.into_iter().map(upsert).collect()
}

#[must_use]
pub fn upsert(spec: Spec) -> Command {
    let state = state_of(&spec);
    Command::Upsert(Resource { spec: Some(spec), state, ..Resource::default() })
}

/// The state that `upsert` gives a resource.
#[must_use]
pub fn state_of(spec: &Spec) -> Vec<u8> {
    format!("state of {spec:?}").into_bytes()
}

#[must_use]
pub const fn delete(key: resource_key::Key) -> Command {
    Command::Delete(ResourceKey { key: Some(key) })
}

fn number(id: u64, kind: u32) -> u32 {
    kind * 1_000_000 + u32::try_from(id).expect("small ids")
}
