//! Property: a subscriber on another worker gets what it would get on the publisher's, packet by packet.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;
use units::rtp::{PayloadType, Ssrc};
use units::sequence::Seq16;
use units::time::NtpTime;
use wire::rtcp::report::SenderInfo;

use super::workers::{HOME, OTHER, Workers};
use crate::command::{Codec, Command, ExtensionKind, PayloadCodec, PayloadMapping};
use crate::tests::client::{Client, Rtp};
use crate::tests::specs::{AUDIO_PT, audio_spec, peer_spec, simulcast_spec, subscription_spec};

#[derive(Clone, Debug)]
enum Act {
    /// A picture of each layer whose bit is set; one bit more each for key frames and for what is lost.
    Picture {
        layers: u8,
        keys: u8,
        lost: u8,
        temporal: u8,
    },
    /// Audio as RED or as Opus.
    Audio {
        red: bool,
        lost: bool,
    },
    Want {
        layer_max: u8,
        temporal_max: u8,
        paused: bool,
    },
    Mute {
        muted: bool,
    },
    /// The packet that was lost last comes after all.
    Late,
    Report,
    Nack {
        back: u16,
    },
    Pass {
        ms: u64,
    },
}

fn act() -> impl Strategy<Value = Act> {
    let bits = || 0_u8..8;
    prop_oneof![
        12 => (bits(), bits(), bits(), bits(), 0_u8..3).prop_map(|(layers, keys, more_keys, lost, temporal)| {
            Act::Picture { layers, keys: keys & more_keys, lost: lost & keys, temporal }
        }),
        6 => (any::<bool>(), prop::bool::weighted(0.2)).prop_map(|(red, lost)| Act::Audio { red, lost }),
        2 => (0_u8..4, 0_u8..3, prop::bool::weighted(0.2))
            .prop_map(|(layer_max, temporal_max, paused)| Act::Want { layer_max, temporal_max, paused }),
        1 => any::<bool>().prop_map(|muted| Act::Mute { muted }),
        3 => Just(Act::Late),
        1 => Just(Act::Report),
        2 => (0_u16..20).prop_map(|back| Act::Nack { back }),
        2 => (1_u64..1_500).prop_map(|ms| Act::Pass { ms }),
    ]
}

/// A publisher on the first worker and a subscriber on one of them.
struct Side {
    workers: Workers,
    publisher: Client,
    subscriber: Client,
    /// Where it is.
    at: usize,
    pictures: [u16; 3],
    audio: u16,
    muted: bool,
    last_video: u16,
    /// Of each stream, where its numbers begin.
    origins: BTreeMap<u32, (u16, u32)>,
    video_origin: Option<u16>,
    lost: Option<Vec<u8>>,
}

/// A packet apart from what is drawn at random.
type Told = (u32, PayloadType, u16, u32, bool, Vec<(u8, Vec<u8>)>, Vec<u8>);

impl Side {
    fn new(at: usize) -> Self {
        let mut workers = Workers::new(2);
        let mut spec = peer_spec(1, 1);
        spec.receive_extensions
            .0
            .extend([(11, ExtensionKind::AbsCaptureTime), (12, ExtensionKind::VideoOrientation)]);
        workers.worlds[HOME].must(Command::UpsertPeer(spec.into()));
        let publisher = workers.worlds[HOME].connect(1);
        let mut spec = peer_spec(2, 1);
        spec.send_extensions
            .0
            .extend([(13, ExtensionKind::AbsCaptureTime), (14, ExtensionKind::VideoOrientation)]);
        spec.send_extensions.0.retain(|(_, kind)| *kind != ExtensionKind::AbsSendTime);
        workers.worlds[at].must(Command::UpsertPeer(spec.into()));
        let subscriber = workers.worlds[at].connect(2);
        let mut side = Self {
            workers,
            publisher,
            subscriber,
            at,
            pictures: [1; 3],
            audio: 1,
            muted: false,
            last_video: 0,
            origins: BTreeMap::new(),
            video_origin: None,
            lost: None,
        };
        side.publish();
        let mut audio = subscription_spec(1, 2, 1, 70);
        audio.payloads = [(AUDIO_PT, None), (RED_PT, None)]
            .map(|(from, red)| PayloadMapping { from, to: PayloadType(63), rtx: None, red })
            .into();
        side.workers.worlds[at].must(Command::UpsertSubscription(audio.into()));
        side.want(2, 2, false);
        // Somebody who does not come yet would take any layer, so that all of them cross: which of them do is not the
        // claim here.
        side.workers.worlds[at].must(Command::UpsertPeer(peer_spec(3, 1).into()));
        side.workers.worlds[at].must(Command::UpsertSubscription(subscription_spec(3, 3, 2, 90).into()));
        side.workers.pass(10);
        side
    }

    fn publish(&mut self) {
        let mut audio = audio_spec(1, 1);
        let opus = audio.codecs[0];
        audio.codecs.push(PayloadCodec { payload_type: RED_PT, codec: Codec::Red, ..opus });
        let mut video = simulcast_spec(2, 1);
        (audio.muted, video.muted) = (self.muted, self.muted);
        self.workers.publish(&audio);
        self.workers.publish(&video);
    }

    fn want(&mut self, layer_max: u8, temporal_layer_max: u8, paused: bool) {
        let mut spec = subscription_spec(2, 2, 2, 80);
        spec.rtx_ssrc = Some(Ssrc(81));
        (spec.layer_max, spec.temporal_layer_max, spec.paused) = (layer_max, temporal_layer_max, paused);
        self.workers.worlds[self.at].must(Command::UpsertSubscription(spec.into()));
    }

    fn send(&mut self, packet: &Rtp, lost: bool) {
        let datagram = self.publisher.seal(packet);
        if lost {
            self.lost = Some(datagram);
        } else {
            self.arrive(datagram);
        }
    }

    fn arrive(&mut self, datagram: Vec<u8>) {
        let path = self.publisher.path;
        self.workers.worlds[HOME].receive(path, datagram);
        self.workers.deliver();
    }

    /// What comes of it at the subscriber.
    fn act(&mut self, act: &Act) -> Vec<Told> {
        match *act {
            Act::Picture { layers, keys, lost, temporal } => {
                for layer in crate::relay::layers(layers) {
                    let bit = crate::relay::bit(layer);
                    let sequence = &mut self.pictures[usize::from(layer)];
                    let is_key = keys & bit != 0;
                    let mut packet =
                        Rtp::video_of(layer, *sequence, is_key, if is_key { 0 } else { temporal });
                    *sequence += 1;
                    packet.extensions.push((11, vec![0, 0, 0, 9, 0, 0, 0, low(*sequence)]));
                    packet.extensions.push((12, vec![layer]));
                    self.send(&packet, lost & bit != 0);
                }
            }
            Act::Audio { red, lost } => {
                let mut packet = Rtp::audio(self.audio);
                packet.extensions.push((4, vec![0x80 | low(self.audio) & 0x3f]));
                packet.payload = vec![low(self.audio); 5];
                if red {
                    let before = [self.audio.wrapping_sub(2), self.audio.wrapping_sub(1)];
                    packet.payload_type = RED_PT;
                    packet.payload = redundant(before, self.audio);
                }
                self.audio += 1;
                self.send(&packet, lost);
            }
            Act::Late => {
                if let Some(datagram) = self.lost.take() {
                    self.arrive(datagram);
                }
            }
            Act::Want { layer_max, temporal_max, paused } => self.want(layer_max, temporal_max, paused),
            Act::Mute { muted } => {
                self.muted = muted;
                self.publish();
            }
            Act::Report => {
                for (ssrc, rate) in [(1_000, 48), (2_000, 90), (2_001, 90), (2_002, 90)] {
                    let ms = self.workers.worlds[HOME].now.0 / 1_000_000;
                    let info = SenderInfo {
                        ssrc: Ssrc(ssrc),
                        ntp: NtpTime(ms << 32),
                        rtp_timestamp: u32::try_from(ms).unwrap() * rate,
                        packet_count: 1,
                        octet_count: 1,
                    };
                    let home = &mut self.workers.worlds[HOME];
                    home.send_rtcp(&mut self.publisher, |builder| {
                        builder.sender_report(&info, &[]).map(|_| ())
                    });
                }
            }
            Act::Nack { back } => {
                let missing = [Seq16(self.last_video.wrapping_sub(back))];
                let world = &mut self.workers.worlds[self.at];
                world.send_rtcp(&mut self.subscriber, |builder| {
                    builder.nack(Ssrc(1), Ssrc(80), missing).map(|_| ())
                });
            }
            Act::Pass { ms } => self.workers.pass(ms),
        }
        self.workers.pass(10);
        let received = self.workers.worlds[self.at].media(&mut self.subscriber);
        received.into_iter().map(|packet| self.told(packet)).collect()
    }

    fn told(&mut self, mut packet: Rtp) -> Told {
        let ssrc = packet.ssrc.0;
        let origin = *self.origins.entry(ssrc).or_insert((packet.sequence, packet.timestamp));
        let video = *self.video_origin.get_or_insert(origin.0);
        if ssrc == 80 {
            self.video_origin = self.origins.get(&80).map(|origin| origin.0);
            self.last_video = packet.sequence;
        }
        if ssrc == 81 {
            let video = self.origins.get(&80).map_or(video, |origin| origin.0);
            let original = u16::from_be_bytes([packet.payload[0], packet.payload[1]]);
            packet.payload[..2].copy_from_slice(&original.wrapping_sub(video).to_be_bytes());
        }
        (
            ssrc,
            packet.payload_type,
            packet.sequence.wrapping_sub(origin.0),
            packet.timestamp.wrapping_sub(origin.1),
            packet.marker,
            packet.extensions,
            packet.payload,
        )
    }
}

/// Two blocks of 20 ms each, and a primary one.
fn redundant(before: [u16; 2], own: u16) -> Vec<u8> {
    let block = |offset: u16| [0x80 | AUDIO_PT.0, low(offset >> 6), low(offset << 2), 5];
    let heads = [block(1_920), block(960)].concat();
    let bodies = [before[0], before[1], own].map(|number| [low(number); 5]).concat();
    [heads, vec![AUDIO_PT.0], bodies].concat()
}

const fn low(number: u16) -> u8 {
    number.to_be_bytes()[1]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn subscriber_on_another_worker_gets_what_it_would_get_at_home(acts in prop::collection::vec(act(), 1..120)) {
        let (mut home, mut other) = (Side::new(HOME), Side::new(OTHER));
        for (index, act) in acts.iter().enumerate() {
            prop_assert_eq!(other.act(act), home.act(act), "{}: {:?}", index, act);
        }
        home.workers.assert_accounted();
        other.workers.assert_accounted();
    }
}

const RED_PT: PayloadType = PayloadType(63);
