//! Some engines in one process, joined by rings that lose nothing they had room for.

use alloc::vec::Vec;

use units::handle::{RoomId, WorkerIndex};

use crate::command::{Command, Home, PublicationSpec};
use crate::tests::client::World;

pub(super) struct Workers {
    pub(super) worlds: Vec<World>,
    /// What each takes of the others before the rings are emptied.
    pub(super) packets_relayed: Vec<(WorkerIndex, u8)>,
    /// Demands that get lost on the way from now on.
    pub(super) demands_to_lose: usize,
}

pub(super) const HOME: usize = 0;
pub(super) const OTHER: usize = 1;

impl Workers {
    /// With room 1 on each.
    pub(super) fn new(count: u16) -> Self {
        let worlds = (0..count).map(|index| {
            let mut world = World::of_worker(WorkerIndex(index), 7 + u64::from(index), b"trailer");
            world.out.room = ROOM;
            world
        });
        Self { worlds: worlds.collect(), packets_relayed: Vec::new(), demands_to_lose: 0 }
    }

    /// Tells all of them of a publication, which is at home on the first.
    pub(super) fn publish(&mut self, spec: &PublicationSpec) {
        for world in &mut self.worlds {
            world.must(Command::UpsertPublication(at_home(spec, HOME).into()));
        }
    }

    /// Brings what is on its way to where it goes, and what comes of that.
    pub(super) fn deliver(&mut self) {
        loop {
            let mut is_quiet = true;
            for (index, from) in (0..).zip(0..self.worlds.len()) {
                let from_index = WorkerIndex(index);
                let out = &mut self.worlds[from].out;
                let (packets, demands) =
                    (core::mem::take(&mut out.relayed), core::mem::take(&mut out.demands));
                is_quiet &= packets.is_empty() && demands.is_empty();
                for (to, packet, mut bytes) in packets {
                    self.packets_relayed.push((to, packet.facts.layer));
                    let World { engine, out, now, .. } = &mut self.worlds[usize::from(to.0)];
                    engine.relayed(*now, from_index, &packet, &mut bytes, out);
                    engine.flush(*now, out);
                }
                for (to, demand) in demands {
                    if self.demands_to_lose > 0 {
                        self.demands_to_lose -= 1;
                        continue;
                    }
                    let World { engine, now, .. } = &mut self.worlds[usize::from(to.0)];
                    engine.demand(*now, from_index, &demand);
                }
            }
            if is_quiet {
                return;
            }
        }
    }

    /// Lets time pass on all of them.
    pub(super) fn pass(&mut self, ms: u64) {
        self.deliver();
        for _ in 0..ms {
            for world in &mut self.worlds {
                world.pass(1);
            }
            self.deliver();
        }
    }

    /// The layers of the packets that went to other workers since last asked.
    pub(super) fn layers_relayed(&mut self) -> Vec<u8> {
        let mut layers: Vec<u8> = self.packets_relayed.drain(..).map(|(_, layer)| layer).collect();
        layers.sort_unstable();
        layers.dedup();
        layers
    }

    pub(super) fn assert_accounted(&self) {
        for world in &self.worlds {
            world.assert_accounted();
        }
    }
}

pub(super) fn at_home(spec: &PublicationSpec, worker: usize) -> PublicationSpec {
    let worker = WorkerIndex(u16::try_from(worker).unwrap());
    PublicationSpec { home: Some(Home { worker, room: RoomId(1) }), ..spec.clone() }
}

const ROOM: usize = 1_000;
