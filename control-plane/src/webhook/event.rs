//! The events as LiveKit words them, and their signature.

use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use livekit_protocol::{ParticipantInfo, Room, WebhookEvent};

use crate::auth::grants::Claims;
use crate::auth::token::Keys;
use crate::room::notice::{Happened, Notice};

/// LiveKit's name of what happened.
#[must_use]
pub const fn name(happened: &Happened) -> &'static str {
    match happened {
        Happened::RoomStarted => "room_started",
        Happened::RoomFinished { .. } => "room_finished",
        Happened::ParticipantJoined { .. } => "participant_joined",
        Happened::ParticipantLeft { .. } => "participant_left",
        Happened::ParticipantConnectionAborted { .. } => "participant_connection_aborted",
        Happened::TrackPublished { .. } => "track_published",
        Happened::TrackUnpublished { .. } => "track_unpublished",
    }
}

/// Of track events LiveKit sends no more of room and participant than their names.
#[must_use]
pub fn event(notice: &Notice, id: String) -> WebhookEvent {
    let event = WebhookEvent {
        event: name(&notice.happened).to_owned(),
        room: Some(notice.room.clone()),
        id,
        created_at: notice.at.unix_seconds(),
        ..WebhookEvent::default()
    };
    match &notice.happened {
        Happened::RoomStarted => event,
        Happened::RoomFinished { reason } => WebhookEvent { room_end_reason: (*reason).into(), ..event },
        Happened::ParticipantJoined { participant }
        | Happened::ParticipantLeft { participant }
        | Happened::ParticipantConnectionAborted { participant } => {
            WebhookEvent { participant: Some((**participant).clone()), ..event }
        }
        Happened::TrackPublished { participant, track }
        | Happened::TrackUnpublished { participant, track } => WebhookEvent {
            room: Some(Room {
                sid: notice.room.sid.clone(),
                name: notice.room.name.clone(),
                ..Room::default()
            }),
            participant: Some(ParticipantInfo {
                sid: participant.sid.clone(),
                identity: participant.identity.clone(),
                name: participant.name.clone(),
                ..ParticipantInfo::default()
            }),
            track: Some((**track).clone()),
            ..event
        },
    }
}

/// What `Authorization` says of a body. `None`: the key is not ours (any more).
#[must_use]
pub fn signature(keys: &Keys, api_key: &str, now: SystemTime, body: &[u8]) -> Option<String> {
    let sha256 = STANDARD.encode(digest(&SHA256, body));
    keys.sign(now, api_key, &Claims { sha256, ..Claims::default() }, SIGNATURE_VALID)
}

/// LiveKit's.
const SIGNATURE_VALID: Duration = Duration::from_secs(5 * 60);

#[cfg(test)]
mod tests {
    use livekit_protocol::{RoomEndReason, TrackInfo};
    use serde_json::json;

    use super::*;
    use crate::room::clock::Time;

    fn notice(happened: Happened) -> Notice {
        let room = Room { sid: "RM_1".into(), name: "r".into(), metadata: "m".into(), ..Room::default() };
        Notice { at: Time(1_800_000_000_500_000), room, agents: Vec::new(), happened }
    }

    fn json(happened: Happened) -> serde_json::Value {
        serde_json::to_value(event(&notice(happened), "EV_1".into())).unwrap()
    }

    #[test]
    fn events_are_worded_as_livekit_words_them() {
        let participant = Box::new(ParticipantInfo {
            sid: "PA_1".into(),
            identity: "alice".into(),
            metadata: "x".into(),
            ..ParticipantInfo::default()
        });
        let room = json!({ "sid": "RM_1", "name": "r", "metadata": "m" });
        let expected =
            json!({ "event": "room_started", "room": room, "id": "EV_1", "createdAt": "1800000000" });
        assert_eq!(json(Happened::RoomStarted), expected);
        let expected = json!({ "event": "room_finished", "room": room, "id": "EV_1", "createdAt": "1800000000",
            "roomEndReason": "ROOM_END_IDLE_TIMEOUT" });
        assert_eq!(json(Happened::RoomFinished { reason: RoomEndReason::RoomEndIdleTimeout }), expected);
        let joined = json(Happened::ParticipantJoined { participant: participant.clone() });
        assert_eq!(joined["participant"], json!({ "sid": "PA_1", "identity": "alice", "metadata": "x" }));
        let track = Box::new(TrackInfo { sid: "TR_1".into(), ..TrackInfo::default() });
        let published = json(Happened::TrackPublished { participant, track });
        assert_eq!(published["room"], json!({ "sid": "RM_1", "name": "r" }));
        assert_eq!(published["participant"], json!({ "sid": "PA_1", "identity": "alice" }));
        assert_eq!(published["track"], json!({ "sid": "TR_1" }));
    }

    #[test]
    fn signature_is_of_the_body_and_of_a_key_of_ours() {
        let keys = Keys::new([("key".to_owned(), "secret".to_owned())]);
        let now = SystemTime::now();
        let token = signature(&keys, "key", now, b"body").unwrap();
        let claims = keys.verify(&token, now).unwrap();
        assert_eq!(claims.sha256, "Iw2DWNyOiJC0xY3utikS7i8gNXrpKlzIYbmOaP4xrLU=");
        assert_eq!(signature(&keys, "another", now, b"body"), None);
    }
}
