//! Workers come, say what they do and how busy they are, and go.

use std::time::Duration;

use livekit_protocol::server_message::Message as Said;
use livekit_protocol::worker_message::Message;
use livekit_protocol::{
    JobType, ParticipantPermission, RegisterWorkerRequest, RegisterWorkerResponse, UpdateWorkerStatus,
    WorkerPing, WorkerPong, WorkerStatus,
};

use crate::agent::dispatcher::{Dispatcher, Timer};
use crate::agent::job::Stage;
use crate::agent::tally::Counted;
use crate::agent::worker::{Registration, Role, Worker, WorkerId};
use crate::agent::{assigning, ending, launching, moving, rooms};
use crate::room::clock::Time;

/// A connection of a worker. `None`: there are too many.
pub fn connect(desk: &mut Dispatcher, now: Time, api_key: &str) -> Option<WorkerId> {
    if desk.workers.len() >= WORKERS_MAX {
        desk.count(Counted::WorkerLimit);
        return None;
    }
    let id = desk.next_worker();
    let sid = desk.sid("AW_");
    desk.workers.insert(id, Worker::new(sid, api_key.to_owned()));
    desk.set_timer(now.after(REGISTER_WITHIN), Timer::Registration(id));
    Some(id)
}

/// What a worker says. Before it has registered, that is all it may do; LiveKit closes then, too.
pub fn hear(desk: &mut Dispatcher, now: Time, id: WorkerId, message: Message) {
    let Some(worker) = desk.workers.get(&id) else { return };
    let is_registered = worker.registration.is_some();
    match message {
        Message::Ping(ping) => pong(desk, now, id, &ping),
        Message::Register(_) if is_registered => turn_out(desk, id, Counted::BadRegistration),
        Message::Register(request) => register(desk, now, id, request),
        _ if !is_registered => turn_out(desk, id, Counted::Unregistered),
        Message::Availability(answer) => assigning::answered(desk, now, id, answer),
        Message::UpdateWorker(update) => update_worker(desk, now, id, &update),
        Message::UpdateJob(update) => ending::update(desk, now, id, update),
        Message::SimulateJob(request) => moving::simulate(desk, now, id, request),
        Message::MigrateJob(request) => moving::migrate(desk, now, id, &request),
    }
}

/// The connection is gone: what it was asked goes to others; what it does may go on.
pub fn disconnect(desk: &mut Dispatcher, now: Time, id: WorkerId) {
    let Some(worker) = desk.workers.shift_remove(&id) else { return };
    for job_id in worker.running {
        if let Some(job) = desk.jobs.get_mut(&job_id)
            && let Stage::Running { on, .. } = &mut job.stage
        {
            *on = None;
            desk.set_timer(now.after(RETURN_WITHIN), Timer::WorkerBack(job_id));
        }
    }
    for job_id in worker.offers {
        desk.count(Counted::OfferLost);
        assigning::try_another(desk, now, &job_id, id);
    }
}

/// It did not say in time what it does.
pub fn too_late(desk: &mut Dispatcher, id: WorkerId) {
    if desk.workers.get(&id).is_some_and(|worker| worker.registration.is_none()) {
        turn_out(desk, id, Counted::NotRegistered);
    }
}

fn register(desk: &mut Dispatcher, now: Time, id: WorkerId, request: RegisterWorkerRequest) {
    let Ok(kind) = JobType::try_from(request.r#type) else {
        return turn_out(desk, id, Counted::BadRegistration);
    };
    let namespace = request.namespace.unwrap_or_default();
    if request.agent_name.len() > NAME_LEN_MAX || namespace.len() > NAME_LEN_MAX {
        return turn_out(desk, id, Counted::BadRegistration);
    }
    let role = Role { kind, agent_name: request.agent_name, namespace };
    let is_new = !desk.workers.values().any(|worker| worker.has_role(&role));
    let permission = request.allowed_permissions.unwrap_or_else(default_permission);
    let server_info = desk.settings.server_info.clone();
    let Some(worker) = desk.workers.get_mut(&id) else { return };
    tracing::info!(
        worker = worker.sid,
        agent = role.agent_name,
        ?kind,
        version = request.version.chars().take(VERSION_LEN_MAX).collect::<String>(),
        "agent worker registered"
    );
    worker.registration = Some(Registration { role: role.clone(), permission });
    let worker_id = worker.sid.clone();
    let response =
        RegisterWorkerResponse { worker_id, server_info: Some(server_info), endpoint_settings: None };
    desk.send(id, Said::Register(response));
    launching::serve_waiting(desk, now, &role);
    if is_new {
        rooms::look_for_work(desk, now, &role);
    }
}

fn update_worker(desk: &mut Dispatcher, now: Time, id: WorkerId, update: &UpdateWorkerStatus) {
    let status = update.status.map(|status| WorkerStatus::try_from(status).unwrap_or(WorkerStatus::WsFull));
    let Some(worker) = desk.workers.get_mut(&id) else { return };
    worker.report(status, update.load, update.draining);
    if let Some(role) = worker.role().filter(|_| worker.available).cloned() {
        launching::serve_waiting(desk, now, &role);
    }
}

fn pong(desk: &mut Dispatcher, now: Time, id: WorkerId, ping: &WorkerPing) {
    let pong = WorkerPong { last_timestamp: ping.timestamp, timestamp: now.unix_millis() };
    desk.send(id, Said::Pong(pong));
}

fn turn_out(desk: &mut Dispatcher, id: WorkerId, why: Counted) {
    tracing::info!(why = why.name(), "connection of an agent worker closed");
    desk.count(why);
    desk.close(id);
}

/// LiveKit's, for workers that ask for none.
fn default_permission() -> ParticipantPermission {
    ParticipantPermission {
        can_subscribe: true,
        can_publish: true,
        can_publish_data: true,
        can_update_metadata: true,
        ..ParticipantPermission::default()
    }
}

const WORKERS_MAX: usize = 1024;
/// LiveKit's `RegisterTimeout`.
const REGISTER_WITHIN: Duration = Duration::from_secs(10);
/// A worker that lost its connection tells on its next one what it still does.
const RETURN_WITHIN: Duration = Duration::from_secs(30);
const NAME_LEN_MAX: usize = 256;
const VERSION_LEN_MAX: usize = 64;
