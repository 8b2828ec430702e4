//! Claims about VP8 whose layers stand in dependency descriptors alone, as Chromium sends it.

extern crate std;

use alloc::vec;
use alloc::vec::Vec;

use units::handle::SubscriptionId;
use units::rtp::Ssrc;
use units::sequence::Seq16;
use wire::vp8::Descriptor;

use super::client::{Client, Rtp, World};
use super::layers::bits;
use super::specs::{peer_spec, simulcast_spec, subscription_spec};
use crate::command::{Command, ExtensionKind};

/// The publisher's id of the dependency descriptor, and the subscriber's.
const DESCRIPTOR_IDS: (u8, u8) = (12, 13);

/// Peer 1 publishes three layers; peer 2 takes dependency descriptors, and peer 3 does not. Both subscribe on SSRC 80.
struct Call {
    world: World,
    publisher: Client,
    subscriber: Client,
    plain: Client,
}

impl Call {
    fn new(layer: u8, temporal: u8) -> Self {
        let mut world = World::new();
        let (publisher, subscriber, plain) = (world.join(1), world.join(2), world.join(3));
        let (mut sends, mut takes) = (peer_spec(1, 1), peer_spec(2, 1));
        sends.receive_extensions.0.push((DESCRIPTOR_IDS.0, ExtensionKind::DependencyDescriptor));
        takes.send_extensions.0.push((DESCRIPTOR_IDS.1, ExtensionKind::DependencyDescriptor));
        world.must(Command::UpsertPeer(sends.into()));
        world.must(Command::UpsertPeer(takes.into()));
        world.must(Command::UpsertPublication(simulcast_spec(2, 1).into()));
        let mut call = Self { world, publisher, subscriber, plain };
        call.wish(layer, temporal);
        call
    }

    fn wish(&mut self, layer: u8, temporal: u8) {
        for peer in [2, 3] {
            let mut wish = subscription_spec(peer, peer, 2, 80);
            (wish.layer_max, wish.temporal_layer_max) = (layer, temporal);
            wish.rtx_ssrc = Some(Ssrc(81));
            self.world.must(Command::UpsertSubscription(wish.into()));
        }
    }

    fn send(&mut self, packets: impl IntoIterator<Item = Rtp>) {
        for packet in packets {
            self.world.send(&mut self.publisher, &packet);
            self.world.pass(33);
        }
    }

    /// What came to the one, and to the other.
    fn media(&mut self) -> (Vec<Rtp>, Vec<Rtp>) {
        (self.world.media(&mut self.subscriber), self.world.media(&mut self.plain))
    }
}

/// A picture of one packet. In every second one is the upper temporal layer.
fn picture(layer: u8, number: u16, key: bool) -> Rtp {
    let is_upper = !key && number % 2 == 1;
    let template = if key { 0 } else { 1 + u8::from(is_upper) };
    let [high, low] = number.to_be_bytes();
    let mut descriptor = vec![0b1100_0000 | template, high, low];
    if key {
        descriptor.extend(two_temporal_layers());
    }
    let mut packet = Rtp::video(layer, number, key);
    // A descriptor of one byte, and the first one of a VP8 frame.
    packet.payload = vec![0x10, u8::from(!key), layer];
    packet.extensions.push((DESCRIPTOR_IDS.0, descriptor));
    packet
}

/// A structure of two decode targets, which a chain protects: a key picture, the base, and what refers to it.
fn two_temporal_layers() -> Vec<u8> {
    const FIELDS: &[&str] = &[
        "10000", // a structure and nothing else
        "000000", "00001", // template ids from 0, two decode targets
        "00", "01", "11", // T0, T0, T1
        "1010", "1010", "0001", // SS, SS, -D
        "0", "100010", "100000", // frame differences: none; 2; 1
        "10",     // one chain, for both targets
        "0000", "0010", "0001", // chain differences: none; 2; 1
        "0",    // no resolutions
    ];
    bits(FIELDS)
}

/// The frame numbers that descriptors tell.
fn frames(packets: &[Rtp]) -> Vec<u16> {
    let number = |packet: &Rtp| {
        let descriptor = packet.extension(DESCRIPTOR_IDS.1)?;
        Some(u16::from_be_bytes([descriptor[1], descriptor[2]]))
    };
    packets.iter().filter_map(number).collect()
}

#[test]
fn temporal_layers_follow_the_wish_with_and_without_descriptors_of_the_subscriber() {
    let mut call = Call::new(0, 0);
    call.send([picture(0, 10, true)]);
    call.send((11..16).map(|number| picture(0, number, false)));
    let (told, plain) = call.media();
    assert_eq!(frames(&told), [10, 12, 14]);
    assert!(frames(&plain).is_empty());
    for (name, packets) in [("told", &told), ("plain", &plain)] {
        let numbers: Vec<u16> = packets.iter().map(|packet| packet.sequence).collect();
        assert_eq!(numbers, [10, 11, 12], "{name}: no holes");
        assert!(packets.iter().all(|packet| packet.payload[0] == 0x10), "{name}: the payload is as it was");
    }
    call.wish(0, 1);
    call.send((16..20).map(|number| picture(0, number, false)));
    let (told, plain) = call.media();
    assert_eq!(
        (frames(&told), plain.len()),
        ([16, 17, 18, 19].to_vec(), 4),
        "the upper one from a switch on"
    );
    call.world.assert_accounted();
}

#[test]
fn layers_of_either_kind_take_over_from_each_other() {
    let mut call = Call::new(0, 1);
    call.send([picture(0, 100, true), picture(0, 101, false)]);
    call.wish(1, 1);
    call.send([picture(1, 7_000, true), picture(1, 7_001, false)]);
    let (told, _) = call.media();
    assert_eq!(frames(&told), [100, 101, 102, 103], "frame numbers go on across layers");
    call.wish(2, 1);
    call.send([Rtp::video(2, 20, true), Rtp::video(2, 21, false)]);
    let (told, plain) = call.media();
    assert!(frames(&told).is_empty(), "VP8 that tells of itself goes by that");
    assert_eq!((told.len(), plain.len()), (2, 2));
    assert!(told.iter().all(|packet| packet.payload[0] & 0x80 != 0));
    call.wish(0, 1);
    call.send([picture(0, 102, true), picture(0, 103, false)]);
    let (told, plain) = call.media();
    assert_eq!(frames(&told), [104, 105], "and go on behind it");
    assert_eq!(plain.last().unwrap().sequence, 107);
    assert!(call.world.counter("pictures_given_up") == 0);
    call.world.assert_accounted();
}

#[test]
fn packets_are_sent_again_with_their_descriptor() {
    let mut call = Call::new(0, 0);
    call.send([picture(0, 10, true), picture(0, 11, false), picture(0, 12, false)]);
    let (sent, _) = call.media();
    call.world.pass(200);
    let last = Seq16(sent[1].sequence);
    for client in [&mut call.subscriber, &mut call.plain] {
        call.world.send_rtcp(client, |builder| builder.nack(Ssrc(1), Ssrc(80), [last]).map(|_| ()));
    }
    let (told, plain) = call.media();
    assert_eq!((told.len(), plain.len()), (1, 1));
    assert_eq!(frames(&told), [12]);
    assert_eq!(told[0].payload[2..], sent[1].payload, "behind the number that it had");
}

#[test]
fn stream_ends_in_black_pictures_with_bare_descriptors() {
    let mut call = Call::new(0, 0);
    call.send([picture(0, 10, true)]);
    call.media();
    call.world.must(Command::DeleteSubscription(SubscriptionId(2)));
    let mut black = Vec::new();
    for _ in 0..100 {
        call.world.pass(5);
        black.extend(call.media().0);
    }
    assert_eq!(black.len(), 6);
    for (number, packet) in (11..).zip(&black) {
        assert_eq!(packet.sequence, number);
        let descriptor = Descriptor::parse(&packet.payload).unwrap();
        assert!(descriptor.is_bare() && descriptor.key_frame);
        assert_eq!(packet.extension(DESCRIPTOR_IDS.1), None);
    }
}
