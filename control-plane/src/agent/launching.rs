//! Jobs are made for a dispatch, and offered to workers until one takes them.

use std::time::Duration;

use livekit_protocol::server_message::Message as Said;
use livekit_protocol::{self as livekit, AvailabilityRequest, JobState, JobStatus, JobType, ParticipantInfo};

use crate::agent::choice;
use crate::agent::dispatcher::{Dispatcher, Timer};
use crate::agent::job::{Job, JobId, Stage, unix_nanos};
use crate::agent::tally::Counted;
use crate::agent::worker::{Role, WorkerId};
use crate::room::clock::Time;

/// What a job would be for.
#[derive(Clone, Copy, Debug)]
pub struct Occasion<'a> {
    pub kind: JobType,
    pub room: &'a livekit::Room,
    /// Of publishers' and participants' jobs.
    pub participant: Option<&'a ParticipantInfo>,
}

/// Makes the jobs that a dispatch has on this occasion: one for each namespace with workers for it, and each only once.
pub fn launch(desk: &mut Dispatcher, now: Time, dispatch_id: &str, occasion: Occasion<'_>) {
    let Some(dispatch) = dispatch_of(desk, occasion.room, dispatch_id) else { return };
    let agent_name = dispatch.agent_name.clone();
    for namespace in desk.namespaces(occasion.kind, &agent_name) {
        let role = Role { kind: occasion.kind, agent_name: agent_name.clone(), namespace };
        launch_one(desk, now, dispatch_id, occasion, role);
    }
}

fn launch_one(desk: &mut Dispatcher, now: Time, dispatch_id: &str, occasion: Occasion<'_>, role: Role) {
    if desk.jobs.len() >= JOBS_MAX {
        return desk.count(Counted::JobLimit);
    }
    let id = JobId(desk.sid("AJ_"));
    let Some(room) = desk.rooms.get_mut(&occasion.room.name) else { return };
    let Some(dispatch) = room.dispatches.get_mut(dispatch_id) else { return };
    let about = occasion.participant.map_or_else(String::new, |participant| participant.sid.clone());
    if !dispatch.served.insert((role.clone(), about)) {
        return;
    }
    dispatch.jobs.push(id.clone());
    let info = info(&id, occasion, &role);
    let info = livekit::Job {
        dispatch_id: dispatch_id.to_owned(),
        metadata: dispatch.info.metadata.clone(),
        deployment: dispatch.info.deployment.clone(),
        attributes: dispatch.info.attributes.clone(),
        ..info
    };
    desk.count(Counted::JobWanted);
    begin(desk, now, Job::wanted(now, info, role));
}

/// Offers a new job.
pub fn begin(desk: &mut Dispatcher, now: Time, job: Job) {
    let id = job.id();
    desk.jobs.insert(id.clone(), job);
    desk.set_timer(now.after(PATIENCE), Timer::Patience(id.clone()));
    if !offer(desk, now, &id) {
        wait(desk, &id);
    }
}

/// Asks a worker that is free for the job. False: there is none.
pub fn offer(desk: &mut Dispatcher, now: Time, id: &JobId) -> bool {
    let Some(job) = desk.jobs.get(id).filter(|job| job.offered_to.is_none() && !job.has_ended()) else {
        return false;
    };
    let candidates = candidates(desk, job);
    let target_load = desk.settings.config.now().agents.target_load;
    let Some(worker_id) = choice::choose(desk.random(), target_load, &candidates) else { return false };
    let (Some(job), Some(worker)) = (desk.jobs.get_mut(id), desk.workers.get_mut(&worker_id)) else {
        return false;
    };
    let resuming = job.is_running();
    job.offered_to = Some(worker_id);
    worker.offers.insert(id.clone());
    let nanos = unix_nanos(now);
    // As LiveKit words it: what the state will be when it is taken.
    let state = JobState {
        status: JobStatus::JsRunning.into(),
        worker_id: worker.sid.clone(),
        started_at: if resuming { job.state.started_at } else { nanos },
        updated_at: nanos,
        ..JobState::default()
    };
    let message = livekit::Job { state: Some(state), ..job.info.clone() };
    stop_waiting(desk, id);
    desk.send(worker_id, Said::Availability(AvailabilityRequest { job: Some(message), resuming }));
    desk.set_timer(now.after(ANSWER_WITHIN), Timer::Answer(id.clone(), worker_id));
    desk.count(Counted::JobOffered);
    true
}

/// Somebody of the role is free again, or new.
pub fn serve_waiting(desk: &mut Dispatcher, now: Time, role: &Role) {
    let Some(waiting) = desk.waiting.get(role) else { return };
    let ids: Vec<JobId> = waiting.iter().take(SERVED_AT_ONCE_MAX).map(|(_, id)| id.clone()).collect();
    for id in ids {
        let somebody_is_free = desk.workers.values().any(|worker| worker.has_role(role) && worker.is_free());
        if !somebody_is_free {
            break;
        }
        offer(desk, now, &id);
    }
}

/// Until a worker comes or has time for it.
pub fn wait(desk: &mut Dispatcher, id: &JobId) {
    let Some(job) = desk.jobs.get(id) else { return };
    let (role, place) = (job.role.clone(), (job.wanted_at, id.clone()));
    desk.waiting.entry(role).or_default().insert(place);
}

pub fn stop_waiting(desk: &mut Dispatcher, id: &JobId) {
    let Some(job) = desk.jobs.get(id) else { return };
    if let Some(waiting) = desk.waiting.get_mut(&job.role) {
        waiting.remove(&(job.wanted_at, id.clone()));
        if waiting.is_empty() {
            desk.waiting.remove(&job.role);
        }
    }
}

/// A job before anybody has it.
#[expect(deprecated, reason = "LiveKit still fills the namespace for workers that have one")]
pub fn info(id: &JobId, occasion: Occasion<'_>, role: &Role) -> livekit::Job {
    livekit::Job {
        id: id.0.clone(),
        r#type: occasion.kind.into(),
        room: Some(occasion.room.clone()),
        participant: occasion.participant.cloned(),
        namespace: role.namespace.clone(),
        agent_name: role.agent_name.clone(),
        ..livekit::Job::default()
    }
}

fn candidates(desk: &Dispatcher, job: &Job) -> Vec<(WorkerId, f32)> {
    let fitting = desk.workers.iter().filter(|(id, worker)| {
        worker.has_role(&job.role)
            && worker.is_free()
            && !job.tried.contains(*id)
            && job.worker() != Some(**id)
            && job.only_for.is_none_or(|only| only == **id)
    });
    fitting.map(|(id, worker)| (*id, worker.load)).collect()
}

fn dispatch_of<'a>(
    desk: &'a Dispatcher,
    room: &livekit::Room,
    dispatch_id: &str,
) -> Option<&'a livekit::AgentDispatch> {
    let room = desk.rooms.get(&room.name).filter(|known| known.sid == room.sid)?;
    Some(&room.dispatches.get(dispatch_id)?.info)
}

impl Job {
    /// One that nobody was asked about yet.
    #[must_use]
    pub fn wanted(now: Time, info: livekit::Job, role: Role) -> Self {
        Self {
            info,
            state: JobState { status: JobStatus::JsPending.into(), ..JobState::default() },
            role,
            wanted_at: now,
            stage: Stage::Waiting,
            offered_to: None,
            tried: std::collections::BTreeSet::new(),
            only_for: None,
        }
    }
}

/// How long a job waits for somebody to take it, and how far back a worker that comes looks for what it has missed.
/// LiveKit does neither.
pub const PATIENCE: Duration = Duration::from_secs(300);
/// LiveKit's `AssignJobTimeout`.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
const JOBS_MAX: usize = 100_000;
const SERVED_AT_ONCE_MAX: usize = 256;
