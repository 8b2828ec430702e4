//! Jobs end: their workers say so, their agents leave, their rooms or dispatches are no more.

use std::time::Duration;

use livekit_protocol::server_message::Message as Said;
use livekit_protocol::{DisconnectReason, JobStatus, JobTermination, ParticipantInfo, UpdateJobStatus};

use crate::agent::dispatcher::{Dispatcher, Timer};
use crate::agent::effect::Errand;
use crate::agent::job::{Job, JobId, Stage, is_end, unix_nanos};
use crate::agent::launching;
use crate::agent::tally::Counted;
use crate::agent::worker::WorkerId;
use crate::room::clock::Time;

/// A worker says how a job goes.
pub fn update(desk: &mut Dispatcher, now: Time, worker_id: WorkerId, update: UpdateJobStatus) {
    let id = JobId(update.job_id);
    let Ok(status) = JobStatus::try_from(update.status) else { return desk.count(Counted::Stale) };
    take_back(desk, worker_id, &id);
    let (Some(job), Some(worker)) = (desk.jobs.get_mut(&id), desk.workers.get(&worker_id)) else {
        return desk.count(Counted::Stale);
    };
    let error: String = update.error.chars().take(ERROR_LEN_MAX).collect();
    let is_its_own = job.state.worker_id == worker.sid;
    match job.stage {
        Stage::Running { on, .. } if on == Some(worker_id) => {
            job.state.updated_at = unix_nanos(now);
            if is_end(status) {
                end(desk, now, &id, status, &error);
            } else {
                job.state.status = status.into();
                job.state.error = error;
            }
        }
        // Its agent left first, and now it is known why.
        Stage::Ended { by_departure: true } if is_its_own && is_end(status) => {
            job.stage = Stage::Ended { by_departure: false };
            job.state.status = status.into();
            job.state.error = error;
            job.state.updated_at = unix_nanos(now);
        }
        _ => desk.count(Counted::Stale),
    }
}

/// Its worker came back on another connection, and tells what it still does.
fn take_back(desk: &mut Dispatcher, worker_id: WorkerId, id: &JobId) {
    let (Some(job), Some(worker)) = (desk.jobs.get_mut(id), desk.workers.get_mut(&worker_id)) else { return };
    if let Stage::Running { on: on @ None, .. } = &mut job.stage
        && worker.has_role(&job.role)
    {
        *on = Some(worker_id);
        job.state.worker_id.clone_from(&worker.sid);
        worker.running.insert(id.clone());
    }
}

/// Ends a job, whatever it was doing. Whoever should hear of it is told elsewhere.
pub fn end(desk: &mut Dispatcher, now: Time, id: &JobId, status: JobStatus, error: &str) {
    launching::stop_waiting(desk, id);
    let Some(job) = desk.jobs.get_mut(id).filter(|job| !job.has_ended()) else { return };
    let nanos = unix_nanos(now);
    let workers = [job.worker(), job.offered_to.take()];
    job.stage = Stage::Ended { by_departure: false };
    job.state.status = status.into();
    error.clone_into(&mut job.state.error);
    job.state.updated_at = nanos;
    job.state.ended_at = nanos;
    let (room, identity) = (job.room().to_owned(), job.state.participant_identity.clone());
    tracing::info!(room, job = id.0, ?status, error, "job ended");
    let dispatch_id = job.info.dispatch_id.clone();
    let (was_taken, is_simulated) = (job.was_taken(), job.only_for.is_some());
    for worker in workers.into_iter().flatten() {
        if let Some(worker) = desk.workers.get_mut(&worker) {
            worker.running.remove(id);
            worker.offers.remove(id);
        }
    }
    desk.count(match status {
        _ if !was_taken => Counted::JobDropped,
        JobStatus::JsSuccess => Counted::JobSucceeded,
        _ => Counted::JobFailed,
    });
    if is_simulated {
        desk.jobs.remove(id);
    }
    let Some(room) = desk.rooms.get_mut(&room) else { return };
    if room.agents.get(&identity) == Some(id) {
        room.agents.remove(&identity);
    }
    // A dispatch lists its jobs of long ago, but not without end.
    if let Some(dispatch) = room.dispatches.get_mut(&dispatch_id)
        && dispatch.jobs.len() > JOBS_LISTED_MAX
        && let Some(oldest) = dispatch.jobs.iter().position(|id| desk.jobs.get(id).is_none_or(Job::has_ended))
    {
        desk.jobs.remove(&dispatch.jobs.remove(oldest));
    }
}

/// Ends a job and tells its worker so.
pub fn terminate(desk: &mut Dispatcher, now: Time, id: &JobId, status: JobStatus, error: &str) {
    let workers = desk.jobs.get(id).map(|job| [job.worker(), job.offered_to]);
    end(desk, now, id, status, error);
    for worker in workers.into_iter().flatten().flatten() {
        desk.send(worker, Said::Termination(JobTermination { job_id: id.0.clone() }));
    }
}

/// An agent is in its room.
pub fn agent_joined(desk: &mut Dispatcher, room: &str, agent: &ParticipantInfo) {
    let Some(id) = desk.rooms.get(room).and_then(|room| room.agents.get(&agent.identity)) else { return };
    if let Some(job) = desk.jobs.get_mut(id)
        && let Stage::Running { participant, .. } = &mut job.stage
    {
        *participant = Some(agent.sid.clone());
    }
}

/// An agent left its room: so its job is over, unless its next connection took its place.
pub fn agent_left(desk: &mut Dispatcher, now: Time, room: &str, agent: &ParticipantInfo) {
    if agent.disconnect_reason() == DisconnectReason::DuplicateIdentity {
        return;
    }
    let Some(entry) = desk.rooms.get_mut(room) else { return };
    entry.leaving.remove(&agent.identity);
    let Some(id) = entry.agents.get(&agent.identity).cloned() else { return };
    let is_current = desk.jobs.get(&id).is_some_and(|job| match &job.stage {
        Stage::Running { participant, .. } => participant.as_ref().is_none_or(|sid| *sid == agent.sid),
        Stage::Waiting | Stage::Ended { .. } => false,
    });
    if is_current {
        terminate(desk, now, &id, JobStatus::JsFailed, "agent worker left the room");
        if let Some(job) = desk.jobs.get_mut(&id) {
            job.stage = Stage::Ended { by_departure: true };
        }
    }
}

/// Nobody took it.
pub fn expired(desk: &mut Dispatcher, now: Time, id: &JobId) {
    if desk.jobs.get(id).is_some_and(|job| job.stage == Stage::Waiting) {
        desk.count(Counted::JobExpired);
        terminate(desk, now, id, JobStatus::JsFailed, "no worker took the job");
    }
}

/// Its worker's connection is gone for long. While the agent is in the room, that is where its end shows.
pub fn worker_did_not_return(desk: &mut Dispatcher, now: Time, id: &JobId) {
    let is_lost =
        desk.jobs.get(id).is_some_and(|job| job.stage == Stage::Running { on: None, participant: None });
    if is_lost {
        end(desk, now, id, JobStatus::JsFailed, "agent worker disconnected");
    }
}

/// The agent of a dispatch that was deleted has a while to go by itself.
pub fn ask_to_leave(desk: &mut Dispatcher, now: Time, room: &str, identity: &str) {
    let Some(entry) = desk.rooms.get_mut(room) else { return };
    entry.leaving.insert(identity.to_owned());
    let timer = Timer::Departure { room: room.to_owned(), identity: identity.to_owned() };
    desk.set_timer(now.after(LEAVE_WITHIN), timer);
}

pub fn must_leave(desk: &mut Dispatcher, room: &str, identity: &str) {
    if desk.rooms.get_mut(room).is_some_and(|room| room.leaving.remove(identity)) {
        desk.ask(Errand::Remove { room: room.to_owned(), identity: identity.to_owned() });
    }
}

const LEAVE_WITHIN: Duration = Duration::from_secs(10);
const JOBS_LISTED_MAX: usize = 100;
const ERROR_LEN_MAX: usize = 1024;
