//! A worker says whether it takes a job, and gets it; or another one is asked.

use std::collections::BTreeMap;

use livekit_protocol::server_message::Message as Said;
use livekit_protocol::{AvailabilityResponse, JobStatus, JobTermination};

use crate::agent::dispatcher::Dispatcher;
use crate::agent::effect::Effect;
use crate::agent::job::{JobId, Stage, unix_nanos};
use crate::agent::tally::Counted;
use crate::agent::worker::WorkerId;
use crate::agent::{ending, launching, token};
use crate::config::Limit;
use crate::room::admission;
use crate::room::clock::Time;

pub fn answered(desk: &mut Dispatcher, now: Time, worker_id: WorkerId, answer: AvailabilityResponse) {
    let id = JobId(answer.job_id.clone());
    if desk.jobs.get(&id).is_none_or(|job| job.offered_to != Some(worker_id)) {
        return desk.count(Counted::Stale);
    }
    if answer.available && !answer.terminate {
        if is_usable(&desk.settings.config.now().limit, &answer) {
            assign(desk, now, &id, worker_id, &answer);
        } else {
            desk.count(Counted::BadAnswer);
            try_another(desk, now, &id, worker_id);
        }
    } else {
        desk.count(Counted::OfferRefused);
        let wants_no_other = answer.terminate && desk.jobs.get(&id).is_some_and(|job| !job.is_running());
        if wants_no_other {
            ending::end(desk, now, &id, JobStatus::JsSuccess, "");
        } else {
            try_another(desk, now, &id, worker_id);
        }
    }
    let role = desk.workers.get(&worker_id).and_then(|worker| worker.role()).cloned();
    if let Some(role) = role {
        launching::serve_waiting(desk, now, &role);
    }
}

/// No answer came in time.
pub fn timed_out(desk: &mut Dispatcher, now: Time, id: &JobId, worker_id: WorkerId) {
    if desk.jobs.get(id).is_some_and(|job| job.offered_to == Some(worker_id)) {
        desk.count(Counted::OfferTimedOut);
        try_another(desk, now, id, worker_id);
    }
}

/// The worker did not take the job: another one is asked, and this one not again.
pub fn try_another(desk: &mut Dispatcher, now: Time, id: &JobId, worker_id: WorkerId) {
    if let Some(worker) = desk.workers.get_mut(&worker_id) {
        worker.offers.remove(id);
    }
    let Some(job) = desk.jobs.get_mut(id) else { return };
    job.offered_to = None;
    job.tried.insert(worker_id);
    let (is_running, is_own) = (job.is_running(), job.only_for.is_some());
    if launching::offer(desk, now, id) {
        return;
    }
    if is_own {
        ending::end(desk, now, id, JobStatus::JsFailed, "the worker did not take its own job");
    } else if !is_running {
        launching::wait(desk, id);
    }
    // A job that was to move and that nobody takes stays where it is.
}

fn assign(desk: &mut Dispatcher, now: Time, id: &JobId, worker_id: WorkerId, answer: &AvailabilityResponse) {
    let (Some(job), Some(worker)) = (desk.jobs.get_mut(id), desk.workers.get_mut(&worker_id)) else { return };
    let Some(registration) = &worker.registration else { return };
    let before = job.worker();
    let moves = job.is_running();
    let nanos = unix_nanos(now);
    if !moves {
        job.state.started_at = nanos;
    }
    job.state.status = JobStatus::JsRunning.into();
    job.state.updated_at = nanos;
    job.state.worker_id.clone_from(&worker.sid);
    let former = std::mem::replace(&mut job.state.participant_identity, answer.participant_identity.clone());
    job.offered_to = None;
    job.stage = Stage::Running { on: Some(worker_id), participant: None };
    let room = job.room().to_owned();
    let claims = token::claims(&room, registration, answer);
    worker.offers.remove(id);
    worker.running.insert(id.clone());
    tracing::info!(
        room,
        job = id.0,
        worker = worker.sid,
        identity = answer.participant_identity,
        "job assigned"
    );
    let api_key = worker.api_key.clone();
    let job = Box::new(job.message());
    desk.want(Effect::Assign { worker: worker_id, api_key, claims: Box::new(claims), job });
    if let Some(room) = desk.rooms.get_mut(&room) {
        if moves && former != answer.participant_identity {
            room.agents.remove(&former);
        }
        // Who had the name before may have been asked to leave.
        room.leaving.remove(&answer.participant_identity);
        room.agents.insert(answer.participant_identity.clone(), id.clone());
    }
    desk.count(if moves { Counted::JobMoved } else { Counted::JobAssigned });
    if let Some(before) = before {
        if let Some(worker) = desk.workers.get_mut(&before) {
            worker.running.remove(id);
        }
        desk.send(before, Said::Termination(JobTermination { job_id: id.0.clone() }));
    }
}

/// Whether somebody could join with what the worker wants its agent to be.
fn is_usable(limit: &Limit, answer: &AvailabilityResponse) -> bool {
    let attributes: BTreeMap<_, _> = answer.participant_attributes.clone().into_iter().collect();
    let identity_len_max = admission::limit_or_none(limit.max_participant_identity_length);
    !answer.participant_identity.is_empty()
        && answer.participant_identity.len() <= identity_len_max
        && admission::within(limit, &answer.participant_name, &answer.participant_metadata, &attributes)
}
