//! Sorts what the helper tells: keys and DTLS records to the peer's worker, the rest to the hub.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use driver::doorbell::Doorbell;
use engine::command::Command;

use crate::helper::output::{Output, Sink};
use crate::mailbox::lane::Lane;
use crate::mailbox::{Sender, TaskBell};

#[derive(Debug)]
pub struct HelperSink {
    workers: Vec<Lane<Command, Doorbell>>,
    hub: Lane<Output, TaskBell>,
    dropped: Arc<AtomicU64>,
}

impl HelperSink {
    /// `workers` by index; what is dropped is added to `dropped`.
    #[must_use]
    pub fn new(
        workers: Vec<Sender<Command, Doorbell>>,
        hub: Sender<Output, TaskBell>,
        dropped: Arc<AtomicU64>,
    ) -> Self {
        Self { workers: workers.into_iter().map(Lane::new).collect(), hub: Lane::new(hub), dropped }
    }
}

impl Sink for HelperSink {
    fn put(&mut self, output: Output) {
        let (worker, command) = match output {
            Output::Secured { .. } | Output::DataReady { .. } | Output::DataReplied { .. } => {
                return self.hub.put(output);
            }
            Output::Keys { worker, peer, keys } => (worker, Command::Keys { peer, keys }),
            Output::DtlsEnded { worker, peer, failed } => (worker, Command::DtlsEnded { peer, failed }),
            Output::Datagram { worker, peer, bytes } => (worker, Command::Datagram { peer, bytes }),
        };
        let Some(lane) = self.workers.get_mut(usize::from(worker.0)) else {
            debug_assert!(false, "the table checked the worker");
            return;
        };
        if matches!(command, Command::Datagram { .. }) {
            lane.put_or_drop(command)
        } else {
            lane.put(command)
        }
    }

    fn flush(&mut self) -> bool {
        // What the hub hears of an association must be there before the worker's events that follow from it.
        let mut waits = self.hub.flush();
        let mut dropped = self.hub.take_dropped();
        for lane in &mut self.workers {
            waits |= lane.flush();
            dropped += lane.take_dropped();
        }
        if dropped > 0 {
            self.dropped.fetch_add(dropped, Ordering::Relaxed);
        }
        waits
    }
}
