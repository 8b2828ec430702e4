//! Dispatches: made with a room or by the server API, listed, deleted.

use livekit_protocol::{
    self as livekit, AgentDispatch, AgentDispatchState, CreateAgentDispatchRequest, JobStatus,
    RoomAgentDispatch,
};

use crate::agent::dispatcher::Dispatcher;
use crate::agent::effect::Errand;
use crate::agent::ending;
use crate::agent::job::{JobId, unix_nanos};
use crate::agent::rooms::{Dispatch, RoomOfAgents};
use crate::agent::tally::Counted;
use crate::room::admission;
use crate::room::clock::Time;

/// Why a dispatch was not made, deleted or listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DispatchError {
    #[error("requested room does not exist")]
    RoomNotFound,
    #[error("dispatch ID not found")]
    NotFound,
    #[error("room has too many dispatches")]
    TooMany,
    #[error("dispatch exceeds size limits")]
    TooLarge,
}

/// Makes a dispatch for a room that is there. Its jobs follow when the room has told who is in it.
pub fn create(
    desk: &mut Dispatcher,
    now: Time,
    room: &livekit::Room,
    request: CreateAgentDispatchRequest,
) -> Result<AgentDispatch, DispatchError> {
    // A room tells that it started before it answers anybody: what is not there now is over, or was followed by another.
    if desk.rooms.get(&room.name).is_none_or(|known| known.sid != room.sid) {
        return Err(DispatchError::RoomNotFound);
    }
    let CreateAgentDispatchRequest { agent_name, room: _, metadata, restart_policy, deployment, attributes } =
        request;
    let wish = RoomAgentDispatch { agent_name, metadata, restart_policy, deployment, attributes };
    let id = add(desk, now, &room.name, wish).inspect_err(|_| desk.count(Counted::DispatchLimit))?;
    desk.ask(Errand::Survey { room: room.name.clone() });
    let entry = desk.rooms.get(&room.name).ok_or(DispatchError::RoomNotFound)?;
    entry.dispatches.get(&id).map(|dispatch| describe(desk, dispatch)).ok_or(DispatchError::NotFound)
}

/// Deletes a dispatch: its workers are told to end what they do for it, and agents that stay are removed.
pub fn delete(
    desk: &mut Dispatcher,
    now: Time,
    room: &str,
    dispatch_id: &str,
) -> Result<AgentDispatch, DispatchError> {
    let entry = desk.rooms.get_mut(room).ok_or(DispatchError::RoomNotFound)?;
    let mut dispatch = entry.dispatches.shift_remove(dispatch_id).ok_or(DispatchError::NotFound)?;
    for id in &dispatch.jobs {
        let agent = desk.jobs.get(id).filter(|job| job.is_running());
        let identity = agent.map(|job| job.state.participant_identity.clone());
        ending::terminate(desk, now, id, JobStatus::JsSuccess, "");
        if let Some(identity) = identity {
            ending::ask_to_leave(desk, now, room, &identity);
        }
    }
    if let Some(state) = &mut dispatch.info.state {
        state.deleted_at = unix_nanos(now);
    }
    let described = describe(desk, &dispatch);
    for id in &dispatch.jobs {
        desk.jobs.remove(id);
    }
    Ok(described)
}

/// All dispatches of a room, or the one of that id.
pub fn list(desk: &Dispatcher, room: &str, dispatch_id: &str) -> Result<Vec<AgentDispatch>, DispatchError> {
    let entry = desk.rooms.get(room).ok_or(DispatchError::RoomNotFound)?;
    let wanted = entry.dispatches.iter().filter(|(id, _)| dispatch_id.is_empty() || *id == dispatch_id);
    Ok(wanted.map(|(_, dispatch)| describe(desk, dispatch)).collect())
}

/// Adds a dispatch to a room that has an entry, and gives its id.
pub fn add(
    desk: &mut Dispatcher,
    now: Time,
    room: &str,
    wish: RoomAgentDispatch,
) -> Result<String, DispatchError> {
    let id = desk.sid("AD_");
    let limit = &desk.settings.config.now().limit;
    let attributes = wish.attributes.clone().into_iter().collect();
    let is_small = admission::within(limit, "", &wish.metadata, &attributes)
        && wish.agent_name.len().max(wish.deployment.len()) <= NAME_LEN_MAX;
    let entry: &mut RoomOfAgents = desk.rooms.get_mut(room).ok_or(DispatchError::RoomNotFound)?;
    if !is_small {
        return Err(DispatchError::TooLarge);
    }
    if entry.dispatches.len() >= DISPATCHES_MAX {
        return Err(DispatchError::TooMany);
    }
    let RoomAgentDispatch { agent_name, metadata, restart_policy, deployment, attributes } = wish;
    let info = AgentDispatch {
        id: id.clone(),
        agent_name,
        room: room.to_owned(),
        metadata,
        state: Some(AgentDispatchState { created_at: unix_nanos(now), ..AgentDispatchState::default() }),
        restart_policy,
        deployment,
        attributes,
    };
    let dispatch =
        Dispatch { info, created_at: now, jobs: Vec::new(), served: std::collections::BTreeSet::new() };
    entry.dispatches.insert(id.clone(), dispatch);
    Ok(id)
}

/// With the jobs that a worker has or had.
fn describe(desk: &Dispatcher, dispatch: &Dispatch) -> AgentDispatch {
    let known = dispatch.jobs.iter().filter_map(|id: &JobId| desk.jobs.get(id));
    let jobs = known.filter(|job| job.was_taken()).map(|job| job.message()).collect();
    let state = dispatch.info.state.clone().unwrap_or_default();
    AgentDispatch { state: Some(AgentDispatchState { jobs, ..state }), ..dispatch.info.clone() }
}

const DISPATCHES_MAX: usize = 64;
const NAME_LEN_MAX: usize = 256;
