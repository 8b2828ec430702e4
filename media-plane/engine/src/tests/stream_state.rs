//! Claims about video that stops and goes on: who is told, and what comes when a layer is sent again.

extern crate std;

use alloc::vec;
use alloc::vec::Vec;

use units::handle::SubscriptionId;
use wire::rtcp::{Compound, Packet};

use super::client::{Client, Rtp, World};
use super::specs::{audio_spec, simulcast_spec, subscription_spec};
use crate::command::Command;
use crate::event::Event;

/// Peer 1 publishes audio (1) and simulcast (2); peers 2 and 3 subscribe to both.
struct Call {
    world: World,
    publisher: Client,
    subscribers: [Client; 2],
    sequence: u16,
}

fn call() -> Call {
    let mut world = World::new();
    let publisher = world.join(1);
    let subscribers = [world.join(2), world.join(3)];
    world.must(Command::UpsertPublication(audio_spec(1, 1).into()));
    world.must(Command::UpsertPublication(simulcast_spec(2, 1).into()));
    for (id, peer, publication, ssrc) in [(1, 2, 1, 70), (2, 2, 2, 80), (3, 3, 1, 90), (4, 3, 2, 100)] {
        world.must(Command::UpsertSubscription(subscription_spec(id, peer, publication, ssrc).into()));
    }
    Call { world, publisher, subscribers, sequence: 1 }
}

impl Call {
    /// So many pictures of some layers; of some of them key frames.
    fn send(&mut self, pictures: u16, layers: &[u8], key_frames: &[u8]) {
        for _ in 0..pictures {
            for layer in layers {
                let key_frame = key_frames.contains(layer);
                self.world.send(&mut self.publisher, &Rtp::video(*layer, self.sequence, key_frame));
            }
            self.world.send(&mut self.publisher, &Rtp::audio(self.sequence));
            self.sequence += 1;
            self.world.pass(33);
        }
    }

    /// Subscription, and whether it stalled, in the order in which it was told.
    fn told(&mut self) -> Vec<(u64, bool)> {
        let events = self.world.events();
        let states = events.into_iter().filter_map(|event| match event {
            Event::StreamState { subscription: SubscriptionId(id), stalled } => Some((id, stalled)),
            _ => None,
        });
        states.collect()
    }

    fn wish(&mut self, id: u64, paused: bool, layer_max: u8) {
        let (peer, ssrc) = if id == 2 { (2, 80) } else { (3, 100) };
        let mut wish = subscription_spec(id, peer, 2, ssrc);
        (wish.paused, wish.layer_max) = (paused, layer_max);
        self.world.must(Command::UpsertSubscription(wish.into()));
    }

    fn mute(&mut self, muted: bool) {
        let mut publication = simulcast_spec(2, 1);
        publication.muted = muted;
        self.world.must(Command::UpsertPublication(publication.into()));
    }

    /// The layers that a subscriber got since it was asked last.
    fn layers(&mut self, subscriber: usize) -> Vec<u8> {
        let received = self.world.media(&mut self.subscribers[subscriber]);
        received.iter().filter(|packet| packet.payload_type.0 != 63).map(Rtp::layer).collect()
    }

    /// Whether the publisher was asked for key frames of a layer.
    fn asked(&mut self, layer: u8) -> bool {
        let (_, rtcp) = self.world.drain(&mut self.publisher);
        rtcp.iter().flat_map(|compound| Compound::new(compound)).any(|member| {
            matches!(member, Ok(Packet::PictureLossIndication(one)) if one.media.0 == 2_000 + u32::from(layer))
        })
    }
}

#[test]
fn video_that_stops_is_told_once_and_again_when_it_goes_on() {
    let mut call = call();
    call.send(3, &[0, 1, 2], &[0, 1, 2]);
    assert!(call.told().is_empty(), "to start is no change");
    call.world.pass(2_900);
    assert!(call.told().is_empty(), "not yet");
    call.world.pass(700);
    assert_eq!(call.told(), [(2, true), (4, true)], "the audio is nobody's loss");
    call.world.pass(2_000);
    assert!(call.told().is_empty(), "once");
    call.send(1, &[0, 1, 2], &[0, 1, 2]);
    assert_eq!(call.told(), [(2, false), (4, false)]);
    call.world.pass(3_600);
    assert_eq!(call.told(), [(2, true), (4, true)], "and again");
}

#[test]
fn video_that_nobody_waits_for_has_not_stalled() {
    type Quiet = fn(&mut Call);
    type Row = (&'static str, Quiet, &'static [(u64, bool)]);
    let rows: [Row; 5] = [
        ("muted", |call| call.mute(true), &[]),
        (
            "unmuted just now",
            |call| {
                call.mute(true);
                call.world.pass(4_000);
                call.mute(false);
                call.world.pass(2_000);
            },
            &[],
        ),
        ("disabled by one", |call| call.wish(2, true, 2), &[(4, true)]),
        (
            "wanted again just now",
            |call| {
                call.wish(2, true, 2);
                call.wish(4, true, 2);
                call.world.pass(4_000);
                call.wish(2, false, 2);
                call.world.pass(2_000);
            },
            &[],
        ),
        (
            "wanted again for long",
            |call| {
                call.wish(2, true, 2);
                call.wish(4, true, 2);
                call.world.pass(3_000);
                call.wish(4, false, 2);
            },
            &[(4, true)],
        ),
    ];
    for (name, quiet, expected) in rows {
        let mut call = call();
        call.send(3, &[0, 1, 2], &[0, 1, 2]);
        call.told();
        let since = call.world.now;
        quiet(&mut call);
        if call.world.now - since < core::time::Duration::from_secs(4) {
            call.world.pass(3_600);
        }
        assert_eq!(call.told(), expected, "{name}");
    }
}

#[test]
fn layer_that_is_sent_again_begins_with_a_key_frame_and_nobody_waits_without_a_picture() {
    let mut call = call();
    call.send(3, &[0, 1, 2], &[0, 1, 2]);
    call.wish(2, false, 0);
    call.wish(4, false, 0);
    call.send(3, &[0, 1, 2], &[0]);
    // The publisher stops what nobody wants, for long.
    call.send(120, &[0], &[]);
    let _ = (call.layers(0), call.layers(1), call.asked(2));
    call.wish(2, false, 2);
    call.send(5, &[0], &[]);
    assert_eq!(call.layers(0), vec![0; 5], "the low picture goes on until there is a better one");
    call.send(5, &[0, 1, 2], &[]);
    assert!(call.asked(2), "a key frame is asked for as soon as the layer is there");
    assert_eq!(call.layers(0), vec![0; 5]);
    call.send(1, &[0, 1, 2], &[2]);
    call.send(4, &[0, 1, 2], &[]);
    assert_eq!(call.layers(0), [0, 2, 2, 2, 2, 2]);
    assert_eq!(call.layers(1), vec![0; 15], "who wants the low one has it all the while");
    assert!(call.told().is_empty());
}
