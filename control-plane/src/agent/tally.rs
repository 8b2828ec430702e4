//! What happened to workers and jobs, counted.

use livekit_protocol::JobType;

use crate::agent::dispatcher::Dispatcher;
use crate::agent::job::Stage;

/// What is counted of jobs, and what was refused to workers and operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    JobWanted,
    JobOffered,
    JobAssigned,
    JobMoved,
    JobSucceeded,
    JobFailed,
    /// Nobody had it before its room or its dispatch was gone, or nobody wanted it.
    JobDropped,
    /// Workers that said no, did not answer in time, were gone, or gave an answer that cannot be used.
    OfferRefused,
    OfferTimedOut,
    OfferLost,
    BadAnswer,
    /// Answers and reports about jobs that the worker does not have.
    Stale,
    /// Nobody took it in time.
    JobExpired,
    JobLimit,
    WorkerLimit,
    NotRegistered,
    BadRegistration,
    Unregistered,
    DispatchLimit,
    BadSimulation,
    NoTokenKey,
    ErrandLimit,
}

impl Counted {
    pub const ALL: [Self; 22] = [
        Self::JobWanted,
        Self::JobOffered,
        Self::JobAssigned,
        Self::JobMoved,
        Self::JobSucceeded,
        Self::JobFailed,
        Self::JobDropped,
        Self::OfferRefused,
        Self::OfferTimedOut,
        Self::OfferLost,
        Self::BadAnswer,
        Self::Stale,
        Self::JobExpired,
        Self::JobLimit,
        Self::WorkerLimit,
        Self::NotRegistered,
        Self::BadRegistration,
        Self::Unregistered,
        Self::DispatchLimit,
        Self::BadSimulation,
        Self::NoTokenKey,
        Self::ErrandLimit,
    ];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::JobWanted => "job_wanted",
            Self::JobOffered => "job_offered",
            Self::JobAssigned => "job_assigned",
            Self::JobMoved => "job_moved",
            Self::JobSucceeded => "job_succeeded",
            Self::JobFailed => "job_failed",
            Self::JobDropped => "job_dropped",
            Self::OfferRefused => "offer_refused",
            Self::OfferTimedOut => "offer_timed_out",
            Self::OfferLost => "offer_lost",
            Self::BadAnswer => "bad_answer",
            Self::Stale => "stale",
            Self::JobExpired => "job_expired",
            Self::JobLimit => "job_limit",
            Self::WorkerLimit => "worker_limit",
            Self::NotRegistered => "not_registered",
            Self::BadRegistration => "bad_registration",
            Self::Unregistered => "unregistered",
            Self::DispatchLimit => "dispatch_limit",
            Self::BadSimulation => "bad_simulation",
            Self::NoTokenKey => "no_token_key",
            Self::ErrandLimit => "errand_limit",
        }
    }
}

/// How often each happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally([u64; Counted::ALL.len()]);

impl Tally {
    pub fn count(&mut self, what: Counted) {
        let position = Counted::ALL.iter().position(|one| *one == what);
        if let Some(count) = position.and_then(|position| self.0.get_mut(position)) {
            *count += 1;
        }
    }

    #[must_use]
    pub fn of(&self, what: Counted) -> u64 {
        let position = Counted::ALL.iter().position(|one| *one == what);
        position.and_then(|position| self.0.get(position)).copied().unwrap_or_default()
    }
}

/// What there is now, and what happened since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Registered workers by the type of jobs that they take.
    pub workers: [(&'static str, usize); 3],
    pub jobs_waiting: usize,
    pub jobs_running: usize,
    pub events: Vec<(&'static str, u64)>,
}

#[must_use]
pub fn snapshot(dispatcher: &Dispatcher) -> Snapshot {
    let workers = [
        ("room", JobType::JtRoom),
        ("publisher", JobType::JtPublisher),
        ("participant", JobType::JtParticipant),
    ];
    let of_kind = |kind| {
        let roles = dispatcher.workers.values().filter_map(|worker| worker.role());
        roles.filter(|role| role.kind == kind).count()
    };
    let jobs = || dispatcher.jobs.values();
    Snapshot {
        workers: workers.map(|(name, kind)| (name, of_kind(kind))),
        jobs_waiting: jobs().filter(|job| job.stage == Stage::Waiting).count(),
        jobs_running: jobs().filter(|job| job.is_running()).count(),
        events: Counted::ALL.map(|what| (what.name(), dispatcher.tally.of(what))).to_vec(),
    }
}
