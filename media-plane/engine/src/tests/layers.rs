//! Claims about layers that share one stream: which of them a subscriber gets, and what its descriptors say then.

extern crate std;

use alloc::vec;
use alloc::vec::Vec;

use units::rtp::{PayloadType, Ssrc};
use units::sequence::Seq16;
use wire::rtcp::{Compound, Packet};

use srtp::inbound::Inbound;
use srtp::outbound::Outbound;
use units::handle::PeerId;

use super::client::{Client, Rtp, World, keys};
use super::specs::{VIDEO_PT, peer_spec, subscription_spec, video_spec};
use crate::command::{Codec, Command, ExtensionKind};

/// The publisher's id of the dependency descriptor, and the subscribers'.
pub(super) const DESCRIPTOR_IDS: (u8, u8) = (12, 13);

/// The dependency descriptor of a packet, and its payload.
pub(super) type Told = (Option<Vec<u8>>, Vec<u8>);

/// Peer 1 publishes one stream of two spatial layers. Peers 2 and 3 subscribe to it on SSRC 80, and only peer 2 takes
/// dependency descriptors.
pub(super) fn call(codec: Codec) -> (World, Client, Client, Client) {
    let mut world = World::new();
    let publisher = world.join(1);
    let subscriber = world.join(2);
    let plain = world.join(3);
    for (id, peer) in [(1, peer_spec(1, 1)), (2, peer_spec(2, 1))] {
        let mut peer = peer;
        let extensions = if id == 1 { &mut peer.receive_extensions.0 } else { &mut peer.send_extensions.0 };
        let id = if id == 1 { DESCRIPTOR_IDS.0 } else { DESCRIPTOR_IDS.1 };
        extensions.push((id, ExtensionKind::DependencyDescriptor));
        world.must(Command::UpsertPeer(peer.into()));
    }
    let mut spec = video_spec(2, 1);
    spec.codecs[0].codec = codec;
    world.must(Command::UpsertPublication(spec.into()));
    for peer in [2, 3] {
        wish(&mut world, peer, 2);
    }
    world.events();
    (world, publisher, subscriber, plain)
}

fn wish(world: &mut World, peer: u64, layer_max: u8) {
    let mut spec = subscription_spec(peer, peer, 2, 80);
    spec.layer_max = layer_max;
    spec.rtx_ssrc = Some(Ssrc(81));
    world.must(Command::UpsertSubscription(spec.into()));
}

/// A picture of both layers, a packet each; `descriptors` makes those.
fn send_picture(
    world: &mut World,
    publisher: &mut Client,
    picture: u16,
    key: bool,
    descriptors: fn(u16, u8, bool) -> Told,
) {
    for spatial in 0..2 {
        let (descriptor, payload) = descriptors(picture, spatial, key);
        let mut extensions = vec![(1, b"1".to_vec())];
        extensions.extend(descriptor.map(|descriptor| (DESCRIPTOR_IDS.0, descriptor)));
        let packet = Rtp {
            ssrc: Ssrc(2_000),
            payload_type: VIDEO_PT,
            sequence: picture * 2 + u16::from(spatial),
            timestamp: u32::from(picture) * 3_000,
            marker: spatial == 1,
            extensions,
            payload,
        };
        world.send(publisher, &packet);
    }
    world.pass(33);
}

/// Spatial layers that depend on each other: template 0 and 2 in key pictures, 1 and 3 in others.
pub(super) fn dependency(picture: u16, spatial: u8, key: bool) -> Told {
    let number = (picture * 2 + u16::from(spatial)).to_be_bytes();
    let template = spatial * 2 + u8::from(!key);
    let mut descriptor = vec![0b1100_0000 | template, number[0], number[1]];
    if key && spatial == 0 {
        descriptor.extend(dependency_structure());
    }
    // AV1 with one element, or an opaque one.
    (Some(descriptor), vec![0x10, 0x30, spatial])
}

/// What a key frame's descriptor has behind the mandatory fields: five flags, and a structure of two decode targets.
pub(crate) fn dependency_structure() -> Vec<u8> {
    const FIELDS: &[&str] = &[
        "10000", // a structure and nothing else
        "000000",
        "00001", // template ids from 0, two decode targets
        "00",
        "10",
        "00",
        "11", // S0, S0, S1, S1
        "1010",
        "1011",
        "0010",
        "0010", // SS, SR, -S, -S
        "0",
        "100010",
        "100000",
        "10001100000", // frame differences: none; 2; 1; 2 and 1
        "11",
        "0",
        "1", // two chains, one for each target
        "00000000",
        "00100001",
        "00010001",
        "00010001", // chain differences
        "0",        // no resolutions
    ];
    bits(FIELDS)
}

/// Fields of a descriptor, most significant bit first.
pub(super) fn bits(fields: &[&str]) -> Vec<u8> {
    let bits: Vec<u8> = fields.iter().flat_map(|field| field.bytes()).map(|bit| bit - b'0').collect();
    bits.chunks(8)
        .map(|byte| byte.iter().enumerate().fold(0, |all, (at, bit)| all | bit << (7 - at)))
        .collect()
}

/// 15 bits of picture id, layers and TL0PICIDX; no structure.
pub(super) fn vp9(picture: u16, spatial: u8, key: bool) -> Told {
    let predicted = if key { 0 } else { 0x40 };
    let id = picture.to_be_bytes();
    let layer = spatial << 1 | spatial;
    (None, vec![0b1010_1100 | predicted, 0x80 | id[0], id[1], layer, 0, spatial])
}

/// The spatial layer and marker of what came.
pub(super) fn layers(packets: &[Rtp]) -> Vec<(u8, bool)> {
    packets.iter().map(|packet| (packet.layer(), packet.marker)).collect()
}

fn descriptors(packets: &[Rtp]) -> Vec<&[u8]> {
    packets.iter().map(|packet| packet.extension(DESCRIPTOR_IDS.1).unwrap()).collect()
}

pub(super) fn asked_key_frame(world: &mut World, publisher: &mut Client) -> bool {
    let (_, rtcp) = world.drain(publisher);
    let mut members = rtcp.iter().flat_map(|compound| Compound::new(compound));
    members.any(|member| matches!(member, Ok(Packet::PictureLossIndication(it)) if it.media == Ssrc(2_000)))
}

#[test]
fn spatial_layer_of_a_stream_follows_the_wish() {
    for (name, codec, told) in [
        ("AV1 by its descriptors", Codec::Av1, dependency as fn(u16, u8, bool) -> Told),
        ("VP9 by dependency descriptors", Codec::Vp9, dependency),
        ("VP9 by its payload", Codec::Vp9, vp9),
    ] {
        let (mut world, mut publisher, mut subscriber, mut plain) = call(codec);
        wish(&mut world, 3, 0);
        send_picture(&mut world, &mut publisher, 1, true, told);
        send_picture(&mut world, &mut publisher, 2, false, told);
        let all = world.media(&mut subscriber);
        assert_eq!(layers(&all), [(0, false), (1, true), (0, false), (1, true)], "{name}");
        let low = world.media(&mut plain);
        assert_eq!(layers(&low), [(0, true), (0, true)], "{name}: each ends its picture");
        assert_eq!(low[1].sequence, low[0].sequence + 1, "{name}: without a hole");
        assert!(low.iter().all(|packet| packet.extension(DESCRIPTOR_IDS.1).is_none()), "{name}");
        assert!(!asked_key_frame(&mut world, &mut publisher), "{name}");

        wish(&mut world, 2, 0);
        world.pass(1_100);
        asked_key_frame(&mut world, &mut publisher);
        send_picture(&mut world, &mut publisher, 3, false, told);
        assert_eq!(layers(&world.media(&mut subscriber)), [(0, true)], "{name}: less at the next picture");
        wish(&mut world, 2, 2);
        send_picture(&mut world, &mut publisher, 4, false, told);
        assert_eq!(layers(&world.media(&mut subscriber)), [(0, true)], "{name}: more only with a key frame");
        world.pass(1_100);
        assert!(asked_key_frame(&mut world, &mut publisher), "{name}: which is asked for");
        send_picture(&mut world, &mut publisher, 5, true, told);
        assert_eq!(layers(&world.media(&mut subscriber)), [(0, false), (1, true)], "{name}");
        world.assert_accounted();
    }
}

#[test]
fn trailer_of_a_lower_layer_is_cut_off_too() {
    for (name, codec, told) in [
        ("by dependency descriptors", Codec::Av1, dependency_and_trailer as fn(u16, u8, bool) -> Told),
        ("by the payload", Codec::Vp9, vp9_and_trailer),
    ] {
        let (mut world, mut publisher, mut knowing, mut plain) = call(codec);
        let mut spec = subscription_spec(3, 3, 2, 80);
        spec.rtx_ssrc = Some(Ssrc(81));
        spec.strip_packet_trailer = true;
        world.must(Command::UpsertSubscription(spec.into()));
        send_picture(&mut world, &mut publisher, 1, true, told);
        let [whole, stripped] = [&mut knowing, &mut plain].map(|client| world.media(client));
        assert_eq!((whole.len(), stripped.len()), (2, 2), "{name}");
        for (whole, stripped) in whole.iter().zip(&stripped) {
            assert_eq!(whole.payload, [&stripped.payload[..], TRAILER].concat(), "{name}");
        }
    }
}

const TRAILER: &[u8] = b"\xfaLKTS";

fn dependency_and_trailer(picture: u16, spatial: u8, key: bool) -> Told {
    let (descriptor, payload) = dependency(picture, spatial, key);
    (descriptor, [&payload[..], TRAILER].concat())
}

fn vp9_and_trailer(picture: u16, spatial: u8, key: bool) -> Told {
    let (descriptor, payload) = vp9(picture, spatial, key);
    (descriptor, [&payload[..], TRAILER].concat())
}

#[test]
fn descriptors_keep_frame_numbers_and_tell_of_decode_targets() {
    let (mut world, mut publisher, mut subscriber, _) = call(Codec::Av1);
    send_picture(&mut world, &mut publisher, 1, true, dependency);
    let whole = dependency(1, 0, true).0.unwrap();
    let received = world.media(&mut subscriber);
    assert_eq!(descriptors(&received), [&whole[..], &[0xc2, 0, 3]], "as they came");
    wish(&mut world, 2, 0);
    send_picture(&mut world, &mut publisher, 2, false, dependency);
    send_picture(&mut world, &mut publisher, 3, false, dependency);
    let received = world.media(&mut subscriber);
    // Five flags, of which the second, and then target 0 alone.
    assert_eq!(descriptors(&received), [&[0xc1, 0, 4, 0b0100_0010][..], &[0xc1, 0, 6]]);
    let before = received[1].sequence;

    // Under other keys the same SSRC is another stream.
    world.must(Command::Keys { peer: PeerId(1), keys: keys(false, 1).into() });
    publisher.outbound = Outbound::new(&keys(true, 1));
    publisher.inbound = Inbound::new(&keys(true, 1));
    send_picture(&mut world, &mut publisher, 400, true, dependency);
    let received = world.media(&mut subscriber);
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].sequence, before + 1);
    let descriptor = received[0].extension(DESCRIPTOR_IDS.1).unwrap();
    assert_eq!(descriptor[..3], [0xc0, 0, 7], "numbers go on across sources");
    assert_eq!(descriptor[3] & 0b1100_0000, 0b1100_0000, "a structure, and which targets of it are sent");
}

#[test]
fn packet_is_sent_again_with_the_descriptor_that_it_had() {
    let (mut world, mut publisher, mut subscriber, _) = call(Codec::Av1);
    send_picture(&mut world, &mut publisher, 1, true, dependency);
    wish(&mut world, 2, 0);
    send_picture(&mut world, &mut publisher, 2, false, dependency);
    let sent = world.media(&mut subscriber);
    let last = sent.last().unwrap();
    world.pass(200);
    world.send_rtcp(&mut subscriber, |builder| {
        builder.nack(Ssrc(1), Ssrc(80), [Seq16(last.sequence)]).map(|_| ())
    });
    let resent = world.media(&mut subscriber);
    assert_eq!(resent.len(), 1, "{:?}", world.counter("nacks_unknown"));
    assert_eq!((resent[0].ssrc, resent[0].payload_type), (Ssrc(81), PayloadType(101)));
    assert_eq!(descriptors(&resent), descriptors(&sent[2..]));
    assert_eq!(resent[0].marker, last.marker);
}

#[test]
fn stream_whose_descriptors_say_nothing_is_forwarded_whole() {
    fn unreadable(picture: u16, spatial: u8, key: bool) -> Told {
        let (mut descriptor, mut payload) = dependency(picture, spatial, key);
        if let Some(descriptor) = descriptor.as_mut().filter(|_| key && spatial == 0) {
            descriptor.truncate(5);
            payload[0] |= 0x08;
        }
        (descriptor, payload)
    }
    let (mut world, mut publisher, mut subscriber, _) = call(Codec::Av1);
    wish(&mut world, 2, 0);
    send_picture(&mut world, &mut publisher, 1, true, unreadable);
    send_picture(&mut world, &mut publisher, 2, false, unreadable);
    let received = world.media(&mut subscriber);
    assert_eq!(layers(&received), [(0, false), (1, true), (0, false), (1, true)]);
    assert!(received.iter().all(|packet| packet.extension(DESCRIPTOR_IDS.1).is_none()));
    world.assert_accounted();
}
