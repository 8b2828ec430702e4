//! Each shape against its message, with every field set: what the protocol's serde writes then is all that there is.

use std::collections::{BTreeSet, HashMap};

use livekit_protocol as livekit;
use serde::Serialize;
use serde_json::Value;

use super::{Kind, Shape, Shaped};
use crate::api::revocation::RevokeResponse;

/// Fields that are written one way and not another are missing here, or there.
fn check(value: &Value, shape: &Shape, path: &str) {
    let fields = value.as_object().unwrap_or_else(|| panic!("{path} is no message"));
    let known: BTreeSet<String> = shape.0.iter().map(|(name, _)| flat(name)).collect();
    let written: BTreeSet<String> = fields.keys().map(|name| flat(name)).collect();
    let optional: BTreeSet<String> = shape
        .0
        .iter()
        .filter(|(_, kind)| matches!(kind, Kind::Optional))
        .map(|(name, _)| flat(name))
        .collect();
    assert!(written.is_subset(&known), "{path}: unknown here {:?}", written.difference(&known));
    let missing: Vec<_> = known.difference(&written).filter(|name| !optional.contains(*name)).collect();
    assert!(missing.is_empty(), "{path}: not set, or not of the message: {missing:?}");
    for (name, kind) in shape.0 {
        let path = format!("{path}.{name}");
        let Some(value) =
            fields.iter().find(|(written, _)| flat(written) == flat(name)).map(|(_, value)| value)
        else {
            continue;
        };
        match kind {
            Kind::Text => assert!(value.is_string(), "{path}"),
            Kind::Number => assert!(value.is_number(), "{path}"),
            Kind::Long => assert!(value.as_str().is_some_and(|text| text.parse::<i64>().is_ok()), "{path}"),
            Kind::Flag => assert!(value.is_boolean(), "{path}"),
            Kind::Enum(zero) => {
                let name = value.as_str().unwrap_or_else(|| panic!("{path}"));
                assert_ne!(name, *zero, "{path} is set to something else here");
                assert_eq!(name.to_ascii_uppercase(), name, "{path}");
            }
            Kind::List => assert!(value.is_array(), "{path}"),
            Kind::Map => assert!(value.is_object(), "{path}"),
            Kind::Message(shape) | Kind::OptionalMessage(shape) => check(value, shape, &path),
            Kind::Messages(shape) => check(&value[0], shape, &path),
            Kind::Optional => {}
        }
    }
}

fn holds<A: Shaped + Serialize>(name: &str, message: &A) {
    check(&serde_json::to_value(message).unwrap(), A::SHAPE, name);
}

fn flat(name: &str) -> String {
    name.replace('_', "").to_ascii_lowercase()
}

fn text() -> String {
    "x".to_owned()
}

fn map() -> HashMap<String, String> {
    HashMap::from([("a_b".to_owned(), "c".to_owned())])
}

fn version() -> livekit::TimedVersion {
    livekit::TimedVersion { unix_micro: 1, ticks: 1 }
}

pub(super) fn room() -> livekit::Room {
    livekit::Room {
        sid: text(),
        name: text(),
        empty_timeout: 1,
        departure_timeout: 1,
        max_participants: 1,
        creation_time: 1,
        creation_time_ms: 1,
        turn_password: text(),
        enabled_codecs: vec![livekit::Codec { mime: text(), fmtp_line: text() }],
        metadata: text(),
        num_participants: 1,
        num_publishers: 1,
        active_recording: true,
        version: Some(version()),
    }
}

#[expect(deprecated, reason = "LiveKit still fills them")]
pub(super) fn participant() -> livekit::ParticipantInfo {
    livekit::ParticipantInfo {
        sid: text(),
        identity: text(),
        state: 1,
        tracks: vec![track()],
        metadata: text(),
        joined_at: 1,
        joined_at_ms: 1,
        name: text(),
        version: 1,
        permission: Some(livekit::ParticipantPermission {
            can_subscribe: true,
            can_publish: true,
            can_publish_data: true,
            can_publish_sources: vec![1],
            hidden: true,
            recorder: true,
            can_update_metadata: true,
            agent: true,
            can_subscribe_metrics: true,
            can_manage_agent_session: true,
        }),
        region: text(),
        is_publisher: true,
        kind: 1,
        attributes: map(),
        disconnect_reason: 1,
        kind_details: vec![1],
        data_tracks: vec![data_track()],
        client_protocol: 1,
        capabilities: vec![1],
    }
}

#[expect(deprecated, reason = "LiveKit still fills them")]
fn track() -> livekit::TrackInfo {
    let layer = livekit::VideoLayer {
        quality: 1,
        width: 1,
        height: 1,
        bitrate: 1,
        ssrc: 1,
        spatial_layer: 1,
        rid: text(),
        repair_ssrc: 1,
    };
    livekit::TrackInfo {
        sid: text(),
        r#type: 1,
        name: text(),
        muted: true,
        width: 1,
        height: 1,
        simulcast: true,
        disable_dtx: true,
        source: 1,
        layers: vec![layer.clone()],
        mime_type: text(),
        mid: text(),
        codecs: vec![livekit::SimulcastCodecInfo {
            mime_type: text(),
            mid: text(),
            cid: text(),
            layers: vec![layer],
            video_layer_mode: 1,
            sdp_cid: text(),
        }],
        stereo: true,
        disable_red: true,
        encryption: 1,
        stream: text(),
        version: Some(version()),
        audio_features: vec![1],
        backup_codec_policy: 1,
        packet_trailer_features: vec![1],
    }
}

fn data_track() -> livekit::DataTrackInfo {
    use livekit::{data_track_frame_encoding as frame, data_track_schema_encoding as schema};
    let schema = schema::Value::Custom(text());
    livekit::DataTrackInfo {
        pub_handle: 1,
        sid: text(),
        name: text(),
        encryption: 1,
        frame_encoding: Some(livekit::DataTrackFrameEncoding { value: Some(frame::Value::WellKnown(1)) }),
        schema: Some(livekit::DataTrackSchemaId {
            name: text(),
            encoding: Some(livekit::DataTrackSchemaEncoding { value: Some(schema) }),
        }),
    }
}

#[expect(deprecated, reason = "LiveKit still fills the namespace")]
fn dispatch() -> livekit::AgentDispatch {
    let state = livekit::JobState {
        status: 1,
        error: text(),
        started_at: 1,
        ended_at: 1,
        updated_at: 1,
        participant_identity: text(),
        worker_id: text(),
        agent_id: text(),
    };
    let job = livekit::Job {
        id: text(),
        dispatch_id: text(),
        r#type: 1,
        room: Some(room()),
        participant: Some(participant()),
        namespace: text(),
        metadata: text(),
        agent_name: text(),
        state: Some(state),
        enable_recording: true,
        deployment: text(),
        attributes: map(),
        enable_redaction: true,
    };
    livekit::AgentDispatch {
        id: text(),
        agent_name: text(),
        room: text(),
        metadata: text(),
        state: Some(livekit::AgentDispatchState { jobs: vec![job], created_at: 1, deleted_at: 1 }),
        restart_policy: 1,
        deployment: text(),
        attributes: map(),
    }
}

#[test]
fn shapes_have_every_field_of_their_messages() {
    holds("Room", &room());
    holds("ListRoomsResponse", &livekit::ListRoomsResponse { rooms: vec![room()] });
    holds("DeleteRoomResponse", &livekit::DeleteRoomResponse {});
    holds("ParticipantInfo", &participant());
    let participants = vec![participant()];
    holds("ListParticipantsResponse", &livekit::ListParticipantsResponse { participants });
    holds("RemoveParticipantResponse", &livekit::RemoveParticipantResponse {});
    holds("MuteRoomTrackResponse", &livekit::MuteRoomTrackResponse { track: Some(track()) });
    holds("UpdateSubscriptionsResponse", &livekit::UpdateSubscriptionsResponse {});
    holds("SendDataResponse", &livekit::SendDataResponse {});
    holds("AgentDispatch", &dispatch());
    let agent_dispatches = vec![dispatch()];
    holds("ListAgentDispatchResponse", &livekit::ListAgentDispatchResponse { agent_dispatches });
    holds("RevokeResponse", &RevokeResponse { removed: 1 });
}
