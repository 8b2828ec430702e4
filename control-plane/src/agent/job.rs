//! A job: what an agent is to do for a room or for somebody in it, and how far it is.

use std::collections::BTreeSet;

use livekit_protocol::{self as livekit, JobState, JobStatus};

use crate::agent::worker::{Role, WorkerId};
use crate::room::clock::Time;

/// `AJ_…`
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub String);

#[derive(Debug)]
pub struct Job {
    /// As workers and operators are told of it; its state is in `state`.
    pub info: livekit::Job,
    pub state: JobState,
    pub role: Role,
    pub wanted_at: Time,
    pub stage: Stage,
    /// The worker that is asked just now.
    pub offered_to: Option<WorkerId>,
    /// Workers that refused it, or did not answer.
    pub tried: BTreeSet<WorkerId>,
    /// A worker simulates it for itself: nobody else is asked, and no dispatch has it.
    pub only_for: Option<WorkerId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    Waiting,
    Running {
        /// None: its worker's connection is gone, and may come back.
        on: Option<WorkerId>,
        /// The agent's sid, while it is in the room.
        participant: Option<String>,
    },
    Ended {
        /// Because the agent left the room: its worker may still say how it went.
        by_departure: bool,
    },
}

impl Job {
    #[must_use]
    pub fn id(&self) -> JobId {
        JobId(self.info.id.clone())
    }

    /// The job with its state, as LiveKit's messages have it.
    #[must_use]
    pub fn message(&self) -> livekit::Job {
        livekit::Job { state: Some(self.state.clone()), ..self.info.clone() }
    }

    #[must_use]
    pub fn room(&self) -> &str {
        self.info.room.as_ref().map_or("", |room| &room.name)
    }

    /// The worker that has it.
    #[must_use]
    pub fn worker(&self) -> Option<WorkerId> {
        match self.stage {
            Stage::Running { on, .. } => on,
            Stage::Waiting | Stage::Ended { .. } => None,
        }
    }

    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self.stage, Stage::Running { .. })
    }

    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended { .. })
    }

    /// Whether a worker ever had it: operators see only these, as on LiveKit.
    #[must_use]
    pub fn was_taken(&self) -> bool {
        !self.state.worker_id.is_empty()
    }
}

/// The two states in which a worker says that a job is over.
#[must_use]
pub const fn is_end(status: JobStatus) -> bool {
    matches!(status, JobStatus::JsSuccess | JobStatus::JsFailed)
}

/// Go's `UnixNano`, which LiveKit's states are stamped with.
#[must_use]
pub fn unix_nanos(time: Time) -> i64 {
    time.unix_micros().saturating_mul(1_000)
}
