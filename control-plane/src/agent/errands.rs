//! What the rules of agents ask of rooms: who is in one, and that an agent leave it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use crate::agent::effect::Errand;
use crate::agent::rooms;
use crate::agent::service::Agents;
use crate::room::call::{Answer, Call};
use crate::room::registry::Registry;

/// Runs errands as they come, a few at a time: a room that does not answer delays no other one for long.
pub async fn run(
    agents: Agents,
    registry: Arc<Registry>,
    queue: mpsc::Receiver<Errand>,
    stop: CancellationToken,
) {
    let (agents, registry) = (&agents, &registry);
    let errands = ReceiverStream::new(queue).for_each_concurrent(AT_ONCE, |errand| async move {
        if timeout(PATIENCE, run_one(agents, registry, &errand)).await.is_err() {
            tracing::warn!(?errand, "a room did not answer the dispatcher of agents");
        }
    });
    tokio::select! {
        () = errands => {}
        () = stop.cancelled() => {}
    }
}

/// A room that is gone, or that the agent has left, needs nothing any more.
async fn run_one(agents: &Agents, registry: &Registry, errand: &Errand) {
    match errand {
        Errand::Survey { room } => {
            let described = registry.call(room, Call::DescribeRoom).await;
            let listed = registry.call(room, Call::ListParticipants).await;
            if let (Ok(Answer::Room(room)), Ok(Answer::Participants(participants))) = (described, listed) {
                agents.change(|desk, now| rooms::surveyed(desk, now, &room, &participants));
            }
        }
        Errand::Remove { room, identity } => {
            let removed = registry.call(room, Call::RemoveParticipant { identity: identity.clone() }).await;
            tracing::info!(room, identity, done = removed.is_ok(), "agent of a deleted dispatch removed");
        }
    }
}

const AT_ONCE: usize = 32;
const PATIENCE: Duration = Duration::from_secs(5);
