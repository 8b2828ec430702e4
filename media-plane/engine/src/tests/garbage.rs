//! Claims about whatever may come from the network: nothing panics, and each datagram ends in exactly one counted way.

use alloc::vec::Vec;

use proptest::prelude::*;

use super::client::{Client, Rtp, World, check, path};
use super::specs::{audio_spec, credentials, simulcast_spec, subscription_spec};
use crate::command::Command;
use wire::rtcp::feedback::PictureLossIndication;
use wire::stun::Role;

/// What is sent to the engine in one step.
#[derive(Clone, Debug)]
enum Step {
    Random(Vec<u8>),
    /// A packet that a client might send, with some bytes changed before or after it was sealed.
    Media {
        layer: u8,
        sequence: u16,
        payload: Vec<u8>,
        extension: (u8, Vec<u8>),
        payload_type: u8,
    },
    SealedRtcp(Vec<u8>),
    Mutated {
        kind: u8,
        at: usize,
        value: u8,
        cut: usize,
    },
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = |max| proptest::collection::vec(any::<u8>(), 0..max);
    prop_oneof![
        bytes(1_600).prop_map(Step::Random),
        (0_u8..3, 0_u16..200, bytes(60), (1_u8..15, bytes(16)), 94_u8..112).prop_map(
            |(layer, sequence, payload, extension, payload_type)| Step::Media {
                layer,
                sequence,
                payload,
                extension,
                payload_type
            }
        ),
        bytes(100).prop_map(Step::SealedRtcp),
        (0_u8..4, 0_usize..200, any::<u8>(), 0_usize..200).prop_map(|(kind, at, value, cut)| Step::Mutated {
            kind,
            at,
            value,
            cut
        }),
        (0_u64..400).prop_map(Step::Pass),
    ]
}

fn mutated(mut datagram: Vec<u8>, at: usize, value: u8, cut: usize) -> Vec<u8> {
    if let Some(byte) = datagram.get_mut(at) {
        *byte ^= value;
    }
    let len = datagram.len().saturating_sub(cut.saturating_sub(100));
    datagram.truncate(len);
    datagram
}

fn take(world: &mut World, client: &mut Client, step: Step) {
    match step {
        Step::Random(bytes) => {
            world.receive(client.path, bytes.clone());
            world.receive(path(9_999), bytes);
        }
        Step::Media { layer, sequence, payload, extension, payload_type } => {
            let mut packet = Rtp::video(layer, sequence, sequence % 10 == 0);
            packet.payload_type.0 = payload_type;
            if !payload.is_empty() {
                packet.payload = payload;
            }
            if !extension.1.is_empty() {
                packet.extensions.push(extension);
            }
            world.send(client, &packet);
        }
        Step::SealedRtcp(mut bytes) => {
            bytes.resize(bytes.len() + 8, 0);
            let len = bytes.len();
            bytes[0] = 0x80 | (bytes[0] & 0x3f);
            bytes[1] = 200 + bytes[1] % 8;
            bytes.resize(len + 64, 0);
            let len = client.outbound.seal_rtcp(&mut bytes, len).unwrap();
            bytes.truncate(len);
            world.receive(client.path, bytes);
        }
        Step::Mutated { kind, at, value, cut } => {
            let datagram = match kind {
                0 => check(&credentials(1, 0), value & 1 == 0, u32::from(value), Role::Controlling(1)),
                1 => client.seal(&Rtp::audio(u16::from(value))),
                2 => client.seal(&Rtp::video(value % 3, u16::from(value), true)),
                _ => {
                    let mut datagram = alloc::vec![0; 64];
                    let lost =
                        PictureLossIndication { sender: units::rtp::Ssrc(1), media: units::rtp::Ssrc(70) };
                    let mut builder = wire::rtcp::build::Builder::new(&mut datagram);
                    builder.picture_loss_indication(lost).unwrap();
                    let len = builder.len();
                    let len = client.outbound.seal_rtcp(&mut datagram, len).unwrap();
                    datagram.truncate(len);
                    datagram
                }
            };
            world.receive(client.path, mutated(datagram, at, value, cut));
        }
        Step::Pass(ms) => world.pass(ms),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn nothing_panics_and_every_datagram_is_counted(steps in proptest::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        let mut client = world.join(1);
        let mut subscriber = world.join(2);
        world.must(Command::UpsertPublication(audio_spec(1, 1).into()));
        world.must(Command::UpsertPublication(simulcast_spec(2, 1).into()));
        world.must(Command::UpsertSubscription(subscription_spec(1, 2, 1, 70).into()));
        world.must(Command::UpsertSubscription(subscription_spec(2, 2, 2, 80).into()));
        // A peer may subscribe to what it publishes.
        world.must(Command::UpsertSubscription(subscription_spec(3, 1, 2, 90).into()));
        for step in steps {
            take(&mut world, &mut client, step);
        }
        world.assert_accounted();
        world.media(&mut subscriber);
        world.must(Command::DeleteRoom(units::handle::RoomId(1)));
        for gauge in ["peers", "publications", "subscriptions", "paths", "ufrags", "history_buffers"] {
            prop_assert_eq!(world.counter(gauge), 0);
        }
    }

    #[test]
    fn same_inputs_give_same_outputs(steps in proptest::collection::vec(step(), 1..30)) {
        let run = || {
            let mut world = World::new();
            let mut client = world.join(1);
            world.join(2);
            world.must(Command::UpsertPublication(simulcast_spec(2, 1).into()));
            world.must(Command::UpsertSubscription(subscription_spec(2, 2, 2, 80).into()));
            for step in steps.clone() {
                take(&mut world, &mut client, step);
            }
            (world.out.sent, alloc::format!("{:?}", world.out.events))
        };
        prop_assert_eq!(run(), run());
    }
}
