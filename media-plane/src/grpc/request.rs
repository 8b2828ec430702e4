//! What the service asks of the hub.

use std::sync::Arc;

use proto::media::v1::{Batch, Hello, MediaMessage, Resource};
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

use crate::helper;
use crate::resource::status;
use crate::worker::mail::Counted;

/// Resources, and what is so now with each.
pub type Snapshot = Vec<(Arc<Resource>, status::Status)>;

pub type Outgoing = mpsc::Sender<Result<MediaMessage, Status>>;

#[derive(Debug)]
pub enum Request {
    /// A stream begins; the answer is the number of its attachment.
    Open {
        outgoing: Outgoing,
        reply: oneshot::Sender<u64>,
    },
    Hello {
        attachment: u64,
        hello: Hello,
    },
    Batch {
        attachment: u64,
        batch: Batch,
    },
    Close {
        attachment: u64,
        /// What the control plane is told, if it did something wrong.
        because: Option<Status>,
    },
    Snapshot {
        reply: oneshot::Sender<Snapshot>,
    },
    Counters {
        reply: oneshot::Sender<CountersWanted>,
    },
    Progress {
        route: u64,
        reply: oneshot::Sender<Option<u32>>,
    },
    Stop,
}

/// Counters of this task, and those that are on their way from other threads.
#[derive(Debug)]
pub struct CountersWanted {
    pub process: Vec<(String, u64)>,
    /// By worker index.
    pub workers: Vec<oneshot::Receiver<Counted>>,
    pub helper: oneshot::Receiver<Box<helper::counters::Counters>>,
}
