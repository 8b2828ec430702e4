//! Statistics of a room, for who administers it: who is there, what is sent, and how well it arrives.

use serde::Serialize;

use crate::room::measurements::Measured;
use crate::room::participant::{Participant, Stage};
use crate::room::state::Room;
use crate::room::track::Track;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Statistics {
    pub name: String,
    pub sid: String,
    /// Seconds since 1970.
    pub created_at: i64,
    pub worker: u16,
    pub participants: Vec<OfParticipant>,
    /// How many more there are.
    pub participants_left_out: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OfParticipant {
    pub identity: String,
    pub sid: String,
    pub state: Stage,
    pub joined_at: i64,
    /// It has a WebSocket.
    pub connected: bool,
    /// 0 to 100.
    pub score: f32,
    pub sdk: i32,
    pub client_version: String,
    pub protocol: i32,
    pub published: Vec<OfTrack>,
    pub subscriptions: usize,
    pub received: Measured,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OfTrack {
    pub sid: String,
    pub mime_type: String,
    pub source: &'static str,
    pub muted: bool,
    pub live: bool,
    pub subscribers: usize,
    /// All its codecs together.
    pub sent: Measured,
}

/// Of everybody, or of one identity.
#[must_use]
pub fn of(room: &Room, identity: Option<&str>) -> Statistics {
    let wanted = || {
        let participants = room.participants.values();
        participants.filter(|participant| identity.is_none_or(|one| participant.profile.identity == one))
    };
    Statistics {
        name: room.record.name.clone(),
        sid: room.record.sid.clone(),
        created_at: room.record.created_at.unix_seconds(),
        worker: room.record.worker,
        participants: wanted().take(PARTICIPANTS_MAX).map(|who| of_participant(room, who)).collect(),
        participants_left_out: wanted().count().saturating_sub(PARTICIPANTS_MAX),
    }
}

fn of_participant(room: &Room, participant: &Participant) -> OfParticipant {
    let profile = &participant.profile;
    let tracks = participant.tracks.iter().filter_map(|sid| room.tracks.get(sid));
    OfParticipant {
        identity: profile.identity.clone(),
        sid: profile.sid.0.clone(),
        state: profile.stage,
        joined_at: profile.joined_at.unix_seconds(),
        connected: participant.connection.is_some(),
        score: participant.score,
        sdk: profile.client.sdk,
        client_version: profile.client.version.clone(),
        protocol: profile.client.protocol,
        published: tracks.map(|track| of_track(room, track)).collect(),
        subscriptions: participant.subscriptions.len(),
        received: room.measurements.received_by(&profile.sid),
    }
}

fn of_track(room: &Room, track: &Track) -> OfTrack {
    let info = &track.record.info;
    let mut sent = Measured::default();
    for publication in &track.publications {
        let measured = room.measurements.of_publication(publication.id);
        sent.packets += measured.packets;
        sent.packets_lost += measured.packets_lost;
        sent.bytes += measured.bytes;
        sent.rtt_us = sent.rtt_us.max(measured.rtt_us);
        sent.jitter_us = sent.jitter_us.max(measured.jitter_us);
    }
    OfTrack {
        sid: info.sid.clone(),
        mime_type: info.mime_type.clone(),
        source: info.source().as_str_name(),
        muted: info.muted,
        live: track.record.live,
        subscribers: room.subscribers(&track.sid()).len(),
        sent,
    }
}

const PARTICIPANTS_MAX: usize = 1_000;
