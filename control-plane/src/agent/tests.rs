//! The rules of agents, without I/O: workers and rooms that are this test's, and time that it sets.

mod dispatches;
mod endings;
mod offers;
mod registration;

use std::time::Duration;

use livekit_protocol::server_message::Message as Said;
use livekit_protocol::worker_message::Message;
use livekit_protocol::{
    self as livekit, AvailabilityResponse, JobStatus, JobType, ParticipantInfo, RegisterWorkerRequest,
    ServerInfo, UpdateJobStatus, UpdateWorkerStatus, WorkerStatus, participant_info,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::agent::dispatcher::{Dispatcher, Settings};
use crate::agent::effect::{Effect, Errand};
use crate::agent::tally::Counted;
use crate::agent::worker::WorkerId;
use crate::agent::{dispatching, registering, rooms};
use crate::auth::grants::Claims;
use crate::config::Config;
use crate::config::live::Live;
use crate::room::clock::Time;

struct Bench {
    desk: Dispatcher,
    now: Time,
    effects: Vec<Effect>,
}

impl Bench {
    fn new() -> Self {
        let server_info = ServerInfo { node_id: "ND_1".to_owned(), ..ServerInfo::default() };
        let settings = Settings { config: Live::new(Config::default()), server_info };
        let desk = Dispatcher::with_random(settings, StdRng::seed_from_u64(1));
        Self { desk, now: Time(1_800_000_000_000_000), effects: Vec::new() }
    }

    fn pass(&mut self, seconds: u64) {
        self.now = self.now.after(Duration::from_secs(seconds));
        self.desk.tick(self.now);
        self.collect();
    }

    fn connect(&mut self) -> WorkerId {
        registering::connect(&mut self.desk, self.now, "key").unwrap()
    }

    fn hear(&mut self, worker: WorkerId, message: Message) {
        registering::hear(&mut self.desk, self.now, worker, message);
        self.collect();
    }

    fn register(&mut self, worker: WorkerId, kind: JobType, agent_name: &str, namespace: &str) {
        let request = RegisterWorkerRequest {
            r#type: kind.into(),
            agent_name: agent_name.to_owned(),
            namespace: Some(namespace.to_owned()),
            ..RegisterWorkerRequest::default()
        };
        self.hear(worker, Message::Register(request));
    }

    /// A worker that has registered, and was told so.
    fn worker(&mut self, kind: JobType, agent_name: &str) -> WorkerId {
        let worker = self.connect();
        self.register(worker, kind, agent_name, "");
        assert!(matches!(self.said(worker).first(), Some(Said::Register(_))));
        worker
    }

    fn disconnect(&mut self, worker: WorkerId) {
        registering::disconnect(&mut self.desk, self.now, worker);
        self.collect();
    }

    fn report(&mut self, worker: WorkerId, status: WorkerStatus, load: f32) {
        let update =
            UpdateWorkerStatus { status: Some(status.into()), load, ..UpdateWorkerStatus::default() };
        self.hear(worker, Message::UpdateWorker(update));
    }

    fn accept(&mut self, worker: WorkerId, job: &livekit::Job) {
        let answer = AvailabilityResponse {
            job_id: job.id.clone(),
            available: true,
            participant_identity: format!("agent-{}", job.id),
            ..AvailabilityResponse::default()
        };
        self.hear(worker, Message::Availability(answer));
    }

    fn refuse(&mut self, worker: WorkerId, job: &livekit::Job) {
        let answer = AvailabilityResponse { job_id: job.id.clone(), ..AvailabilityResponse::default() };
        self.hear(worker, Message::Availability(answer));
    }

    fn update(&mut self, worker: WorkerId, job: &livekit::Job, status: JobStatus) {
        let job_id = job.id.clone();
        self.hear(
            worker,
            Message::UpdateJob(UpdateJobStatus { job_id, status: status.into(), error: String::new() }),
        );
    }

    fn start(&mut self, room: &livekit::Room, agents: &[&str]) {
        let agents: Vec<_> = agents
            .iter()
            .map(|name| livekit::RoomAgentDispatch { agent_name: (*name).to_owned(), ..Default::default() })
            .collect();
        rooms::started(&mut self.desk, self.now, room, &agents);
        self.collect();
    }

    fn finish(&mut self, room: &livekit::Room) {
        rooms::finished(&mut self.desk, self.now, room);
        self.collect();
    }

    fn join(&mut self, room: &livekit::Room, participant: &ParticipantInfo) {
        rooms::joined(&mut self.desk, self.now, room, participant);
        self.collect();
    }

    fn publish(&mut self, room: &livekit::Room, participant: &ParticipantInfo) {
        rooms::published(&mut self.desk, self.now, room, participant);
        self.collect();
    }

    fn leave(&mut self, room: &livekit::Room, participant: &ParticipantInfo) {
        rooms::left(&mut self.desk, self.now, room, participant);
        self.collect();
    }

    fn survey(&mut self, room: &livekit::Room, participants: &[ParticipantInfo]) {
        rooms::surveyed(&mut self.desk, self.now, room, participants);
        self.collect();
    }

    fn list(&self, room: &str) -> Vec<livekit::AgentDispatch> {
        dispatching::list(&self.desk, room, "").unwrap()
    }

    /// The one job that the room's dispatches list.
    fn only_job(&self, room: &str) -> livekit::Job {
        let mut jobs = self.list(room).into_iter().flat_map(|dispatch| dispatch.state.unwrap().jobs);
        let job = jobs.next().expect("a job");
        assert_eq!(jobs.next(), None);
        job
    }

    fn counted(&self, what: Counted) -> u64 {
        self.desk.tally.of(what)
    }

    fn collect(&mut self) {
        let effects = self.desk.take_effects();
        self.effects.extend(effects);
    }

    /// What a worker was told since the last look.
    fn said(&mut self, to: WorkerId) -> Vec<Said> {
        let (said, rest) = std::mem::take(&mut self.effects)
            .into_iter()
            .partition(|effect| matches!(effect, Effect::Send { worker, .. } if *worker == to));
        self.effects = rest;
        let said: Vec<Effect> = said;
        said.into_iter()
            .filter_map(|effect| match effect {
                Effect::Send { message, .. } => Some(*message),
                _ => None,
            })
            .collect()
    }

    /// The jobs that a worker was asked about since the last look.
    fn asked(&mut self, worker: WorkerId) -> Vec<livekit::Job> {
        let said = self.said(worker).into_iter();
        said.filter_map(|message| match message {
            Said::Availability(request) => request.job,
            _ => None,
        })
        .collect()
    }

    fn asked_one(&mut self, worker: WorkerId) -> livekit::Job {
        let mut jobs = self.asked(worker);
        assert_eq!(jobs.len(), 1, "{jobs:?}");
        jobs.remove(0)
    }

    /// The jobs that a worker was told to end since the last look.
    fn terminated(&mut self, worker: WorkerId) -> Vec<String> {
        let said = self.said(worker).into_iter();
        said.filter_map(|message| match message {
            Said::Termination(termination) => Some(termination.job_id),
            _ => None,
        })
        .collect()
    }

    fn assigned(&mut self, to: WorkerId) -> Option<(livekit::Job, Claims)> {
        let position = self
            .effects
            .iter()
            .position(|effect| matches!(effect, Effect::Assign { worker, .. } if *worker == to))?;
        match self.effects.remove(position) {
            Effect::Assign { job, claims, .. } => Some((*job, *claims)),
            _ => None,
        }
    }

    fn is_closed(&self, worker: WorkerId) -> bool {
        self.effects.contains(&Effect::Close { worker })
    }

    fn errands(&mut self) -> Vec<Errand> {
        let (errands, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.effects)
            .into_iter()
            .partition(|effect| matches!(effect, Effect::Errand(_)));
        self.effects = rest;
        errands
            .into_iter()
            .filter_map(|effect| match effect {
                Effect::Errand(errand) => Some(errand),
                _ => None,
            })
            .collect()
    }

    /// A worker with a running job, whose agent is in the room.
    fn running(&mut self, room: &livekit::Room) -> (WorkerId, livekit::Job, ParticipantInfo) {
        let worker = self.worker(JobType::JtRoom, "");
        self.start(room, &[]);
        let job = self.asked_one(worker);
        self.accept(worker, &job);
        let (job, _) = self.assigned(worker).expect("an assignment");
        let agent = agent("PA_agent", &format!("agent-{}", job.id));
        self.join(room, &agent);
        (worker, job, agent)
    }
}

fn room(name: &str) -> livekit::Room {
    livekit::Room { name: name.to_owned(), sid: format!("RM_{name}"), ..livekit::Room::default() }
}

fn person(bench: &Bench, sid: &str) -> ParticipantInfo {
    ParticipantInfo {
        sid: sid.to_owned(),
        identity: format!("identity of {sid}"),
        state: participant_info::State::Active.into(),
        joined_at_ms: bench.now.unix_millis(),
        ..ParticipantInfo::default()
    }
}

fn agent(sid: &str, identity: &str) -> ParticipantInfo {
    ParticipantInfo {
        sid: sid.to_owned(),
        identity: identity.to_owned(),
        state: participant_info::State::Active.into(),
        kind: participant_info::Kind::Agent.into(),
        ..ParticipantInfo::default()
    }
}
