//! Claims about RTCP both ways: retransmission, NACKs, transport feedback, reports, bandwidth, speakers, quality.

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use units::handle::{PeerId, PublicationId, SubscriptionId};
use units::rtp::{PayloadType, Ssrc};
use units::sequence::Seq16;
use units::time::NtpTime;
use wire::rtcp::extended::Block;
use wire::rtcp::report::{ReportBlock, SenderInfo};
use wire::rtcp::{Compound, Packet};
use wire::rtp::FIXED_LEN;

use super::client::{Client, Rtp, World};
use super::specs::{audio_spec, credentials, peer_spec, simulcast_spec, subscription_spec};
use crate::command::{Command, ExtensionKind, UplinkFeedback};
use crate::event::Event;

/// Peer 1 publishes audio (1) and simulcast (2), peer 2 subscribes to both (SSRC 70; SSRC 80 with RTX 81).
fn call() -> (World, Client, Client) {
    let mut world = World::new();
    let publisher = world.join(1);
    let subscriber = world.join(2);
    world.must(Command::UpsertPublication(audio_spec(1, 1).into()));
    world.must(Command::UpsertPublication(simulcast_spec(2, 1).into()));
    world.must(Command::UpsertSubscription(subscription_spec(1, 2, 1, 70).into()));
    let mut video = subscription_spec(2, 2, 2, 80);
    video.rtx_ssrc = Some(Ssrc(81));
    world.must(Command::UpsertSubscription(video.into()));
    world.events();
    (world, publisher, subscriber)
}

fn nack(world: &mut World, client: &mut Client, media: u32, missing: &[u16]) {
    let missing: Vec<Seq16> = missing.iter().copied().map(Seq16).collect();
    world.send_rtcp(client, |builder| builder.nack(Ssrc(1), Ssrc(media), missing).map(|_| ()));
}

/// Packets that a client was asked for, with their source.
fn nacked(rtcp: &[Vec<u8>]) -> Vec<(u32, u16)> {
    let mut asked = Vec::new();
    for compound in rtcp {
        for member in Compound::new(compound) {
            if let Packet::Nack(nack) = member.unwrap() {
                asked.extend(nack.sequences().map(|sequence| (nack.media.0, sequence.0)));
            }
        }
    }
    asked
}

/// What a client was told of its packets' arrival.
fn arrivals(rtcp: &[Vec<u8>]) -> Vec<(u16, bool)> {
    let mut told = Vec::new();
    for compound in rtcp {
        for member in Compound::new(compound) {
            let Packet::TransportFeedback(feedback) = member.unwrap() else { continue };
            told.extend(feedback.statuses().map(|status| (status.sequence.0, status.arrival_us.is_some())));
        }
    }
    told
}

#[test]
fn nack_is_answered_on_the_retransmission_stream() {
    let (mut world, mut publisher, mut subscriber) = call();
    for sequence in 1..5 {
        world.send(&mut publisher, &Rtp::video(0, sequence, sequence == 1));
    }
    let sent = world.media(&mut subscriber);
    world.pass(200);
    nack(&mut world, &mut subscriber, 80, &[sent[1].sequence, sent[2].sequence, sent[3].sequence + 1]);
    let again = world.media(&mut subscriber);
    assert_eq!(again.len(), 2);
    for (index, (packet, original)) in (0..).zip(again.iter().zip(&sent[1..])) {
        assert_eq!((packet.ssrc, packet.payload_type), (Ssrc(81), PayloadType(101)));
        assert_eq!(packet.sequence, again[0].sequence + index);
        assert_eq!((packet.timestamp, packet.marker), (original.timestamp, original.marker));
        assert_eq!(packet.payload[..2], original.sequence.to_be_bytes());
        assert_eq!(packet.payload[2..], original.payload);
    }
    assert_eq!((world.counter("packets_resent"), world.counter("nacks_unknown")), (2, 1));
    nack(&mut world, &mut subscriber, 80, &[sent[1].sequence]);
    assert_eq!(world.counter("nacks_recent"), 1, "a round trip must pass");
    world.assert_accounted();
}

#[test]
fn without_a_retransmission_stream_the_very_same_datagram_is_sent_again() {
    let (mut world, mut publisher, mut subscriber) = call();
    world.send(&mut publisher, &Rtp::audio(1));
    let sent = world.out.sent.last().unwrap().clone();
    let number = world.media(&mut subscriber)[0].sequence;
    for tries in 1..=4 {
        world.pass(150);
        nack(&mut world, &mut subscriber, 70, &[number]);
        let again: Vec<_> = world.out.sent.iter().filter(|datagram| **datagram == sent).collect();
        assert_eq!(again.len(), tries);
    }
    world.pass(150);
    nack(&mut world, &mut subscriber, 70, &[number]);
    assert_eq!(world.counter("nacks_exhausted"), 1);

    // A header that would now be another one must not be sealed under the same index.
    world.send(&mut publisher, &Rtp::audio(2));
    let mut spec = peer_spec(2, 1);
    spec.send_extensions.0.retain(|(_, kind)| *kind != ExtensionKind::Mid);
    world.must(Command::UpsertPeer(spec.into()));
    world.pass(150);
    nack(&mut world, &mut subscriber, 70, &[number + 1]);
    assert_eq!(world.counter("nacks_unsendable"), 1);
}

#[test]
fn packet_that_found_no_buffer_can_be_asked_for() {
    let (mut world, mut publisher, mut subscriber) = call();
    world.send(&mut publisher, &Rtp::audio(1));
    world.out.exhausted = true;
    world.send(&mut publisher, &Rtp::audio(2));
    world.out.exhausted = false;
    let first = world.media(&mut subscriber)[0].sequence;
    world.pass(150);
    nack(&mut world, &mut subscriber, 70, &[first + 1]);
    let again = world.media(&mut subscriber);
    assert_eq!((again.len(), again[0].sequence), (1, first + 1));
}

#[test]
fn storm_of_nacks_stays_within_half_of_the_stream() {
    let (mut world, mut publisher, mut subscriber) = call();
    let mut sent = Vec::new();
    for sequence in 1..=100 {
        world.send(&mut publisher, &Rtp::video(0, sequence, sequence == 1));
        sent.extend(world.media(&mut subscriber).iter().map(|packet| packet.sequence));
        world.pass(10);
    }
    for _ in 0..4 {
        world.pass(100);
        nack(&mut world, &mut subscriber, 80, &sent);
    }
    let resent = world.counter("packets_resent");
    assert!((20..=50).contains(&resent), "{resent} of 100");
    let refused = world.counter("nacks_over_budget") + world.counter("nacks_awaiting_key_frame");
    assert!(refused > 100, "{refused}");
}

#[test]
fn refusal_for_want_of_budget_is_no_retransmission() {
    let (mut world, mut publisher, mut subscriber) = call();
    for sequence in 1..=10 {
        let mut packet = Rtp::video(0, sequence, sequence == 1);
        packet.payload.extend([0; 1_000]);
        world.send(&mut publisher, &packet);
    }
    let sent: Vec<u16> = world.media(&mut subscriber).iter().map(|packet| packet.sequence).collect();
    for _ in 0..6 {
        world.pass(150);
        nack(&mut world, &mut subscriber, 80, &sent);
    }
    assert_eq!((world.counter("packets_resent"), world.media(&mut subscriber).len()), (5, 5), "half of ten");
    world.pass(11_000);
    nack(&mut world, &mut subscriber, 80, &sent[9..]);
    assert_eq!((world.counter("packets_resent"), world.counter("nacks_exhausted")), (6, 0));
}

#[test]
fn layer_that_has_been_silent_for_long_holds_no_buffers() {
    let (mut world, mut publisher, _) = call();
    for sequence in 1..=3 {
        world.send(&mut publisher, &Rtp::video(0, sequence, sequence == 1));
    }
    world.pass(14_000);
    assert_eq!(world.counter("history_buffers"), 3, "somebody may still ask");
    world.pass(3_000);
    assert_eq!(world.counter("history_buffers"), 0);
}

#[test]
fn one_datagram_asks_for_no_more_than_is_remembered() {
    let (mut world, mut publisher, mut subscriber) = call();
    world.send(&mut publisher, &Rtp::video(0, 1, true));
    let all: Vec<Seq16> = (0..5_000).map(Seq16).collect();
    world.send_rtcp(&mut subscriber, |builder| builder.nack(Ssrc(1), Ssrc(80), all).map(|_| ()));
    assert_eq!(world.counter("nacks_received"), 5_000);
    assert_eq!(world.counter("nacks_over_budget"), 5_000 - 512);
}

#[test]
fn gap_of_a_publisher_is_asked_for_until_it_is_filled() {
    let (mut world, mut publisher, _) = call();
    world.send(&mut publisher, &Rtp::audio(65_534));
    let wrapped = publisher.seal_at(&Rtp::audio(1), units::sequence::Seq(65_537));
    world.receive(publisher.path, wrapped);
    world.pass(15);
    assert_eq!(nacked(&world.drain(&mut publisher).1), []);
    world.pass(10);
    assert_eq!(nacked(&world.drain(&mut publisher).1), [(1_000, 65_535), (1_000, 0)]);
    let late = publisher.seal_at(&Rtp::audio(0), units::sequence::Seq(65_536));
    world.receive(publisher.path, late);
    world.pass(100);
    assert_eq!(nacked(&world.drain(&mut publisher).1), [(1_000, 65_535)]);
    world.pass(3_000);
    assert_eq!(nacked(&world.drain(&mut publisher).1).len(), 5);
    assert_eq!(world.counter("packets_given_up"), 1);
}

#[test]
fn publication_without_nack_is_not_asked() {
    let (mut world, mut publisher, _) = call();
    let mut spec = audio_spec(1, 1);
    spec.nack = false;
    world.must(Command::UpsertPublication(spec.into()));
    world.send(&mut publisher, &Rtp::audio(1));
    world.send(&mut publisher, &Rtp::audio(5));
    world.pass(1_000);
    assert_eq!(nacked(&world.drain(&mut publisher).1), []);
}

#[test]
fn transport_feedback_covers_what_was_received_within_100_ms() {
    for waited_us in [0, 3_000] {
        let (mut world, mut publisher, _) = call();
        world.waited = Duration::from_micros(waited_us);
        let lost = [7, 8, 30];
        let mut arrived = Vec::new();
        let mut told = Vec::new();
        for number in 0..60_u16 {
            if !lost.contains(&number) {
                world.send(&mut publisher, &Rtp::audio(number + 1).numbered(number.wrapping_sub(20)));
                // By the host, whenever the engine got it.
                arrived.push((number.wrapping_sub(20), world.now.as_micros() - waited_us));
            }
            world.pass(7);
            for compound in world.drain(&mut publisher).1 {
                for member in Compound::new(&compound) {
                    let Packet::TransportFeedback(feedback) = member.unwrap() else { continue };
                    for status in feedback.statuses() {
                        let at = status.arrival_us.map(|us| (status.sequence.0, u64::try_from(us).unwrap()));
                        told.extend(at);
                    }
                }
            }
        }
        assert!(
            arrived.len() - told.len() <= 15,
            "100 ms behind at most: {} of {}",
            told.len(),
            arrived.len()
        );
        for ((number, us), (told_number, told_us)) in arrived.iter().zip(&told) {
            assert_eq!(number, told_number);
            assert!(us.abs_diff(*told_us) <= 250, "{number}: {us} {told_us}");
        }
    }
}

#[test]
fn repeated_packet_with_a_new_number_is_a_probe() {
    let (mut world, mut publisher, mut subscriber) = call();
    let packet = Rtp::audio(1);
    world.send(&mut publisher, &packet.clone().numbered(10));
    world.send(&mut publisher, &packet.clone().numbered(11));
    assert_eq!((world.counter("probes_received"), world.counter("discarded_duplicate")), (1, 1));
    let mut forged = publisher.seal(&packet.numbered(12));
    *forged.last_mut().unwrap() ^= 1;
    world.receive(publisher.path, forged);
    assert_eq!((world.counter("probes_received"), world.counter("discarded_authentication")), (1, 1));
    assert_eq!(world.media(&mut subscriber).len(), 1);
    world.assert_accounted();
}

#[test]
fn replayed_packet_from_long_ago_does_not_derail_transport_feedback() {
    let (mut world, mut publisher, _) = call();
    let old = publisher.seal(&Rtp::audio(1).numbered(50_000));
    world.receive(publisher.path, old.clone());
    // A busy transport: 40,000 packets of other streams later.
    for (sequence, number) in [(2, 10_000), (3, 24_463), (4, 24_464)] {
        world.send(&mut publisher, &Rtp::audio(sequence).numbered(number));
    }
    world.pass(200);
    world.drain(&mut publisher);
    world.receive(publisher.path, old);
    assert_eq!(world.counter("discarded_duplicate"), 1);
    world.send(&mut publisher, &Rtp::audio(5).numbered(24_465));
    world.pass(200);
    assert_eq!(arrivals(&world.drain(&mut publisher).1), [(24_465, true)]);
}

#[test]
fn first_receiver_report_comes_in_time_whatever_feedback_there_is() {
    for feedback in [UplinkFeedback::None, UplinkFeedback::Remb, UplinkFeedback::TransportCc] {
        let mut world = World::new();
        let mut spec = peer_spec(1, 1);
        spec.uplink_feedback = feedback;
        world.must(Command::UpsertPeer(spec.into()));
        let mut publisher = world.connect(1);
        world.must(Command::UpsertPublication(audio_spec(1, 1).into()));
        world.pass(100);
        world.send(&mut publisher, &Rtp::audio(1));
        world.pass(1_010);
        let rtcp = world.drain(&mut publisher).1;
        let reported = rtcp.iter().flat_map(|compound| Compound::new(compound));
        let reported = reported.filter(|member| matches!(member, Ok(Packet::ReceiverReport(_)))).count();
        assert_eq!(reported, 1, "{feedback:?}");
    }
}

#[test]
fn reports_go_on_as_soon_as_a_silent_peer_is_back() {
    let mut world = World::new();
    let mut spec = peer_spec(1, 1);
    spec.uplink_feedback = UplinkFeedback::None;
    world.must(Command::UpsertPeer(spec.into()));
    let mut publisher = world.connect(1);
    world.must(Command::UpsertPublication(audio_spec(1, 1).into()));
    world.send(&mut publisher, &Rtp::audio(1));
    world.pass(40_000);
    world.send(&mut publisher, &Rtp::audio(2));
    world.pass(1_010);
    assert!(world.drain(&mut publisher).1.len() <= 30, "none once consent is over");
    world.check(publisher.path, &credentials(1, 0), true);
    world.send(&mut publisher, &Rtp::audio(3));
    world.pass(1_010);
    assert!(!world.drain(&mut publisher).1.is_empty());
}

#[test]
fn receiver_reports_tell_loss_and_answer_reference_times() {
    let (mut world, mut publisher, _) = call();
    let ntp = NtpTime(0x1111_2222_3333_4444);
    for sequence in [1, 2, 4, 5] {
        world.send(&mut publisher, &Rtp::audio(sequence));
    }
    let info = SenderInfo { ssrc: Ssrc(1_000), ntp, rtp_timestamp: 4_800, packet_count: 4, octet_count: 160 };
    world.send_rtcp(&mut publisher, |builder| {
        builder.sender_report(&info, &[])?;
        builder.receiver_reference_time(Ssrc(1_000), ntp)
    });
    world.drain(&mut publisher);
    world.pass(1_005);
    let mut blocks = Vec::new();
    let mut answers = Vec::new();
    for compound in world.drain(&mut publisher).1 {
        for member in Compound::new(&compound) {
            match member.unwrap() {
                Packet::ReceiverReport(report) => blocks.extend(report.blocks()),
                Packet::ExtendedReport(report) => {
                    answers.extend(report.blocks().filter_map(|block| match block {
                        Block::LastReceiverReports(entries) => entries.entries().next(),
                        _ => None,
                    }))
                }
                _ => {}
            }
        }
    }
    let [block] = blocks.as_slice() else { panic!("{blocks:?}") };
    assert_eq!((block.ssrc, block.fraction_lost, block.cumulative_lost), (Ssrc(1_000), 51, 1));
    assert_eq!(block.last_sender_report, ntp.middle());
    assert!(block.delay_since_last_sender_report.abs_diff(65_536) < 1_000);
    let [answer] = answers.as_slice() else { panic!("{answers:?}") };
    assert_eq!((answer.ssrc, answer.last_receiver_report), (Ssrc(1_000), ntp.middle()));
}

#[test]
fn sender_reports_carry_the_publishers_clock_and_bring_the_round_trip_time() {
    let (mut world, mut publisher, mut subscriber) = call();
    world.send(&mut publisher, &Rtp::audio(1));
    world.pass(3_000);
    assert!(reports(&world.drain(&mut subscriber).1).is_empty(), "none before the publisher's");
    let ntp = NtpTime(0x1111_2222_0000_0000);
    let info = SenderInfo { ssrc: Ssrc(1_000), ntp, rtp_timestamp: 960, packet_count: 1, octet_count: 40 };
    world.send_rtcp(&mut publisher, |builder| builder.sender_report(&info, &[]));
    world.send(&mut publisher, &Rtp::audio(2));
    let media = world.media(&mut subscriber);
    world.pass(1_000);
    let told = reports(&world.drain(&mut subscriber).1);
    let [report] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((report.ssrc, report.packet_count, report.octet_count), (Ssrc(70), 2, 80));
    let elapsed = Duration::from_nanos(((report.ntp.0 - ntp.0) * 1_000_000_000) >> 32);
    assert!(elapsed <= Duration::from_secs(1));
    let expected =
        u64::from(media[0].timestamp) - 960 + u64::try_from(elapsed.as_micros() * 48 / 1_000).unwrap();
    assert!(u64::from(report.rtp_timestamp).abs_diff(expected) < 48, "{report:?} {expected}");

    world.pass(250);
    let block = ReportBlock {
        ssrc: Ssrc(70),
        fraction_lost: 0,
        cumulative_lost: 3,
        highest_sequence: 0,
        jitter: 480,
        last_sender_report: report.ntp.middle(),
        delay_since_last_sender_report: 0,
    };
    world.send_rtcp(&mut subscriber, |builder| builder.receiver_report(Ssrc(5), &[block]));
    world.events();
    world.pass(5_000);
    let quality = world.events().into_iter().find_map(|event| match event {
        Event::Quality { publications, subscriptions, .. } => Some((publications, subscriptions)),
        _ => None,
    });
    let (publications, subscriptions) = quality.unwrap();
    assert_eq!(
        publications.iter().map(|quality| quality.id).collect::<Vec<_>>(),
        [PublicationId(1), PublicationId(2)]
    );
    let audio = subscriptions.iter().find(|quality| quality.id == SubscriptionId(1)).unwrap();
    assert_eq!((audio.packets_lost, audio.jitter_us), (3, 10_000));
    assert!((250_000..1_250_000).contains(&audio.rtt_us), "{audio:?}");
}

fn reports(rtcp: &[Vec<u8>]) -> Vec<SenderInfo> {
    let mut told = Vec::new();
    for compound in rtcp {
        let mut described = None;
        for member in Compound::new(compound) {
            match member.unwrap() {
                Packet::SenderReport(report) => told.push(report.info),
                Packet::SourceDescription(description) => described = description.items().next(),
                _ => {}
            }
        }
        assert_eq!(described.map(|item| item.text), told.last().map(|_| &b"cname"[..]));
    }
    told
}

#[test]
fn remb_is_told_where_it_is_understood() {
    let mut world = World::new();
    let mut spec = peer_spec(1, 1);
    spec.uplink_feedback = UplinkFeedback::Remb;
    world.must(Command::UpsertPeer(spec.into()));
    let mut publisher = world.connect(1);
    world.must(Command::UpsertPublication(audio_spec(1, 1).into()));
    let mut rates = Vec::new();
    for sequence in 1..200 {
        world.send(&mut publisher, &Rtp::audio(sequence).numbered(sequence));
        world.pass(20);
        for compound in world.drain(&mut publisher).1 {
            for member in Compound::new(&compound) {
                match member.unwrap() {
                    Packet::Remb(remb) => rates.push((remb.bitrate.0, remb.ssrcs().collect::<Vec<_>>())),
                    Packet::TransportFeedback(_) => panic!("not negotiated"),
                    _ => {}
                }
            }
        }
    }
    assert!((3..=4).contains(&rates.len()), "one a second: {rates:?}");
    assert!(rates.iter().all(|(rate, ssrcs)| *rate >= 30_000 && *ssrcs == [Ssrc(1_000)]));
}

#[test]
fn speakers_are_told_when_they_change() {
    let (mut world, mut publisher, _) = call();
    let mut told = Vec::new();
    for sequence in 1..200_u16 {
        let mut packet = Rtp::audio(sequence);
        packet.extensions.push((4, vec![if sequence < 100 { 12 } else { 127 }]));
        world.send(&mut publisher, &packet);
        world.pass(20);
        for event in world.events() {
            if let Event::Speakers { speakers, .. } = event {
                told.push(speakers);
            }
        }
    }
    assert_eq!(told.last(), Some(&Vec::new()), "silent in the end");
    assert!(told.iter().rev().skip(1).all(|speakers| speakers[0].0 == PublicationId(1)));
    assert!((2..=5).contains(&told.len()), "not each interval: {told:?}");
}

#[test]
fn speaker_whose_publication_was_the_last_one_is_silent() {
    for packets in 100..130_u16 {
        let (mut world, mut publisher, _) = call();
        for sequence in 1..packets {
            let mut packet = Rtp::audio(sequence);
            packet.extensions.push((4, vec![12]));
            world.send(&mut publisher, &packet);
            world.pass(20);
        }
        world.must(Command::DeletePublication(PublicationId(2)));
        world.must(Command::DeletePublication(PublicationId(1)));
        world.pass(2_000);
        let mut speakers = world.events().into_iter().filter_map(|event| match event {
            Event::Speakers { speakers, .. } => Some(speakers.len()),
            _ => None,
        });
        assert_eq!(speakers.next_back(), Some(0), "after {packets} packets");
    }
}

#[test]
fn goodbye_ends_a_source_and_another_one_may_follow() {
    let (mut world, mut publisher, mut subscriber) = call();
    world.send(&mut publisher, &Rtp::audio(1));
    world.send_rtcp(&mut publisher, |builder| builder.goodbye(&[Ssrc(1_000)]));
    let mut other = Rtp::audio(500);
    other.ssrc = Ssrc(1_001);
    world.send(&mut publisher, &other);
    let received = world.media(&mut subscriber);
    assert_eq!(received[1].sequence, received[0].sequence + 1, "one stream for the subscriber");
}

#[test]
fn sources_that_come_and_go_are_told_no_more_often_than_is_of_use() {
    let (mut world, mut publisher, _) = call();
    for sequence in 1..=400 {
        let ssrc = Ssrc(1_000 + u32::from(sequence) % 2);
        world.send(&mut publisher, &Rtp { ssrc, ..Rtp::audio(sequence) });
        if sequence < 400 {
            world.send_rtcp(&mut publisher, |builder| builder.goodbye(&[ssrc]));
        }
        world.pass(1);
    }
    world.pass(600);
    let told: Vec<Ssrc> = world
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::SourceStarted { ssrc, .. } => Some(ssrc),
            _ => None,
        })
        .collect();
    assert!((2..=4).contains(&told.len()), "{told:?}");
    assert_eq!((told[0], told.last()), (Ssrc(1_001), Some(&Ssrc(1_000))));
}

#[test]
fn malformed_rtcp_is_counted() {
    let (mut world, mut publisher, _) = call();
    let mut datagram = vec![0; 100];
    datagram[..8].copy_from_slice(&[0x81, 201, 0, 200, 0, 0, 0, 1]);
    let len = publisher.outbound.seal_rtcp(&mut datagram, 12).unwrap();
    datagram.truncate(len);
    world.receive(publisher.path, datagram);
    assert_eq!(world.counter("discarded_rtcp_malformed"), 1);
    world.receive(publisher.path, vec![0x80; FIXED_LEN]);
    assert_eq!(world.counter("peers"), 2);
    world.must(Command::DeletePeer(PeerId(1)));
    world.assert_accounted();
}
