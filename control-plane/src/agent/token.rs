//! What an agent may do in the room of its job.

use std::time::Duration;

use livekit_protocol::AvailabilityResponse;

use crate::agent::worker::Registration;
use crate::auth::grants::{Claims, VideoGrant};

/// The claims of a job's token: the room's, with what the worker registered for its agents.
#[must_use]
pub fn claims(room: &str, registration: &Registration, answer: &AvailabilityResponse) -> Claims {
    let mut video =
        VideoGrant { room_join: true, room: room.to_owned(), agent: true, ..VideoGrant::default() };
    video.update_from(&registration.permission);
    let mut attributes: std::collections::BTreeMap<_, _> =
        answer.participant_attributes.clone().into_iter().collect();
    attributes.insert(AGENT_NAME_ATTRIBUTE.to_owned(), registration.role.agent_name.clone());
    Claims {
        identity: answer.participant_identity.clone(),
        name: answer.participant_name.clone(),
        kind: "agent".to_owned(),
        metadata: answer.participant_metadata.clone(),
        attributes,
        video,
        ..Claims::default()
    }
}

/// As LiveKit's; who is in the room gets a fresh one in time.
pub const LIFETIME: Duration = Duration::from_secs(3_600);
/// LiveKit's `AgentNameAttributeKey` (`pkg/agent/worker.go`).
pub const AGENT_NAME_ATTRIBUTE: &str = "lk.agent_name";
