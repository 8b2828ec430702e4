//! Claims about a worker that does not keep up: what it leaves out, in which order, and what comes again.

extern crate std;

use alloc::vec::Vec;
use core::time::Duration;

use units::handle::{PeerId, SubscriptionId};
use units::rtp::Ssrc;
use units::sequence::Seq16;

use super::client::{Client, Rtp, World};
use super::specs::{audio_spec, simulcast_spec, subscription_spec};
use crate::command::Command;
use crate::engine::probe::PADDED_LEN_MAX;
use crate::event::Event;
use crate::overload::STEPS;

/// Peer 1 publishes audio and simulcast, which peer 2 gets on the SSRCs 70 and 80.
struct Call {
    world: World,
    publisher: Client,
    subscriber: Client,
    sequence: u16,
    /// Pictures since the last key frame that was asked for.
    pictures: u16,
}

/// What came in a tenth of a second.
#[derive(Debug, Default)]
struct Heard {
    audio: usize,
    /// Of each layer that the packets were made for.
    video: [usize; 3],
}

fn call() -> Call {
    let mut world = World::new();
    let (publisher, subscriber) = (world.join(1), world.join(2));
    world.must(Command::UpsertPublication(audio_spec(1, 1).into()));
    world.must(Command::UpsertPublication(simulcast_spec(2, 1).into()));
    world.must(Command::UpsertSubscription(subscription_spec(1, 2, 1, 70).into()));
    world.must(Command::UpsertSubscription(subscription_spec(2, 2, 2, 80).into()));
    let mut call = Call { world, publisher, subscriber, sequence: 0, pictures: 0 };
    call.tenth(0);
    call.tenth(0);
    call.world.events();
    call
}

impl Call {
    /// A tenth of a second of four pictures of every layer, with three temporal layers, and of audio; all of it waits
    /// so many milliseconds for us.
    fn tenth(&mut self, waited_ms: u64) -> Heard {
        self.world.waited = Duration::from_millis(waited_ms);
        for temporal in [0, 2, 1, 2] {
            // A publisher with a key frame for whoever waits, at the beginning of each tenth.
            let key_frame = temporal == 0;
            for layer in 0..3 {
                let packet = Rtp::video_of(layer, self.sequence, key_frame, temporal);
                self.world.send(&mut self.publisher, &packet);
            }
            self.world.send(&mut self.publisher, &Rtp::audio(self.sequence));
            self.sequence += 1;
            self.pictures += 1;
            self.world.pass(25);
        }
        let mut heard = Heard::default();
        for packet in self.world.media(&mut self.subscriber) {
            match packet.ssrc.0 {
                70 => heard.audio += 1,
                80 => heard.video[usize::from(packet.layer())] += 1,
                _ => {}
            }
        }
        heard
    }

    fn step(&self) -> u8 {
        u8::try_from(self.world.counter("overload_step")).unwrap()
    }

    fn told(&mut self) -> Vec<(u64, bool)> {
        let events = self.world.events();
        let states = events.into_iter().filter_map(|event| match event {
            Event::StreamState { subscription: SubscriptionId(id), stalled } => Some((id, stalled)),
            _ => None,
        });
        states.collect()
    }
}

#[test]
fn video_gets_less_layer_by_layer_until_it_pauses_and_audio_never_does() {
    let mut call = call();
    let mut stages: Vec<[usize; 3]> = Vec::new();
    while call.step() < STEPS {
        let heard = call.tenth(30);
        assert_eq!(heard.audio, 4, "step {}", call.step());
        if stages.last() != Some(&heard.video) {
            stages.push(heard.video);
        }
    }
    let last = call.tenth(30);
    assert_eq!((last.audio, last.video), (4, [0; 3]));
    stages.push(last.video);
    // Every packet is a whole picture here.
    let expected = [[0, 0, 4], [0, 0, 2], [0, 0, 1], [0, 2, 0], [2, 0, 0], [0; 3]];
    let stages: Vec<_> = stages.into_iter().filter(|stage| expected.contains(stage)).collect();
    assert_eq!(stages, expected);
    assert_eq!(call.told(), [(2, true)], "whoever sees a picture that stands still is told why");
    assert!(call.world.counter("copy_discarded_shed") > 0, "and what was left out is counted");
    call.world.assert_accounted();
}

#[test]
fn when_it_keeps_up_again_all_is_as_before() {
    let mut call = call();
    while call.step() < STEPS {
        call.tenth(30);
    }
    call.world.events();
    let mut tenths = 0;
    while call.step() > 0 {
        let heard = call.tenth(0);
        assert_eq!(heard.audio, 4);
        tenths += 1;
        assert!(tenths < 300, "step {}", call.step());
    }
    call.tenth(0);
    let shed = call.world.counter("copy_discarded_shed");
    let heard = call.tenth(0);
    assert_eq!((heard.audio, heard.video), (4, [0, 0, 4]));
    assert_eq!(call.world.counter("copy_discarded_shed"), shed);
    assert_eq!(call.told(), [(2, false)]);
    call.world.assert_accounted();
}

#[test]
fn it_recovers_without_a_single_datagram() {
    let mut call = call();
    while call.step() < STEPS {
        call.tenth(30);
    }
    call.world.pass(20_000);
    assert_eq!(call.step(), 0);
}

#[test]
fn probes_and_retransmissions_of_video_end_first() {
    let mut call = call();
    let video = |packet: &&Rtp| packet.ssrc == Ssrc(80);
    let mut outcomes = Vec::new();
    for _ in 0..2 {
        call.world.out.sent.clear();
        let padded =
            call.world.engine.pad(call.world.now, PeerId(2), PADDED_LEN_MAX, &mut call.world.out) > 0;
        let packet = Rtp::video_of(2, call.sequence, true, 0);
        call.world.send(&mut call.publisher, &packet);
        let sent = call.world.media(&mut call.subscriber);
        let number = sent.iter().rfind(video).map(|packet| Seq16(packet.sequence)).unwrap();
        call.sequence += 1;
        call.world.pass(500);
        let before = (call.world.counter("packets_resent"), call.world.counter("nacks_shed"));
        call.world
            .send_rtcp(&mut call.subscriber, |builder| builder.nack(Ssrc(1), Ssrc(80), [number]).map(|_| ()));
        let after = (call.world.counter("packets_resent"), call.world.counter("nacks_shed"));
        call.world.out.sent.clear();
        outcomes.push((padded, after.0 - before.0, after.1 - before.1));
        while call.step() < 2 {
            call.tenth(5);
        }
    }
    assert_eq!(outcomes, [(true, 1, 0), (false, 0, 1)]);
}

#[test]
fn what_is_published_meanwhile_is_restrained_like_the_rest() {
    let mut call = call();
    while call.step() < STEPS {
        call.tenth(30);
    }
    call.world.must(Command::UpsertPublication(simulcast_spec(3, 2).into()));
    call.world.must(Command::UpsertSubscription(subscription_spec(3, 1, 3, 90).into()));
    call.world.out.sent.clear();
    for layer in 0..3 {
        call.world.send(&mut call.subscriber, &Rtp::video(layer, 1, true));
    }
    let Call { world, publisher, .. } = &mut call;
    assert_eq!(world.media(publisher), []);
}
