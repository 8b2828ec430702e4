//! What the rules of agents want done: said to workers, asked of rooms.

use livekit_protocol::{Job, server_message};

use crate::agent::worker::WorkerId;
use crate::auth::grants::Claims;

#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    Send {
        worker: WorkerId,
        message: Box<server_message::Message>,
    },
    /// The job's token is signed when it leaves, for signing needs keys and a clock.
    Assign {
        worker: WorkerId,
        api_key: String,
        claims: Box<Claims>,
        job: Box<Job>,
    },
    Close {
        worker: WorkerId,
    },
    /// Something is asked of a room.
    Errand(Errand),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Errand {
    /// Who is in it: dispatches look for whom they have missed.
    Survey { room: String },
    /// An agent whose dispatch was deleted is still there.
    Remove { room: String, identity: String },
}
