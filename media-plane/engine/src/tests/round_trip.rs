//! Claims about the round trip of a peer that only sends: it is asked for, measured, used and told.

use alloc::vec::Vec;

use units::rtp::Ssrc;
use wire::rtcp::extended::{Block, LastReceiverReport};
use wire::rtcp::{Compound, Packet};

use super::client::{Client, Rtp, World};
use super::specs::audio_spec;
use crate::command::Command;
use crate::event::Event;

/// Our reference times, by who asks: their middle bits.
fn asked(world: &mut World, client: &mut Client) -> Vec<(Ssrc, u32)> {
    let mut asked = Vec::new();
    for compound in world.drain(client).1 {
        for member in Compound::new(&compound) {
            let Packet::ExtendedReport(report) = member.unwrap() else { continue };
            asked.extend(report.blocks().filter_map(|block| match block {
                Block::ReceiverReferenceTime(time) => Some((report.ssrc, time.middle())),
                _ => None,
            }));
        }
    }
    asked
}

fn answer(world: &mut World, client: &mut Client, (ssrc, last_receiver_report): (Ssrc, u32)) {
    let entry = LastReceiverReport { ssrc, last_receiver_report, delay: 0 };
    world.send_rtcp(client, |builder| builder.last_receiver_reports(Ssrc(1_000), &[entry]));
}

#[test]
fn publishers_round_trip_is_measured_used_and_told() {
    let mut world = World::new();
    let mut publisher = world.join(1);
    world.must(Command::UpsertPublication(audio_spec(1, 1).into()));
    world.send(&mut publisher, &Rtp::audio(1));
    world.pass(1_005);
    let asked_first = asked(&mut world, &mut publisher);
    assert_eq!(asked_first.len(), 1, "once in a second");
    world.pass(200);
    answer(&mut world, &mut publisher, asked_first[0]);
    world.pass(100);
    answer(&mut world, &mut publisher, asked_first[0]);
    assert_eq!(world.counter("reference_times_answered"), 1, "each counts once");
    let (other, time) = (Ssrc(77), asked_first[0].1);
    answer(&mut world, &mut publisher, (other, time));

    // The first NACK after 20 ms, the next after a round trip.
    world.send(&mut publisher, &Rtp::audio(3));
    for (wait, expected) in [(25, 1), (170, 0), (30, 1)] {
        world.pass(wait);
        let nacks = world.drain(&mut publisher).1;
        let nacks = nacks.iter().flat_map(|compound| Compound::new(compound));
        let nacks = nacks.filter(|member| matches!(member, Ok(Packet::Nack(_)))).count();
        assert_eq!(nacks, expected, "{wait} ms later");
    }

    world.events();
    world.pass(5_000);
    let told = world.events().into_iter().find_map(|event| match event {
        Event::Quality { publications, .. } => Some(publications[0].rtt_us),
        _ => None,
    });
    assert!((195_000..210_000).contains(&told.unwrap()), "{told:?}: the second answer taught nothing");
}

#[test]
fn who_sends_nothing_is_not_asked() {
    let mut world = World::new();
    let mut client = world.join(1);
    world.pass(3_000);
    assert_eq!(asked(&mut world, &mut client), []);
}
