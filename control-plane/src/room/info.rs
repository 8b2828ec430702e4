//! Rooms, participants and tracks as LiveKit's messages describe them.

use livekit_protocol::{Codec, DisconnectReason, ParticipantInfo, participant_info};

use crate::config::Config;
use crate::room::participant::{Participant, Stage};
use crate::room::state::Room;

#[must_use]
pub fn room(room: &Room, config: &Config) -> livekit_protocol::Room {
    let record = &room.record;
    let (num_participants, num_publishers) = room.counts();
    livekit_protocol::Room {
        sid: record.sid.clone(),
        name: record.name.clone(),
        empty_timeout: record.empty_timeout_seconds,
        departure_timeout: record.departure_timeout_seconds,
        max_participants: record.max_participants,
        creation_time: record.created_at.unix_seconds(),
        creation_time_ms: record.created_at.unix_millis(),
        turn_password: record.turn_password.clone(),
        enabled_codecs: config.room.enabled_codecs.iter().map(codec).collect(),
        metadata: record.metadata.clone(),
        num_participants,
        num_publishers,
        active_recording: false,
        version: None,
    }
}

#[must_use]
pub fn codec(spec: &crate::config::CodecSpec) -> Codec {
    Codec { mime: spec.mime.clone(), fmtp_line: spec.fmtp_line.clone() }
}

/// A participant as others see it: with its live tracks.
#[must_use]
pub fn participant(room: &Room, participant: &Participant) -> ParticipantInfo {
    let profile = &participant.profile;
    let tracks = participant.tracks.iter().filter_map(|sid| room.tracks.get(sid));
    ParticipantInfo {
        sid: profile.sid.0.clone(),
        identity: profile.identity.clone(),
        state: state(profile.stage).into(),
        tracks: tracks.filter(|track| track.record.live).map(|track| track.record.info.clone()).collect(),
        metadata: profile.metadata.clone(),
        joined_at: profile.joined_at.unix_seconds(),
        joined_at_ms: profile.joined_at.unix_millis(),
        name: profile.name.clone(),
        version: profile.version,
        permission: Some(profile.permission()),
        region: String::new(),
        is_publisher: profile.publishes,
        kind: profile.claims.participant_kind().into(),
        attributes: profile.attributes.clone().into_iter().collect(),
        disconnect_reason: DisconnectReason::UnknownReason.into(),
        kind_details: profile.claims.participant_kind_details().into_iter().map(i32::from).collect(),
        data_tracks: profile.data.tracks.clone(),
        client_protocol: profile.client.client_protocol,
        capabilities: profile.client.capabilities.clone(),
    }
}

/// The last that others see of a participant.
#[must_use]
pub fn departed(room: &Room, leaver: &Participant, reason: DisconnectReason) -> ParticipantInfo {
    ParticipantInfo {
        state: participant_info::State::Disconnected.into(),
        tracks: Vec::new(),
        data_tracks: Vec::new(),
        disconnect_reason: reason.into(),
        ..participant(room, leaver)
    }
}

const fn state(stage: Stage) -> participant_info::State {
    match stage {
        Stage::Joining => participant_info::State::Joining,
        Stage::Joined => participant_info::State::Joined,
        Stage::Active => participant_info::State::Active,
    }
}
