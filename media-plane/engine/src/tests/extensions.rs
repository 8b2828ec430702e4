//! Claims about what is written into copies or cut off them: capture times, the playout delay, the packet trailer.

use alloc::vec;
use alloc::vec::Vec;

use units::rtp::Ssrc;
use units::sequence::Seq16;
use units::time::NtpTime;
use wire::extension::{AbsCaptureTime, PlayoutDelay};
use wire::rtcp::report::{ReportBlock, SenderInfo};

use super::client::{Client, Rtp, World};
use super::specs::{audio_spec, peer_spec, subscription_spec, video_spec};
use crate::command::{Command, ExtensionKind, PlayoutDelayRange, SubscriptionSpec};

/// Ids of the publisher and of subscribers.
const CAPTURE_IN: u8 = 6;
const CAPTURE_OUT: u8 = 2;
const PLAYOUT_OUT: u8 = 3;
const SECOND: i64 = 1 << 32;

/// Peer 1 publishes video (2), peer 2 subscribes on SSRC 80 as `change` has it.
fn call(change: impl FnOnce(&mut SubscriptionSpec)) -> (World, Client, Client) {
    let mut world = World::new();
    let mut publisher = peer_spec(1, 1);
    publisher.receive_extensions.0.push((CAPTURE_IN, ExtensionKind::AbsCaptureTime));
    let mut subscriber = peer_spec(2, 1);
    subscriber
        .send_extensions
        .0
        .extend([(CAPTURE_OUT, ExtensionKind::AbsCaptureTime), (PLAYOUT_OUT, ExtensionKind::PlayoutDelay)]);
    world.must(Command::UpsertPeer(publisher.into()));
    world.must(Command::UpsertPeer(subscriber.into()));
    let clients = (world.connect(1), world.connect(2));
    world.must(Command::UpsertPublication(audio_spec(1, 1).into()));
    world.must(Command::UpsertPublication(video_spec(2, 1).into()));
    let mut spec = subscription_spec(2, 2, 2, 80);
    change(&mut spec);
    world.must(Command::UpsertSubscription(spec.into()));
    (world, clients.0, clients.1)
}

/// Its picture id needs 15 bits before and after it was rewritten, so that the descriptor keeps its length.
fn video(number: u16) -> Rtp {
    let mut packet = Rtp::video(0, 1_000 + number, number == 1);
    packet.extensions.truncate(1);
    packet
}

fn captured(number: u16, seconds: i64) -> Rtp {
    let mut packet = video(number);
    let time = AbsCaptureTime { capture: NtpTime((seconds * SECOND).cast_unsigned()), clock_offset: None };
    packet.extensions.push((CAPTURE_IN, time.write(&mut [0; 16]).to_vec()));
    packet
}

/// A sender report of a publisher whose clock is so far behind ours.
fn report(world: &mut World, publisher: &mut Client, behind: i64) {
    let ours = NtpTime(0xe000_0000_0000_0000) + (world.now - units::time::Instant(0));
    let ntp = NtpTime(ours.0.wrapping_add_signed(-behind));
    let info = SenderInfo { ssrc: Ssrc(2_000), ntp, rtp_timestamp: 3_000, packet_count: 1, octet_count: 100 };
    world.send_rtcp(publisher, |builder| builder.sender_report(&info, &[]));
}

fn nack(world: &mut World, client: &mut Client, missing: u16) {
    world.send_rtcp(client, |builder| {
        builder.nack(Ssrc(1), Ssrc(80), [Seq16(missing)].into_iter().collect::<Vec<_>>()).map(|_| ())
    });
}

fn receive_report(world: &mut World, client: &mut Client, highest: u16, jitter_ms: u32) {
    let block = ReportBlock {
        ssrc: Ssrc(80),
        fraction_lost: 0,
        cumulative_lost: 0,
        highest_sequence: highest.into(),
        jitter: jitter_ms * 90,
        last_sender_report: 0,
        delay_since_last_sender_report: 0,
    };
    world.send_rtcp(client, |builder| builder.receiver_report(Ssrc(1), &[block]));
}

fn capture_of(packet: &Rtp) -> Option<(i64, Option<i64>)> {
    let time = AbsCaptureTime::read(packet.extension(CAPTURE_OUT)?).unwrap();
    Some((time.capture.0.cast_signed() / SECOND, time.clock_offset.map(|offset| offset / SECOND)))
}

fn playout_of(packet: &Rtp) -> Option<(u32, u32)> {
    let delay = PlayoutDelay::read(packet.extension(PLAYOUT_OUT)?).unwrap();
    Some((delay.min_ms(), delay.max_ms()))
}

#[test]
fn capture_time_is_told_by_our_clock_and_again_when_it_is_sent_again() {
    for rtx in [None, Some(Ssrc(81))] {
        let (mut world, mut publisher, mut subscriber) = call(|spec| spec.rtx_ssrc = rtx);
        world.send(&mut publisher, &captured(1, 100));
        let before = world.media(&mut subscriber);
        assert_eq!(capture_of(&before[0]), None, "nothing is known of the publisher's clock");

        report(&mut world, &mut publisher, 7 * SECOND);
        world.send(&mut publisher, &captured(2, 100));
        world.out.sent.clear(); // It is lost on the way.
        world.send(&mut publisher, &captured(3, 100));
        world.send(&mut publisher, &video(4));
        let sent = world.media(&mut subscriber);
        assert_eq!(capture_of(&sent[0]), Some((107, Some(7))), "rtx: {rtx:?}");
        assert_eq!(capture_of(&sent[1]), None, "nothing is made up");

        // A report that came faster changes what is told from now on, not what was told.
        report(&mut world, &mut publisher, 6 * SECOND);
        world.pass(200);
        nack(&mut world, &mut subscriber, before[0].sequence + 1);
        world.send(&mut publisher, &captured(5, 100));
        let again = world.media(&mut subscriber);
        assert_eq!(capture_of(&again[0]), Some((107, Some(7))), "rtx: {rtx:?}");
        assert_eq!(capture_of(&again[1]), Some((106, Some(6))), "rtx: {rtx:?}");
        world.assert_accounted();
    }
}

#[test]
fn capture_time_is_left_out_for_who_did_not_negotiate_it() {
    let (mut world, mut publisher, mut subscriber) = call(|_| {});
    world.must(Command::UpsertPeer(peer_spec(2, 1).into()));
    report(&mut world, &mut publisher, SECOND);
    world.send(&mut publisher, &captured(1, 100));
    let sent = world.media(&mut subscriber);
    assert!(sent[0].extensions.iter().all(|(id, _)| *id == 8 || *id == 9), "{:?}", sent[0].extensions);
}

#[test]
fn elements_of_either_form_are_read_and_written() {
    for (name, from, to) in [
        ("one byte to one byte", 7, 6),
        ("one byte to two bytes", 7, 200),
        ("two bytes to one byte", 200, 6),
        ("two bytes to two bytes", 16, 255),
    ] {
        let (mut world, mut publisher, mut subscriber) = call(|_| {});
        for (id, peer, receives) in [(from, 1, true), (to, 2, false)] {
            let mut spec = peer_spec(peer, 1);
            let ids = if receives { &mut spec.receive_extensions } else { &mut spec.send_extensions };
            ids.0.push((id, ExtensionKind::VideoOrientation));
            world.must(Command::UpsertPeer(spec.into()));
        }
        let mut packet = video(1);
        packet.extensions.extend([(13, b"unknown".to_vec()), (from, vec![0x0a])]);
        world.send(&mut publisher, &packet);
        let sent = world.media(&mut subscriber);
        assert_eq!(sent[0].extension(to), Some(&[0x0a][..]), "{name}");
        assert_eq!(sent[0].extension(9), Some(&b"5"[..]), "{name}: the MID is in the same form");
        assert_eq!(sent[0].extensions.len(), 3, "{name}: and the time of sending, and nothing else");
    }
}

#[test]
fn playout_delay_is_told_until_a_packet_with_it_arrived() {
    let range = PlayoutDelayRange { min_ms: 100, max_ms: 400 };
    let (mut world, mut publisher, mut subscriber) = call(|spec| spec.playout_delay = Some(range));
    let mut next = 0;
    let mut send = |world: &mut World, subscriber: &mut Client| {
        next += 1;
        world.send(&mut publisher, &video(next));
        world.media(subscriber).remove(0)
    };
    let first = send(&mut world, &mut subscriber);
    assert_eq!(playout_of(&first), Some((100, 400)));
    receive_report(&mut world, &mut subscriber, first.sequence.wrapping_sub(1), 0);
    assert_eq!(playout_of(&send(&mut world, &mut subscriber)), Some((100, 400)), "not yet acknowledged");
    receive_report(&mut world, &mut subscriber, first.sequence, 0);
    assert_eq!(playout_of(&send(&mut world, &mut subscriber)), None, "acknowledged");

    // 30 ms of jitter ask for 300 ms, at 80 ms per second.
    let mut told = Vec::new();
    for _ in 0..4 {
        world.pass(1_000);
        receive_report(&mut world, &mut subscriber, first.sequence + 2, 30);
        let packet = send(&mut world, &mut subscriber);
        told.push(playout_of(&packet));
        receive_report(&mut world, &mut subscriber, packet.sequence, 30);
    }
    let delays = [180, 260, 300].map(|min| Some((min, 400)));
    assert_eq!(told, [delays[0], delays[1], delays[2], None]);
}

#[test]
fn playout_delay_is_told_again_where_it_was_missed() {
    let range = PlayoutDelayRange { min_ms: 100, max_ms: 400 };
    let (mut world, mut publisher, mut subscriber) = call(|spec| {
        (spec.playout_delay, spec.rtx_ssrc) = (Some(range), Some(Ssrc(81)));
    });
    world.send(&mut publisher, &video(1));
    let first = world.media(&mut subscriber).remove(0);
    world.pass(200);
    nack(&mut world, &mut subscriber, first.sequence);
    let again = world.media(&mut subscriber);
    assert_eq!((again[0].ssrc, playout_of(&again[0])), (Ssrc(81), Some((100, 400))));
}

#[test]
fn playout_delay_is_told_only_where_it_is_wanted_and_negotiated() {
    let range = PlayoutDelayRange { min_ms: 100, max_ms: 400 };
    for (name, wanted, negotiated, expected) in [
        ("not wanted", None, true, false),
        ("not negotiated", Some(range), false, false),
        ("both", Some(range), true, true),
    ] {
        let (mut world, mut publisher, mut subscriber) = call(|spec| spec.playout_delay = wanted);
        if !negotiated {
            world.must(Command::UpsertPeer(peer_spec(2, 1).into()));
        }
        world.send(&mut publisher, &video(1));
        assert_eq!(playout_of(&world.media(&mut subscriber)[0]).is_some(), expected, "{name}");
    }
}

#[test]
fn trailer_is_cut_off_for_clients_that_do_not_know_it() {
    for (name, strip, rtx) in
        [("stripped", true, None), ("stripped, RTX", true, Some(Ssrc(81))), ("known", false, None)]
    {
        let (mut world, mut publisher, mut subscriber) = call(|spec| {
            (spec.strip_packet_trailer, spec.rtx_ssrc) = (strip, rtx);
        });
        let trailer = b"abc\xf7LKTS";
        let with_trailer = |number, marker| {
            let packet = video(number);
            Rtp { payload: [&packet.payload[..], trailer].concat(), marker, ..packet }
        };
        // The descriptor has the subscriber's numbers: what comes behind it is compared.
        let media = |packet: &Rtp, from| packet.payload[from..].to_vec();
        let kept = if strip { &b""[..] } else { trailer };
        world.send(&mut publisher, &with_trailer(1, true));
        let first = world.media(&mut subscriber).remove(0);
        assert_eq!(media(&first, 6), [&video(1).payload[6..], kept].concat(), "{name}");
        world.send(&mut publisher, &with_trailer(2, false));
        world.send(&mut publisher, &video(3));
        let sent = world.media(&mut subscriber);
        assert_eq!(
            media(&sent[0], 6),
            [&video(2).payload[6..], trailer].concat(),
            "{name}: not the frame's end"
        );
        assert_eq!(media(&sent[1], 6), video(3).payload[6..], "{name}: none there");

        world.send(&mut publisher, &with_trailer(4, true));
        world.out.sent.clear(); // It is lost on the way.
        world.pass(200);
        nack(&mut world, &mut subscriber, first.sequence + 3);
        let again = world.media(&mut subscriber);
        let own_number = if rtx.is_some() { 2 } else { 0 };
        assert_eq!(
            media(&again[0], own_number + 6),
            [&video(4).payload[6..], kept].concat(),
            "{name}: sent again"
        );
    }
}

#[test]
fn descriptor_is_no_trailer() {
    let (mut world, mut publisher, mut subscriber) = call(|spec| spec.strip_packet_trailer = true);
    let mut packet = video(1);
    let descriptor_len = packet.payload.len() - 101;
    // Longer than all that is behind the descriptor.
    packet.payload.truncate(descriptor_len + 1);
    packet.payload.extend([0xff ^ 8, b'L', b'K', b'T', b'S']);
    world.send(&mut publisher, &packet);
    let sent = world.media(&mut subscriber);
    assert_eq!(sent[0].payload.len(), descriptor_len);
}
