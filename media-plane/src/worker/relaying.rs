//! What comes from other workers: packets of publications that have subscribers here, what is needed of those that have
//! their home here, and, where all have one port, datagrams of peers that live here.

use driver::relays::{Content, Incoming, Note, Packet};
use units::handle::{PeerId, WorkerIndex};
use wire::demux::Class;

use crate::worker::panic::caught;
use crate::worker::{BATCH, Worker};

impl Worker {
    /// A part of what waits, so that datagrams and timers have their turn.
    pub(super) fn take_relayed(&mut self) {
        let mut neighbours = std::mem::take(&mut self.neighbours);
        for (from, incoming) in &mut neighbours {
            self.take_from(*from, incoming);
        }
        self.neighbours = neighbours;
        // Whatever waits for it: in one go, so that copies for one client leave together.
        let now = self.driver.now();
        let (engine, slab) = (&mut self.engine, self.driver.outbox());
        if caught(|| engine.flush(now, slab)).is_none() {
            self.panicked(now, NOBODY);
        }
    }

    pub(super) fn is_relayed_to(&self) -> bool {
        self.neighbours.iter().any(|(_, incoming)| !incoming.is_empty())
    }

    fn take_from(&mut self, from: WorkerIndex, incoming: &mut Incoming) {
        if incoming.is_empty() {
            return;
        }
        let now = self.driver.now();
        for _ in 0..BATCH {
            let Some(note) = incoming.note() else { break };
            match (note, &mut self.steering) {
                (Note::Demand(demand), _) => {
                    if caught(|| self.engine.demand(now, from, &demand)).is_none() {
                        self.panicked(now, NOBODY);
                    }
                }
                // What a peer of ours has proved to be its own stays so (as within one engine).
                (Note::Own(path), Some(steering)) if !self.engine.knows(path) => {
                    steering.learn(now, path, from);
                }
                (Note::Own(_), _) => {}
            }
        }
        for _ in 0..BATCH {
            let Some(mut packet) = incoming.packet() else { break };
            if !self.forward(from, &mut packet) {
                self.panicked(now, NOBODY);
            }
            incoming.give_back(packet);
            if self.driver.outbox().is_half_full() {
                self.driver.flush();
            }
        }
    }

    /// False if the engine panicked over it.
    fn forward(&mut self, from: WorkerIndex, packet: &mut Packet) -> bool {
        let now = self.driver.now();
        let (engine, slab) = (&mut self.engine, self.driver.outbox());
        match packet.parts() {
            (Content::Relayed(relayed), bytes) => {
                caught(|| engine.relayed(now, from, relayed, bytes, slab)).is_some()
            }
            (Content::Datagram(path, received), bytes) => {
                let (path, received) = (*path, *received);
                let is_check = Class::of(bytes) == Ok(Class::Stun);
                if caught(|| engine.receive_late(now, received, path, bytes, slab)).is_none() {
                    return false;
                }
                if is_check && engine.knows(path) {
                    if let Some(steering) = &mut self.steering {
                        steering.forget(&path);
                    }
                    if let Some(way) = slab.relays().to(from) {
                        // If there is no room, the next check says it again.
                        way.note(Note::Own(path));
                    }
                }
                true
            }
        }
    }
}

/// The publisher is another worker's.
const NOBODY: Option<PeerId> = None;
