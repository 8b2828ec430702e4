//! Claims about a room on several workers: its packets go to all of them, and what is needed comes back.

mod panics;
mod property;
mod streams;
mod workers;

use alloc::vec;
use alloc::vec::Vec;

use units::handle::{PublicationId, SubscriptionId, WorkerIndex};
use units::rtp::{PayloadType, Ssrc};
use units::sequence::Seq16;
use units::time::NtpTime;
use wire::rtcp::feedback::PictureLossIndication;
use wire::rtcp::report::SenderInfo;
use wire::rtcp::{Compound, Packet};

use super::client::{Client, Rtp, World};
use super::specs::{AUDIO_PT, audio_spec, simulcast_spec, subscription_spec};
use crate::command::{Codec, Command, PayloadCodec, PayloadMapping, PublicationSpec, Refusal};
use crate::discard::{Reason, RelayReason};
use crate::event::Event;
use crate::relay::Relayed;
use workers::{HOME, OTHER, Workers, at_home};

/// Peer 1 publishes audio (1) and simulcast (2) on one worker; peer 2 on another one subscribes to both (1 on SSRC 70; 2
/// on SSRC 80, with RTX on 81).
struct Call {
    workers: Workers,
    publisher: Client,
    subscriber: Client,
    sequence: u16,
}

fn call() -> Call {
    call_on(2)
}

fn call_on(count: u16) -> Call {
    let mut workers = Workers::new(count);
    let publisher = workers.worlds[HOME].join(1);
    let subscriber = workers.worlds[OTHER].join(2);
    workers.publish(&audio_spec(1, 1));
    workers.publish(&simulcast_spec(2, 1));
    workers.worlds[OTHER].must(Command::UpsertSubscription(subscription_spec(1, 2, 1, 70).into()));
    let mut call = Call { workers, publisher, subscriber, sequence: 1 };
    call.want(2, false);
    call.workers.pass(5);
    call
}

impl Call {
    /// The subscriber's wish for video.
    fn want(&mut self, layer_max: u8, paused: bool) {
        let mut spec = subscription_spec(2, 2, 2, 80);
        spec.rtx_ssrc = Some(Ssrc(81));
        spec.layer_max = layer_max;
        spec.paused = paused;
        self.workers.worlds[OTHER].must(Command::UpsertSubscription(spec.into()));
    }

    /// So many pictures of some layers, and audio.
    fn send(&mut self, pictures: u16, layers: &[u8], key_frames: &[u8]) {
        for _ in 0..pictures {
            for layer in layers {
                let picture = Rtp::video(*layer, self.sequence, key_frames.contains(layer));
                self.workers.worlds[HOME].send(&mut self.publisher, &picture);
            }
            self.workers.worlds[HOME].send(&mut self.publisher, &Rtp::audio(self.sequence));
            self.sequence += 1;
            self.workers.pass(10);
        }
    }

    fn received(&mut self, ssrc: u32) -> Vec<Rtp> {
        let received = self.workers.worlds[OTHER].media(&mut self.subscriber);
        received.into_iter().filter(|packet| packet.ssrc == Ssrc(ssrc)).collect()
    }

    /// The layers of the pictures that the subscriber received.
    fn layers(&mut self) -> Vec<u8> {
        self.received(80).iter().map(Rtp::layer).collect()
    }

    /// SSRCs of the layers that the publisher was asked key frames of.
    fn asked(&mut self) -> Vec<u32> {
        let (_, rtcp) = self.workers.worlds[HOME].drain(&mut self.publisher);
        asked(&rtcp)
    }

    fn counter(&self, worker: usize, name: &str) -> u64 {
        self.workers.worlds[worker].counter(name)
    }
}

fn asked(rtcp: &[Vec<u8>]) -> Vec<u32> {
    let mut asked = Vec::new();
    for compound in rtcp {
        for member in Compound::new(compound) {
            if let Packet::PictureLossIndication(indication) = member.unwrap() {
                asked.push(indication.media.0);
            }
        }
    }
    asked
}

#[test]
fn packets_reach_the_other_worker_with_the_subscribers_numbers_and_extensions() {
    let mut call = call();
    for sequence in 10..13 {
        let mut packet = Rtp::audio(sequence);
        packet.extensions.push((4, vec![0x80 | 20]));
        call.workers.worlds[HOME].send(&mut call.publisher, &packet);
    }
    call.workers.deliver();
    let received = call.received(70);
    assert_eq!(received.len(), 3);
    for (index, packet) in (0..).zip(&received) {
        assert_eq!(packet.payload_type, PayloadType(63));
        assert_eq!(packet.sequence, received[0].sequence + index);
        assert_eq!(packet.timestamp - received[0].timestamp, u32::from(index) * 960);
        assert_eq!((packet.extension(7), packet.extension(9)), (Some(&[0x80 | 20][..]), Some(&b"5"[..])));
    }
    let events = call.workers.worlds[OTHER].events();
    let started = |event: &Event| matches!(event, Event::SubscriptionStarted { subscription } if *subscription == SubscriptionId(1));
    assert!(events.iter().any(started));
    assert!(!events.iter().any(|event| matches!(event, Event::SourceStarted { .. })), "the home tells that");
    call.workers.assert_accounted();
}

#[test]
fn packet_goes_once_to_each_worker_that_needs_it_and_to_no_other() {
    let mut call = call_on(4);
    let mut others = Vec::new();
    for (worker, peer) in [(OTHER, 3), (OTHER, 4), (2, 5), (2, 6), (HOME, 7)] {
        others.push((worker, call.workers.worlds[worker].join(peer)));
        let spec = subscription_spec(peer, peer, 1, 70);
        call.workers.worlds[worker].must(Command::UpsertSubscription(spec.into()));
    }
    call.workers.pass(5);
    call.send(20, &[], &[]);
    assert_eq!(call.counter(HOME, "packets_relayed"), 40);
    assert_eq!([0, 1, 2, 3].map(|worker| call.counter(worker, "relayed_received")), [0, 20, 20, 0]);
    assert_eq!([0, 1, 2, 3].map(|worker| call.counter(worker, "copies_sent")), [20, 60, 40, 0]);
    for (worker, client) in &mut others {
        assert_eq!(call.workers.worlds[*worker].media(client).len(), 20);
    }
    assert_eq!(call.counter(3, "demands_sent"), 0, "nobody there needs anything");
    call.workers.assert_accounted();
}

#[test]
fn late_subscriber_on_another_worker_begins_with_a_key_frame_that_is_asked_for() {
    let mut call = call();
    call.workers.worlds[OTHER].must(Command::DeleteSubscription(SubscriptionId(2)));
    call.workers.pass(20);
    call.send(1, &[0, 1, 2], &[0, 1, 2]);
    call.send(50, &[0, 1, 2], &[]);
    call.asked();
    assert_eq!(call.workers.layers_relayed(), [0], "audio");
    let spec = subscription_spec(3, 2, 2, 90);
    call.workers.worlds[OTHER].must(Command::UpsertSubscription(spec.into()));
    call.workers.pass(10);
    assert_eq!(call.asked(), [2_002], "at once, of the layer that it is to get");
    call.send(3, &[0, 1, 2], &[]);
    assert_eq!(call.received(90), []);
    call.send(1, &[0, 1, 2], &[2]);
    call.send(4, &[0, 1, 2], &[]);
    let layers: Vec<u8> = call.received(90).iter().map(Rtp::layer).collect();
    assert_eq!(layers, [2; 5]);
    call.asked();
    call.workers.pass(3_000);
    assert_eq!(call.asked(), [], "it has come");
}

#[test]
fn only_layers_that_somebody_gets_or_is_to_get_go_to_the_other_worker() {
    let mut call = call();
    call.want(0, false);
    call.workers.pass(10);
    call.send(1, &[0, 1, 2], &[0, 1, 2]);
    call.send(5, &[0, 1, 2], &[]);
    assert_eq!(call.layers(), [0; 6]);
    assert_eq!(call.workers.layers_relayed(), [0]);
    call.want(2, false);
    call.workers.pass(10);
    call.send(3, &[0, 1, 2], &[]);
    assert_eq!(call.layers(), [0; 3]);
    assert_eq!(call.workers.layers_relayed(), [0, 2], "until the switch");
    call.send(1, &[0, 1, 2], &[2]);
    call.layers();
    call.workers.packets_relayed.clear();
    call.send(3, &[1, 2], &[]);
    assert_eq!(call.layers(), [2; 3]);
    assert_eq!(call.workers.layers_relayed(), [0, 2], "0 is audio");
    let before = call.counter(HOME, "packets_relayed");
    call.send(3, &[0, 1], &[]);
    assert_eq!(call.counter(HOME, "packets_relayed") - before, 3, "audio alone");
    call.want(2, true);
    call.workers.pass(10);
    call.send(3, &[2], &[2]);
    assert_eq!(call.counter(HOME, "packets_relayed") - before, 6, "audio alone");
    call.workers.assert_accounted();
}

#[test]
fn subscriber_gets_the_best_layer_that_the_publisher_sends_wherever_it_is() {
    let mut call = call();
    call.send(1, &[0, 1], &[0, 1]);
    call.send(1, &[0, 1], &[1]);
    call.layers();
    call.send(2, &[0, 1], &[]);
    assert_eq!(call.layers(), [1; 2], "2 never came");
    call.send(1, &[0, 1, 2], &[]);
    call.workers.pass(10);
    assert_eq!(call.asked().last(), Some(&2_002), "now it does");
    call.send(1, &[0, 1, 2], &[2]);
    call.send(2, &[2], &[]);
    assert_eq!(call.layers().last(), Some(&2));
    call.asked();
    call.send(200, &[0], &[]);
    assert!(call.asked().contains(&2_000), "the others ended");
    call.layers();
    call.send(1, &[0], &[0]);
    assert_eq!(call.layers(), [0]);
    call.workers.assert_accounted();
}

#[test]
fn layer_that_falls_silent_is_left_as_soon_as_at_home() {
    let mut call = call();
    call.send(1, &[0, 1, 2], &[0, 1, 2]);
    call.send(1, &[0, 1, 2], &[2]);
    call.send(50, &[0, 1, 2], &[]);
    assert_eq!(call.layers().last(), Some(&2));
    call.asked();
    call.workers.layers_relayed();
    call.send(20, &[0, 1], &[]);
    assert_eq!(call.asked(), []);
    assert_eq!(call.workers.layers_relayed(), [0, 1], "in its place");
    call.send(60, &[0, 1], &[]);
    assert_eq!(call.asked().first(), Some(&2_001), "it is over before the layer is known to have ended");
    call.send(1, &[0, 1], &[1]);
    call.layers();
    call.send(2, &[0, 1], &[]);
    assert_eq!(call.layers(), [1; 2]);
    call.workers.assert_accounted();
}

#[test]
fn edge_ends_with_its_last_subscriber_and_nothing_more_crosses_it() {
    let mut call = call();
    call.send(3, &[2], &[2]);
    for id in [1, 2] {
        call.workers.worlds[OTHER].must(Command::DeleteSubscription(SubscriptionId(id)));
    }
    call.workers.pass(10);
    let before = call.counter(HOME, "packets_relayed");
    call.send(3, &[2], &[2]);
    assert_eq!(call.counter(HOME, "packets_relayed"), before);
    assert_eq!(call.workers.worlds[HOME].engine.counters().discarded(Reason::NotWanted), 6);
    call.workers.pass(10_000);
    let told = call.counter(OTHER, "demands_sent");
    call.workers.pass(10_000);
    assert_eq!(call.counter(OTHER, "demands_sent"), told, "once it is over nothing is repeated");
    assert_eq!(call.counter(HOME, "edges_expired"), 0);
    call.workers.assert_accounted();
}

#[test]
fn packets_of_a_publication_that_is_not_known_any_more_end_their_edge() {
    let mut call = call();
    call.send(3, &[2], &[2]);
    for id in [1, 2] {
        call.workers.worlds[OTHER].must(Command::DeletePublication(PublicationId(id)));
    }
    call.send(3, &[2], &[]);
    let discarded =
        call.workers.worlds[OTHER].engine.counters().relayed_discarded(RelayReason::UnknownPublication);
    assert_eq!(discarded, 2, "the first of each");
    call.workers.assert_accounted();
}

#[test]
fn nack_is_answered_from_the_history_of_the_subscribers_worker() {
    let mut call = call();
    call.send(1, &[2], &[2]);
    call.send(5, &[2], &[]);
    let sent = call.received(80);
    call.workers.pass(200);
    let missing = [Seq16(sent[1].sequence), Seq16(sent[4].sequence)];
    let other = &mut call.workers.worlds[OTHER];
    other.send_rtcp(&mut call.subscriber, |builder| builder.nack(Ssrc(1), Ssrc(80), missing).map(|_| ()));
    let again = call.received(81);
    assert_eq!(again.len(), 2);
    for (packet, original) in again.iter().zip([&sent[1], &sent[4]]) {
        assert_eq!(packet.payload[..2], original.sequence.to_be_bytes());
        assert_eq!(packet.payload[2..], original.payload);
        assert_eq!(packet.extension(9), Some(&b"5"[..]));
    }
    assert_eq!(call.counter(OTHER, "packets_resent"), 2);
    assert_eq!(call.counter(HOME, "history_buffers"), 0, "nobody there will ask");
}

#[test]
fn packet_that_comes_late_takes_its_place_on_the_other_worker() {
    let mut call = call();
    call.send(2, &[2], &[2]);
    let late = Rtp::video(2, 3, false);
    let late = call.publisher.seal(&late);
    call.sequence = 4;
    call.send(1, &[2], &[]);
    let path = call.publisher.path;
    call.workers.worlds[HOME].receive(path, late);
    call.workers.deliver();
    let numbers: Vec<u16> = call.received(80).iter().map(|packet| packet.sequence).collect();
    let first = numbers[0];
    assert_eq!(numbers, [first, first + 1, first + 3, first + 2]);
}

#[test]
fn lost_picture_is_told_to_the_publisher_through_both_workers_within_the_throttle() {
    let mut call = call();
    call.send(1, &[2], &[2]);
    call.workers.pass(2_000);
    call.asked();
    let lost = PictureLossIndication { sender: Ssrc(1), media: Ssrc(80) };
    for _ in 0..9 {
        let other = &mut call.workers.worlds[OTHER];
        other.send_rtcp(&mut call.subscriber, |builder| builder.picture_loss_indication(lost));
        call.workers.pass(10);
    }
    assert_eq!(call.asked(), [2_002]);
    call.workers.pass(300);
    assert_eq!(call.asked().first(), Some(&2_002), "again, as none came");
    call.send(1, &[2], &[2]);
    call.asked();
    call.workers.pass(3_000);
    assert_eq!(call.asked(), [], "it came");
}

#[test]
fn demand_that_is_lost_is_made_up_for() {
    let mut call = call();
    call.send(1, &[0, 2], &[0, 2]);
    call.send(1, &[0, 2], &[2]);
    call.workers.pass(1_000);
    call.asked();
    call.workers.demands_to_lose = 2;
    call.want(0, false);
    call.workers.pass(120);
    assert_eq!(call.asked(), [], "lost twice");
    call.workers.pass(900);
    call.send(1, &[0, 2], &[0]);
    call.send(2, &[0, 2], &[]);
    assert_eq!(call.layers().last(), Some(&0));

    call.workers.demands_to_lose = usize::MAX;
    call.workers.worlds[OTHER].must(Command::DeleteSubscription(SubscriptionId(1)));
    call.workers.worlds[OTHER].must(Command::DeleteSubscription(SubscriptionId(2)));
    call.workers.pass(4_000);
    let before = call.counter(HOME, "packets_relayed");
    call.send(1, &[0], &[]);
    assert_eq!(call.counter(HOME, "packets_relayed"), before + 2, "the edge is still there");
    call.workers.pass(2_000);
    assert_eq!(call.counter(HOME, "edges_expired"), 2);
    call.send(1, &[0], &[]);
    assert_eq!(call.counter(HOME, "packets_relayed"), before + 2);
    call.workers.assert_accounted();
}

#[test]
fn demand_without_room_is_told_as_soon_as_there_is_some() {
    let mut call = call();
    call.send(2, &[1, 2], &[1, 2]);
    call.layers();
    call.workers.worlds[OTHER].out.room = 0;
    call.want(1, false);
    call.send(3, &[1, 2], &[1, 2]);
    assert_eq!(call.layers(), [2; 3]);
    assert!(call.counter(OTHER, "demands_dropped") > 0);
    call.workers.worlds[OTHER].out.room = 1_000;
    call.workers.pass(300);
    assert!(call.asked().contains(&2_001));
    call.send(2, &[1, 2], &[1]);
    assert_eq!(call.layers().last(), Some(&1));
}

#[test]
fn ring_without_room_makes_a_hole_and_a_key_frame_is_asked_for() {
    let mut call = call();
    call.send(3, &[2], &[2]);
    let before = call.received(80);
    call.workers.pass(2_000);
    call.asked();
    call.workers.worlds[HOME].out.room = 0;
    call.send(2, &[2], &[]);
    call.workers.worlds[HOME].out.room = 1_000;
    let counters = call.workers.worlds[HOME].engine.counters();
    assert_eq!(counters.relayed_discarded(RelayReason::NoRoom), 4);
    assert_eq!(counters.discarded(Reason::NotRelayed), 4);
    assert_eq!(call.asked(), [2_002], "once");
    call.send(1, &[2], &[2]);
    let after = call.received(80);
    let last = before.last().unwrap().sequence;
    assert_eq!(after.iter().map(|packet| packet.sequence - last).collect::<Vec<_>>(), [3]);
    call.workers.pass(3_000);
    assert_eq!(call.asked(), [], "the key frame got there");
    call.workers.assert_accounted();
}

#[test]
fn frame_of_red_that_found_no_room_is_recovered_from_the_next_packet() {
    let mut workers = Workers::new(2);
    let mut publisher = workers.worlds[HOME].join(1);
    let mut subscriber = workers.worlds[OTHER].join(2);
    let mut spec = audio_spec(1, 1);
    let red = PayloadType(63);
    spec.codecs.push(PayloadCodec { payload_type: red, codec: Codec::Red, ..spec.codecs[0] });
    workers.publish(&spec);
    let mut spec = subscription_spec(1, 2, 1, 70);
    spec.payloads = [AUDIO_PT, red]
        .map(|from| PayloadMapping { from, to: PayloadType(100), rtx: None, red: None })
        .into();
    workers.worlds[OTHER].must(Command::UpsertSubscription(spec.into()));
    workers.pass(5);
    for sequence in 1..8_u8 {
        workers.worlds[HOME].out.room = if sequence == 4 || sequence == 6 { 0 } else { 1_000 };
        let payload = vec![0x80 | AUDIO_PT.0, 0x0f, 0, 1, AUDIO_PT.0, sequence - 1, sequence];
        let packet = Rtp { payload_type: red, payload, ..Rtp::audio(sequence.into()) };
        workers.worlds[HOME].send(&mut publisher, &packet);
        workers.deliver();
    }
    let heard = workers.worlds[OTHER].media(&mut subscriber);
    let first = heard[0].sequence;
    let told: Vec<(u16, u8)> =
        heard.iter().map(|packet| (packet.sequence - first, packet.payload[0])).collect();
    assert_eq!(told, [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 7)]);
    assert_eq!(workers.worlds[OTHER].counter("copies_recovered"), 2);
    workers.assert_accounted();
}

#[test]
fn stream_goes_on_when_the_home_is_rebuilt() {
    let mut call = call();
    call.send(30, &[2], &[2]);
    let before = call.received(80);
    let mut home = World::of_worker(WorkerIndex(0), 99, b"trailer");
    (home.out.room, home.now) = (1_000, call.workers.worlds[HOME].now);
    call.workers.worlds[HOME] = home;
    call.publisher = call.workers.worlds[HOME].join(1);
    call.workers.publish(&audio_spec(1, 1));
    call.workers.publish(&simulcast_spec(2, 1));
    call.workers.pass(1_100);
    call.sequence = 3;
    call.send(2, &[2], &[]);
    assert!(call.asked().contains(&2_002));
    call.send(1, &[2], &[2]);
    call.send(2, &[2], &[]);
    let after = call.received(80);
    let last = before.last().unwrap().sequence;
    assert_eq!(after.iter().map(|packet| packet.sequence - last).collect::<Vec<_>>(), [1, 2, 3]);
    call.workers.assert_accounted();
}

#[test]
fn publication_may_move_to_another_worker_and_here_and_away() {
    let mut call = call_on(3);
    call.send(5, &[2], &[2]);
    let mut last = call.received(80).last().unwrap().sequence;
    for (home, peer) in [(2, 3), (OTHER, 4), (HOME, 5)] {
        let mut publisher = call.workers.worlds[home].join(peer);
        for index in 0..3 {
            let spec = at_home(&simulcast_spec(2, peer), home);
            call.workers.worlds[index].must(Command::UpsertPublication(spec.into()));
        }
        call.workers.pass(50);
        for sequence in 1..4 {
            let picture = Rtp::video(2, sequence, sequence == 1);
            call.workers.worlds[home].send(&mut publisher, &picture);
            call.workers.pass(10);
        }
        let received = call.received(80);
        let numbers: Vec<u16> = received.iter().map(|packet| packet.sequence - last).collect();
        assert_eq!(numbers, [1, 2, 3], "{home}");
        last = received.last().unwrap().sequence;
    }
    let taken = PublicationSpec { home: None, ..simulcast_spec(2, 1) };
    let home = &mut call.workers.worlds[HOME];
    assert_eq!(home.command(Command::UpsertPublication(taken.into())), Err(Refusal::Taken), "of peer 5");
    call.workers.assert_accounted();
}

#[test]
fn mute_is_heard_as_silence_and_its_end_brings_a_key_frame_on_the_other_worker() {
    let mut call = call();
    call.send(3, &[2], &[2]);
    call.received(70);
    let mute = |workers: &mut Workers, muted| {
        workers.publish(&PublicationSpec { muted, ..audio_spec(1, 1) });
        workers.publish(&PublicationSpec { muted, ..simulcast_spec(2, 1) });
    };
    mute(&mut call.workers, true);
    call.workers.pass(500);
    let other = call.workers.worlds[OTHER].media(&mut call.subscriber);
    assert!(other.iter().filter(|packet| packet.ssrc == Ssrc(70)).count() > 20, "silence");
    call.send(2, &[2], &[]);
    assert_eq!(call.workers.worlds[HOME].engine.counters().discarded(Reason::Muted), 4);
    call.workers.pass(2_000);
    call.asked();
    mute(&mut call.workers, false);
    call.workers.pass(10);
    assert_eq!(call.asked(), [2_002]);
    call.received(80);
    call.send(1, &[2], &[]);
    assert_eq!(call.layers(), []);
    call.send(1, &[2], &[2]);
    assert_eq!(call.layers(), [2]);
    call.workers.assert_accounted();
}

#[test]
fn sender_report_on_the_other_worker_has_the_publishers_clock() {
    let mut call = call();
    let info = SenderInfo {
        ssrc: Ssrc(1_000),
        ntp: NtpTime(0x1234_5678_0000_0000),
        rtp_timestamp: 960,
        packet_count: 1,
        octet_count: 1,
    };
    call.send(1, &[], &[]);
    let home = &mut call.workers.worlds[HOME];
    home.send_rtcp(&mut call.publisher, |builder| builder.sender_report(&info, &[]).map(|_| ()));
    call.send(2, &[], &[]);
    call.workers.worlds[OTHER].drain(&mut call.subscriber);
    call.workers.pass(3_500);
    let (_, rtcp) = call.workers.worlds[OTHER].drain(&mut call.subscriber);
    let reports = rtcp.iter().flat_map(|compound| Compound::new(compound));
    let report = reports.filter_map(|member| match member.unwrap() {
        Packet::SenderReport(report) if report.info.ssrc == Ssrc(70) => Some(report.info),
        _ => None,
    });
    let seconds: Vec<u64> = report.map(|info| info.ntp.0 >> 32).collect();
    assert!(!seconds.is_empty());
    assert!(seconds.iter().all(|seconds| (0x1234_5678..0x1234_5680).contains(seconds)), "{seconds:x?}");
}

#[test]
fn home_tells_speakers_and_sources_and_each_worker_the_quality_of_its_own() {
    let mut call = call();
    for sequence in 1..300 {
        let mut packet = Rtp::audio(sequence);
        packet.extensions.push((4, vec![0x80 | 20]));
        call.workers.worlds[HOME].send(&mut call.publisher, &packet);
        call.workers.pass(20);
    }
    let told = |world: &mut World| {
        let (mut speakers, mut publications, mut subscriptions) = (0, Vec::new(), Vec::new());
        for event in world.events() {
            match event {
                Event::Speakers { speakers: list, .. } => speakers += list.len(),
                Event::Quality { publications: some, subscriptions: others, .. } => {
                    publications.extend(some.iter().map(|one| (one.id.0, one.packets > 0)));
                    subscriptions.extend(others.iter().map(|one| (one.id.0, one.packets > 0)));
                }
                _ => {}
            }
        }
        (speakers > 0, publications, subscriptions)
    };
    assert_eq!(told(&mut call.workers.worlds[HOME]), (true, vec![(1, true), (2, false)], vec![]));
    assert_eq!(told(&mut call.workers.worlds[OTHER]), (false, vec![], vec![(1, true), (2, false)]));
}

#[test]
fn packets_that_make_no_sense_are_discarded_for_a_reason() {
    let mut call = call();
    call.send(1, &[2], &[2]);
    call.workers.worlds[HOME].send(&mut call.publisher, &Rtp::video(2, 2, false));
    let (_, packet, bytes) = call.workers.worlds[HOME].out.relayed.pop().unwrap();
    let other = &mut call.workers.worlds[OTHER];
    let discarded = |world: &World| {
        RelayReason::ALL
            .iter()
            .map(|reason| world.engine.counters().relayed_discarded(*reason))
            .collect::<Vec<_>>()
    };
    let mut layer = packet;
    layer.facts.layer = 9;
    for (name, from, packet, reason) in [
        ("from who is not the home", 5, packet, RelayReason::UnknownPublication),
        ("a layer that there is not", 0, layer, RelayReason::UnknownLayer),
        (
            "a payload type that there is not",
            0,
            Relayed { payload_type: PayloadType(1), ..packet },
            RelayReason::UnknownPayloadType,
        ),
        (
            "headers longer than the packet",
            0,
            Relayed { header_len: 2_000, ..packet },
            RelayReason::NotWanted,
        ),
    ] {
        let mut expected = discarded(other);
        expected[reason as usize] += 1;
        other.engine.relayed(other.now, WorkerIndex(from), &packet, &mut bytes.clone(), &mut other.out);
        other.flush();
        assert_eq!(discarded(other), expected, "{name}");
    }
    call.workers.assert_accounted();
}

#[test]
fn rooms_that_are_deleted_leave_nothing_of_other_workers() {
    let mut call = call();
    call.send(3, &[2], &[2]);
    let other = &mut call.workers.worlds[OTHER];
    other.must(Command::DeleteRoom(units::handle::RoomId(1)));
    for name in ["rooms", "peers", "publications", "subscriptions", "history_buffers"] {
        assert_eq!(other.counter(name), 0, "{name}");
    }
}

#[test]
fn packet_between_workers_is_small() {
    assert!(size_of::<Relayed>() <= 512, "{}", size_of::<Relayed>());
}
