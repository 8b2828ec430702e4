//! Claims about RED: whole to whom it is mapped as such, its primary frame to whom only takes Opus.

use alloc::vec;
use alloc::vec::Vec;

use units::rtp::{PayloadType, Ssrc};
use units::sequence::Seq16;
use units::time::NtpTime;
use wire::red::Redundant;
use wire::rtcp::report::SenderInfo;

use super::client::{Client, Rtp, World};
use super::specs::{AUDIO_PT, audio_spec, peer_spec, subscription_spec};
use crate::command::{Codec, Command, ExtensionKind, PayloadCodec, PayloadMapping, PublicationSpec};

/// Peer 1 publishes RED (63) and Opus, peer 2 takes Opus (100) alone, peer 3 both.
fn redundant_call() -> (World, Client, Client, Client) {
    let mut world = World::new();
    let clients = (world.join(1), world.join(2), world.join(3));
    let mut spec = audio_spec(1, 1);
    let opus = spec.codecs[0];
    spec.codecs.push(PayloadCodec { payload_type: RED_PT, codec: Codec::Red, ..opus });
    world.must(Command::UpsertPublication(spec.into()));
    for (peer, red_to) in [(2, 100), (3, 101)] {
        let mut spec = subscription_spec(peer, peer, 1, 70);
        spec.payloads = [(AUDIO_PT, PayloadType(100)), (RED_PT, PayloadType(red_to))]
            .map(|(from, to)| PayloadMapping { from, to, rtx: None, red: None })
            .into();
        world.must(Command::UpsertSubscription(spec.into()));
    }
    (world, clients.0, clients.1, clients.2)
}

fn redundant(sequence: u16, payload: &[u8]) -> Rtp {
    Rtp { payload_type: RED_PT, payload: payload.to_vec(), ..Rtp::audio(sequence) }
}

#[test]
fn red_goes_out_as_opus_where_it_is_mapped_to_opus() {
    let (mut world, mut publisher, mut plain, mut whole) = redundant_call();
    let repeating = [0x80 | 111, 0, 0, 2, 0x80 | 111, 0, 0, 1, 111, 1, 1, 2, 7, 8, 9];
    world.send(&mut publisher, &redundant(1, &repeating));
    world.send(&mut publisher, &redundant(2, &[111, 5]));
    world.send(&mut publisher, &Rtp::audio(3));
    let told = |packets: &[Rtp]| -> Vec<(u16, u8, Vec<u8>)> {
        let first = packets[0].sequence;
        let told = packets.iter();
        told.map(|packet| (packet.sequence - first, packet.payload_type.0, packet.payload.clone())).collect()
    };
    let (opus, red) = (world.media(&mut plain), world.media(&mut whole));
    assert_eq!(told(&opus), [(0, 100, vec![7, 8, 9]), (1, 100, vec![5]), (2, 100, vec![0x5a; 40])]);
    let untouched = [(0, 101, repeating.to_vec()), (1, 101, vec![111, 5]), (2, 100, vec![0x5a; 40])];
    assert_eq!(told(&red), untouched);

    world.pass(150);
    let missing = [Seq16(opus[0].sequence)];
    world.out.sent.clear();
    world.send_rtcp(&mut plain, |builder| builder.nack(Ssrc(1), Ssrc(70), missing).map(|_| ()));
    assert_eq!((world.counter("packets_resent"), world.out.sent.len()), (1, 1), "the very same packet");
    world.assert_accounted();
}

/// A frame of one byte, its number, behind those of the two packets before it.
fn frame(sequence: u8) -> Rtp {
    let block = |ticks: u16| [0x80 | 111, (ticks >> 6).to_be_bytes()[1], (ticks << 2).to_be_bytes()[1], 1];
    let headers = [block(1_920), block(960)].concat();
    redundant(sequence.into(), &[&headers[..], &[111, sequence - 2, sequence - 1, sequence]].concat())
}

#[test]
fn lost_frames_are_recovered_where_their_packets_would_be() {
    for (name, sent, expected, late) in [
        ("nothing lost", &[3, 4, 5][..], &[3, 4, 5][..], 0),
        ("one lost", &[3, 5], &[3, 4, 5], 0),
        ("two lost", &[3, 6], &[3, 4, 5, 6], 0),
        ("three lost: the first one is gone", &[3, 7], &[3, 5, 6, 7], 0),
        ("lost at the start: nothing begins with it", &[5, 6], &[5, 6], 0),
        ("came late", &[3, 5, 4, 6], &[3, 4, 5, 6], 1),
        ("two came late", &[3, 6, 5, 4, 7], &[3, 4, 5, 6, 7], 2),
        ("the gone one came late", &[3, 7, 4], &[3, 5, 6, 7, 4], 0),
    ] {
        let (mut world, mut publisher, mut plain, mut whole) = redundant_call();
        for sequence in sent {
            world.send(&mut publisher, &frame(*sequence));
        }
        let opus = world.media(&mut plain);
        let first = opus[0].clone();
        let told: Vec<_> = opus.iter().map(|packet| packet.payload.clone()).collect();
        assert_eq!(told, expected.iter().map(|sequence| vec![*sequence]).collect::<Vec<_>>(), "{name}");
        for packet in &opus {
            let ahead = i16::from(packet.payload[0]) - i16::from(first.payload[0]);
            let number = packet.sequence.wrapping_sub(first.sequence).cast_signed();
            let ticks = packet.timestamp.wrapping_sub(first.timestamp).cast_signed();
            assert_eq!((number, ticks), (ahead, i32::from(ahead) * 960), "{name}: {:?}", packet.payload);
            assert_eq!(packet.payload_type, PayloadType(100), "{name}");
        }
        assert_eq!(world.media(&mut whole).len(), sent.len(), "{name}: RED has it within");
        assert_eq!(world.counter("copy_discarded_duplicate"), late, "{name}");
        let own = sent.len() as u64 - late;
        assert_eq!(world.counter("copies_recovered"), expected.len() as u64 - own, "{name}");
        world.assert_accounted();
    }
}

#[test]
fn recovered_frame_is_sent_again_out_of_the_packet_that_had_it() {
    let (mut world, mut publisher, mut plain, _) = redundant_call();
    world.send(&mut publisher, &frame(3));
    world.send(&mut publisher, &frame(5));
    let sent: Vec<_> = world.out.sent.iter().filter(|(path, _)| *path == plain.path).cloned().collect();
    let missing = Seq16(world.media(&mut plain)[1].sequence);
    world.send(&mut publisher, &frame(4));
    world.pass(150);
    world.send_rtcp(&mut plain, |builder| builder.nack(Ssrc(1), Ssrc(70), [missing]).map(|_| ()));
    assert_eq!(world.counter("packets_resent"), 1);
    assert_eq!(world.out.sent.last().unwrap().1, sent[1].1, "bit for bit");
}

#[test]
fn capture_time_is_not_that_of_a_frame_recovered_out_of_the_packet() {
    let (mut world, mut publisher, mut plain, _) = redundant_call();
    for (id, peer) in [(6, 1), (7, 2)] {
        let mut spec = peer_spec(peer, 1);
        for extensions in [&mut spec.receive_extensions, &mut spec.send_extensions] {
            extensions.0.retain(|(other, _)| *other != id);
            extensions.0.push((id, ExtensionKind::AbsCaptureTime));
        }
        world.must(Command::UpsertPeer(spec.into()));
    }
    let info =
        SenderInfo { ssrc: Ssrc(1_000), ntp: NtpTime(9), rtp_timestamp: 0, packet_count: 0, octet_count: 0 };
    world.send(&mut publisher, &frame(3));
    world.send_rtcp(&mut publisher, |builder| builder.sender_report(&info, &[]));
    let first = world.media(&mut plain).remove(0);
    let mut packet = frame(5);
    packet.extensions.push((6, vec![1; 8]));
    world.send(&mut publisher, &packet);
    let recovered = world.out.sent.iter().position(|(path, _)| *path == plain.path).unwrap();
    world.out.sent.remove(recovered); // It is lost on the way.
    let newest = world.media(&mut plain).remove(0);
    assert_eq!(newest.extension(7).map(<[u8]>::len), Some(16), "told of what was captured then");
    world.pass(150);
    let missing = [Seq16(first.sequence + 1)];
    world.send_rtcp(&mut plain, |builder| builder.nack(Ssrc(1), Ssrc(70), missing).map(|_| ()));
    let again = world.media(&mut plain).remove(0);
    assert_eq!((again.payload.as_slice(), again.extension(7)), (&[4][..], None));
}

#[test]
fn encrypted_redundancy_is_left_alone() {
    let (mut world, mut publisher, mut plain, _) = redundant_call();
    let mut spec = audio_spec(1, 1);
    spec.codecs.push(PayloadCodec { payload_type: RED_PT, codec: Codec::Red, ..spec.codecs[0] });
    spec.encrypted = true;
    world.must(Command::UpsertPublication(spec.into()));
    world.send(&mut publisher, &frame(3));
    world.send(&mut publisher, &frame(5));
    let payloads: Vec<_> = world.media(&mut plain).into_iter().map(|packet| packet.payload).collect();
    assert_eq!(payloads, [[3], [5]]);
}

/// Peer 1 publishes Opus (111), peer 2 takes it as RED (63) of Opus (111), peer 3 as it is.
fn encoded_call() -> (World, Client, Client, Client) {
    let mut world = World::new();
    let clients = (world.join(1), world.join(2), world.join(3));
    world.must(Command::UpsertPublication(audio_spec(1, 1).into()));
    for (peer, to, red) in [(2, RED_PT, Some(AUDIO_PT)), (3, AUDIO_PT, None)] {
        let mut spec = subscription_spec(peer, peer, 1, 70);
        spec.payloads = vec![PayloadMapping { from: AUDIO_PT, to, rtx: None, red }];
        world.must(Command::UpsertSubscription(spec.into()));
    }
    (world, clients.0, clients.1, clients.2)
}

#[test]
fn opus_goes_out_as_red_to_whom_it_is_mapped_so() {
    let (mut world, mut publisher, mut whole, mut plain) = encoded_call();
    for sequence in [1_u8, 2, 3, 5, 4, 6] {
        world.send(&mut publisher, &Rtp { payload: vec![sequence; 2], ..Rtp::audio(sequence.into()) });
    }
    let opus: Vec<_> = world.media(&mut plain).into_iter().map(|packet| packet.payload).collect();
    assert_eq!(opus, [[1; 2], [2; 2], [3; 2], [5; 2], [4; 2], [6; 2]]);
    let received = world.media(&mut whole);
    for (packet, expected) in received.iter().zip([
        &[(0, 1)][..],
        &[(960, 1), (0, 2)],
        &[(1_920, 1), (960, 2), (0, 3)],
        &[(0, 5)],
        &[(1_920, 2), (960, 3), (0, 4)],
        &[(1_920, 4), (960, 5), (0, 6)],
    ]) {
        assert_eq!(packet.payload_type, RED_PT);
        let red = Redundant::parse(&packet.payload).unwrap();
        let blocks: Vec<_> = red.redundant().chain([red.primary()]).collect();
        assert!(blocks.iter().all(|block| block.payload_type == AUDIO_PT && block.data.len() == 2));
        let told: Vec<_> = blocks.iter().map(|block| (block.timestamp_offset, block.data[0])).collect();
        assert_eq!(told, expected);
    }
    assert_eq!(received.len(), 6);

    world.pass(150);
    let missing = [Seq16(received[1].sequence)];
    world.send_rtcp(&mut whole, |builder| builder.nack(Ssrc(1), Ssrc(70), missing).map(|_| ()));
    assert_eq!(world.counter("packets_resent"), 0, "what was repeated may be gone: never other bytes");
    assert_eq!(world.counter("nacks_unsendable"), 1);
    world.must(Command::UpsertPublication(PublicationSpec { muted: true, ..audio_spec(1, 1) }.into()));
    world.pass(100);
    let silence = world.media(&mut whole).pop().unwrap();
    assert_eq!((silence.payload_type, silence.payload[0]), (RED_PT, AUDIO_PT.0), "silence is RED, too");
    world.assert_accounted();
}

#[test]
fn red_that_can_not_become_opus_is_counted() {
    for (name, payload, reason) in [
        ("cut off", &[0x80 | 111, 0, 0, 9, 111, 1][..], "copy_discarded_malformed"),
        ("primary of another codec", &[0, 1, 2, 3], "copy_discarded_malformed"),
        ("encrypted", &[0xff; 80], "copy_discarded_malformed"),
        ("nothing", &[], "copy_discarded_padding"),
        ("nothing but redundancy", &[0x80 | 111, 0, 0, 2, 111, 1, 1], "copy_discarded_padding"),
    ] {
        let (mut world, mut publisher, mut plain, _) = redundant_call();
        world.send(&mut publisher, &redundant(1, &[111, 5]));
        let before = world.counter(reason);
        world.send(&mut publisher, &redundant(2, payload));
        assert!(world.counter(reason) > before, "{name}");
        world.send(&mut publisher, &redundant(3, &[111, 6]));
        let payloads: Vec<_> = world.media(&mut plain).into_iter().map(|packet| packet.payload).collect();
        assert_eq!(payloads, [[5], [6]], "{name}");
        world.assert_accounted();
    }
}

const RED_PT: PayloadType = PayloadType(63);
