//! An agent worker: what it registered as, how busy it says it is, and what it was given.

use std::collections::BTreeSet;

use livekit_protocol::{JobType, ParticipantPermission, WorkerStatus};

use crate::agent::job::JobId;

/// One connection of a worker. One that connects again is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(pub u64);

/// What a worker does, and what a job needs: only equals meet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Role {
    pub kind: JobType,
    /// Empty: whatever room there is.
    pub agent_name: String,
    /// Deprecated by LiveKit, and still kept apart: each has a job of its own.
    pub namespace: String,
}

#[derive(Debug)]
pub struct Worker {
    /// `AW_…`
    pub sid: String,
    /// Its token's: it signs the tokens of its jobs.
    pub api_key: String,
    pub registration: Option<Registration>,
    /// 0 is idle, 1 is busy.
    pub load: f32,
    pub available: bool,
    /// Jobs that it was asked about.
    pub offers: BTreeSet<JobId>,
    pub running: BTreeSet<JobId>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Registration {
    pub role: Role,
    /// What its agents may do in rooms.
    pub permission: ParticipantPermission,
}

impl Worker {
    #[must_use]
    pub fn new(sid: String, api_key: String) -> Self {
        Self {
            sid,
            api_key,
            registration: None,
            load: 0.0,
            available: true,
            offers: BTreeSet::new(),
            running: BTreeSet::new(),
        }
    }

    #[must_use]
    pub fn has_role(&self, role: &Role) -> bool {
        self.role() == Some(role)
    }

    #[must_use]
    pub fn role(&self) -> Option<&Role> {
        self.registration.as_ref().map(|registration| &registration.role)
    }

    /// Whether it may be asked about another job now.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.available && self.offers.len() < OFFERS_MAX
    }

    pub fn report(&mut self, status: Option<WorkerStatus>, load: f32, draining: bool) {
        if let Some(status) = status {
            self.available = status == WorkerStatus::WsAvailable;
        }
        self.available &= !draining;
        // What is no number is no reason to give it more.
        self.load = if load.is_nan() { 1.0 } else { load.clamp(0.0, 1.0) };
    }
}

/// A worker that starts gets what waits for it in portions that it can refuse.
const OFFERS_MAX: usize = 16;
