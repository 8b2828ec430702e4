//! The state behind all rules of agents: workers, the rooms' dispatches, jobs, and what is due when.
//!
//! Nothing here does anything: rules change the state and leave what they want done in `effects`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use indexmap::IndexMap;
use livekit_protocol::{ServerInfo, server_message};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::agent::effect::{Effect, Errand};
use crate::agent::job::{Job, JobId};
use crate::agent::rooms::RoomOfAgents;
use crate::agent::tally::{Counted, Tally};
use crate::agent::worker::{Role, Worker, WorkerId};
use crate::agent::{assigning, ending, registering};
use crate::config::live::Live;
use crate::room::clock::Time;

#[derive(Debug)]
pub struct Dispatcher {
    pub settings: Settings,
    pub workers: IndexMap<WorkerId, Worker>,
    /// By name.
    pub rooms: HashMap<String, RoomOfAgents>,
    pub jobs: HashMap<JobId, Job>,
    /// Jobs that no worker is free for, the oldest first.
    pub waiting: BTreeMap<Role, BTreeSet<(Time, JobId)>>,
    pub tally: Tally,
    effects: Vec<Effect>,
    timers: BTreeSet<(Time, Timer)>,
    random: StdRng,
    connections: u64,
}

#[derive(Clone, Debug)]
pub struct Settings {
    pub config: Live,
    pub server_info: ServerInfo,
}

/// Each is checked again when it is due; what it was for may be long done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    Registration(WorkerId),
    Answer(JobId, WorkerId),
    Patience(JobId),
    WorkerBack(JobId),
    Departure { room: String, identity: String },
}

impl Dispatcher {
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self::with_random(settings, StdRng::from_os_rng())
    }

    /// The same seed makes the same choices: for tests.
    #[must_use]
    pub fn with_random(settings: Settings, random: StdRng) -> Self {
        Self {
            settings,
            workers: IndexMap::new(),
            rooms: HashMap::new(),
            jobs: HashMap::new(),
            waiting: BTreeMap::new(),
            tally: Tally::default(),
            effects: Vec::new(),
            timers: BTreeSet::new(),
            random,
            connections: 0,
        }
    }

    /// Deals with everything that is due.
    pub fn tick(&mut self, now: Time) {
        while let Some((due, _)) = self.timers.first()
            && *due <= now
            && let Some((_, timer)) = self.timers.pop_first()
        {
            match timer {
                Timer::Registration(worker) => registering::too_late(self, worker),
                Timer::Answer(job, worker) => assigning::timed_out(self, now, &job, worker),
                Timer::Patience(job) => ending::expired(self, now, &job),
                Timer::WorkerBack(job) => ending::worker_did_not_return(self, now, &job),
                Timer::Departure { room, identity } => ending::must_leave(self, &room, &identity),
            }
        }
    }

    pub fn set_timer(&mut self, at: Time, timer: Timer) {
        self.timers.insert((at, timer));
    }

    pub fn send(&mut self, worker: WorkerId, message: server_message::Message) {
        self.effects.push(Effect::Send { worker, message: Box::new(message) });
    }

    pub fn close(&mut self, worker: WorkerId) {
        self.effects.push(Effect::Close { worker });
    }

    pub fn ask(&mut self, errand: Errand) {
        self.effects.push(Effect::Errand(errand));
    }

    pub fn want(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub fn count(&mut self, what: Counted) {
        self.tally.count(what);
    }

    pub fn next_worker(&mut self) -> WorkerId {
        self.connections += 1;
        WorkerId(self.connections)
    }

    pub fn random(&mut self) -> &mut StdRng {
        &mut self.random
    }

    /// A session id: a prefix such as `AJ_` and 12 characters.
    pub fn sid(&mut self, prefix: &str) -> String {
        let random = &mut self.random;
        let text = std::iter::repeat_with(|| char::from(random.sample(rand::distr::Alphanumeric)));
        format!("{prefix}{}", text.take(SID_LEN).collect::<String>())
    }

    /// What is to be done now, in order.
    #[must_use]
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// The namespaces in which somebody does such jobs.
    #[must_use]
    pub fn namespaces(&self, kind: livekit_protocol::JobType, agent_name: &str) -> BTreeSet<String> {
        let roles = self.workers.values().filter_map(Worker::role);
        let fitting = roles.filter(|role| role.kind == kind && role.agent_name == agent_name);
        fitting.map(|role| role.namespace.clone()).collect()
    }
}

const SID_LEN: usize = 12;
