//! Claims about what a packet of another worker costs over which the engine panics.

extern crate std;

use std::panic::{AssertUnwindSafe, catch_unwind};

use units::handle::WorkerIndex;

use super::call;
use super::workers::{HOME, OTHER};
use crate::command::Command;
use crate::event::Event;
use crate::outbox::Outbox;
use crate::path::Path;
use crate::tests::client::{Recorder, Rtp, World};
use crate::tests::specs::subscription_spec;

/// Panics over each copy.
struct Faulty<'a>(&'a mut Recorder);

impl Outbox for Faulty<'_> {
    fn lend(&mut self, capacity: usize) -> Option<&mut [u8]> {
        self.0.lend(capacity)
    }

    fn send(&mut self, _path: &Path, _len: usize) {
        panic!("a fault in the engine's work");
    }

    fn event(&mut self, event: Event) {
        self.0.event(event);
    }
}

#[test]
fn a_faulty_packet_of_another_worker_costs_one_subscriber() {
    let mut call = call();
    let world = &mut call.workers.worlds[OTHER];
    let mut second = world.join(3);
    world.must(Command::UpsertSubscription(subscription_spec(3, 3, 1, 71).into()));
    call.workers.pass(5);

    call.workers.worlds[HOME].send(&mut call.publisher, &Rtp::audio(10));
    let relayed = core::mem::take(&mut call.workers.worlds[HOME].out.relayed);
    let [(_, packet, mut bytes)] = relayed.try_into().expect("one packet to one worker");
    let World { engine, out, now, .. } = &mut call.workers.worlds[OTHER];
    engine.relayed(*now, WorkerIndex(0), &packet, &mut bytes, out);
    let unwound = catch_unwind(AssertUnwindSafe(|| engine.flush(*now, &mut Faulty(out))));
    assert!(unwound.is_err());
    let blamed = engine.at_work().expect("the one whose copy it was");
    // The rest of the round does not come upon it again.
    engine.evict(*now, blamed, &mut Faulty(out));
    assert_eq!(engine.at_work(), None);

    let mut others = 0;
    for (client, id) in [(&mut call.subscriber, 2), (&mut second, 3)] {
        if blamed.0 == id {
            continue;
        }
        call.workers.worlds[HOME].send(&mut call.publisher, &Rtp::audio(11));
        call.workers.deliver();
        others += call.workers.worlds[OTHER].media(client).len();
    }
    assert_eq!(others, 1, "whoever was not evicted goes on");
    call.workers.assert_accounted();
}
