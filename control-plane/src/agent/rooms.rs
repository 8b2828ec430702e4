//! Rooms as agents see them: their dispatches, the agents in them, and what happens there.

use std::collections::{BTreeSet, HashMap};

use indexmap::IndexMap;
use livekit_protocol::{
    self as livekit, AgentDispatch, JobStatus, JobType, ParticipantInfo, RoomAgentDispatch, participant_info,
};

use crate::agent::dispatcher::Dispatcher;
use crate::agent::effect::Errand;
use crate::agent::job::JobId;
use crate::agent::launching::{self, Occasion, PATIENCE};
use crate::agent::tally::Counted;
use crate::agent::worker::Role;
use crate::agent::{dispatching, ending};
use crate::room::clock::Time;

#[derive(Debug)]
pub struct RoomOfAgents {
    pub sid: String,
    pub dispatches: IndexMap<String, Dispatch>,
    /// By identity.
    pub agents: HashMap<String, JobId>,
    /// Agents whose dispatch was deleted.
    pub leaving: BTreeSet<String>,
    /// When there was last an occasion for a job.
    pub eventful_at: Time,
    /// Its own dispatches were made.
    is_open: bool,
}

#[derive(Debug)]
pub struct Dispatch {
    /// Its state without the jobs.
    pub info: AgentDispatch,
    pub created_at: Time,
    pub jobs: Vec<JobId>,
    /// Jobs that were made, by role and by the participant's sid: each is made once.
    pub served: BTreeSet<(Role, String)>,
}

impl RoomOfAgents {
    fn new(now: Time, sid: &str) -> Self {
        Self {
            sid: sid.to_owned(),
            dispatches: IndexMap::new(),
            agents: HashMap::new(),
            leaving: BTreeSet::new(),
            eventful_at: now,
            is_open: false,
        }
    }
}

/// A room as it is now, and its entry. One of the same name that was there before is over, whether we heard so or not.
fn enter(desk: &mut Dispatcher, now: Time, room: &livekit::Room) {
    let is_another = desk.rooms.get(&room.name).is_some_and(|known| known.sid != room.sid);
    if is_another {
        forget(desk, now, &room.name);
    }
    desk.rooms.entry(room.name.clone()).or_insert_with(|| RoomOfAgents::new(now, &room.sid));
}

/// A room has the dispatches that it was made with, or one for agents without a name.
pub fn started(desk: &mut Dispatcher, now: Time, room: &livekit::Room, agents: &[RoomAgentDispatch]) {
    enter(desk, now, room);
    let Some(entry) = desk.rooms.get_mut(&room.name) else { return };
    if std::mem::replace(&mut entry.is_open, true) {
        return;
    }
    let default = [RoomAgentDispatch::default()];
    let wanted = if agents.is_empty() { &default[..] } else { agents };
    for agent in wanted {
        let Ok(id) = dispatching::add(desk, now, &room.name, agent.clone()) else {
            desk.count(Counted::DispatchLimit);
            continue;
        };
        launching::launch(desk, now, &id, Occasion { kind: JobType::JtRoom, room, participant: None });
    }
}

pub fn finished(desk: &mut Dispatcher, now: Time, room: &livekit::Room) {
    if desk.rooms.get(&room.name).is_some_and(|known| known.sid == room.sid) {
        forget(desk, now, &room.name);
    }
}

pub fn joined(desk: &mut Dispatcher, now: Time, room: &livekit::Room, participant: &ParticipantInfo) {
    if participant.kind() == participant_info::Kind::Agent {
        ending::agent_joined(desk, &room.name, participant);
    }
    occasion(desk, now, room, JobType::JtParticipant, participant);
}

/// The first track of a participant makes it a publisher; `launch` sees to it that later ones make no more of it.
pub fn published(desk: &mut Dispatcher, now: Time, room: &livekit::Room, participant: &ParticipantInfo) {
    occasion(desk, now, room, JobType::JtPublisher, participant);
}

pub fn left(desk: &mut Dispatcher, now: Time, room: &livekit::Room, participant: &ParticipantInfo) {
    if participant.kind() == participant_info::Kind::Agent {
        ending::agent_left(desk, now, &room.name, participant);
    }
    if let Some(entry) = desk.rooms.get_mut(&room.name) {
        for dispatch in entry.dispatches.values_mut() {
            dispatch.served.retain(|(_, sid)| *sid != participant.sid);
        }
    }
}

/// The first worker of a role came: rooms with a dispatch for it, and something in it to do, are asked who is there.
pub fn look_for_work(desk: &mut Dispatcher, now: Time, role: &Role) {
    let rooms = desk.rooms.iter().filter(|(_, room)| {
        let is_recent = |at: Time| at.after(PATIENCE) > now;
        let mut fitting =
            room.dispatches.values().filter(|dispatch| dispatch.info.agent_name == role.agent_name);
        fitting.any(|dispatch| is_recent(dispatch.created_at) || is_recent(room.eventful_at))
    });
    let mut names: Vec<String> = rooms.map(|(name, _)| name.clone()).collect();
    names.sort_unstable();
    for name in names {
        desk.ask(Errand::Survey { room: name });
    }
}

/// Who is in a room: whoever has no job yet gets one, unless both the dispatch and the occasion are of long ago.
pub fn surveyed(desk: &mut Dispatcher, now: Time, room: &livekit::Room, participants: &[ParticipantInfo]) {
    let Some(entry) = desk.rooms.get(&room.name).filter(|known| known.sid == room.sid) else { return };
    let horizon = |at: i64| at.saturating_add(millis(PATIENCE)) > now.unix_millis();
    let dispatches: Vec<(String, bool)> = entry
        .dispatches
        .iter()
        .map(|(id, dispatch)| (id.clone(), horizon(dispatch.created_at.unix_millis())))
        .collect();
    for (id, is_recent) in dispatches {
        if is_recent {
            launching::launch(desk, now, &id, Occasion { kind: JobType::JtRoom, room, participant: None });
        }
        let present = participants.iter().filter(|participant| causes_jobs(participant));
        for participant in present.filter(|participant| is_recent || horizon(participant.joined_at_ms)) {
            for kind in [JobType::JtParticipant, JobType::JtPublisher] {
                if kind == JobType::JtParticipant || participant.is_publisher {
                    let occasion = Occasion { kind, room, participant: Some(participant) };
                    launching::launch(desk, now, &id, occasion);
                }
            }
        }
    }
}

fn occasion(
    desk: &mut Dispatcher,
    now: Time,
    room: &livekit::Room,
    kind: JobType,
    participant: &ParticipantInfo,
) {
    if !causes_jobs(participant) {
        return;
    }
    let Some(entry) = desk.rooms.get_mut(&room.name) else { return };
    entry.eventful_at = now;
    let ids: Vec<String> = entry.dispatches.keys().cloned().collect();
    for id in ids {
        launching::launch(desk, now, &id, Occasion { kind, room, participant: Some(participant) });
    }
}

/// LiveKit's `IsDependent`: agents and recorders are there because of others.
fn causes_jobs(participant: &ParticipantInfo) -> bool {
    let is_active = participant.state() == participant_info::State::Active;
    let is_dependent =
        matches!(participant.kind(), participant_info::Kind::Agent | participant_info::Kind::Egress);
    is_active && !is_dependent
}

/// The room is over, and so is everything that was done for it.
fn forget(desk: &mut Dispatcher, now: Time, name: &str) {
    let Some(entry) = desk.rooms.remove(name) else { return };
    let simulated = entry.agents.into_values();
    for id in entry.dispatches.into_values().flat_map(|dispatch| dispatch.jobs).chain(simulated) {
        ending::terminate(desk, now, &id, JobStatus::JsSuccess, "");
        desk.jobs.remove(&id);
    }
}

fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
