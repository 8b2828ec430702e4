//! Jobs that workers ask for themselves: to try their agents out, and to hand them on before they end.

use livekit_protocol::{JobType, MigrateJobRequest, SimulateJobRequest};

use crate::agent::dispatcher::Dispatcher;
use crate::agent::job::{Job, JobId, Stage};
use crate::agent::launching::{self, Occasion};
use crate::agent::tally::Counted;
use crate::agent::worker::WorkerId;
use crate::room::clock::Time;

/// A job for this worker only, for a room that it names.
pub fn simulate(desk: &mut Dispatcher, now: Time, worker_id: WorkerId, request: SimulateJobRequest) {
    let role = desk.workers.get(&worker_id).and_then(|worker| worker.role()).cloned();
    let (Some(role), Some(room)) = (role, request.room) else { return desk.count(Counted::BadSimulation) };
    let simulated = desk.jobs.values().filter(|job| job.only_for == Some(worker_id)).count();
    if room.name.is_empty() || simulated >= SIMULATED_MAX {
        return desk.count(Counted::BadSimulation);
    }
    // LiveKit goes by whether there is a participant, not by the type.
    let kind = if request.participant.is_some() { JobType::JtPublisher } else { JobType::JtRoom };
    let id = JobId(desk.sid("AJ_"));
    let occasion = Occasion { kind, room: &room, participant: request.participant.as_ref() };
    let info = launching::info(&id, occasion, &role);
    let job = Job { only_for: Some(worker_id), ..Job::wanted(now, info, role) };
    launching::begin(desk, now, job);
}

/// Looks for another worker for each. LiveKit's open server ignores it; a job that nobody takes stays here, too.
pub fn migrate(desk: &mut Dispatcher, now: Time, worker_id: WorkerId, request: &MigrateJobRequest) {
    for id in &request.job_ids {
        let id = JobId(id.clone());
        let job = desk.jobs.get_mut(&id);
        let own = job.filter(|job| matches!(job.stage, Stage::Running { on, .. } if on == Some(worker_id)));
        match own {
            Some(job) => {
                job.tried.clear();
                launching::offer(desk, now, &id);
            }
            None => desk.count(Counted::Stale),
        }
    }
}

const SIMULATED_MAX: usize = 16;
