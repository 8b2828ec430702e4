//! Layers of one source under any loss, reordering and change of wishes: what is promised of frames and of numbers.

mod camera;
mod model;

use std::collections::{BTreeMap, BTreeSet};

use camera::{Camera, Packet, Structure, Told};
use forward::dependency::{Dependency, Known, Limits, Targets};
use forward::discard::Reason;
use forward::facts::{Class, Facts};
use forward::forwarder::Forwarder;
use forward::rewrite::Rewrite;
use forward::scalable::Scalability;
use model::Model;
use proptest::prelude::*;
use units::rtp::Ssrc;
use units::sequence::Seq;
use units::time::Instant;
use wire::av1::dependency::CHAINS_MAX;
use wire::av1::dependency::structure::{DecodeTarget, Differences, Indication};
use wire::picture_id::PictureId;
use wire::vp9;

const NOW: Instant = Instant(0);

/// What happens to one picture on its way, and with it.
#[derive(Clone, Debug)]
struct Step {
    /// The publisher sends a key picture by itself.
    key: bool,
    packets: u64,
    /// Of each packet: lost, or delayed by so many others.
    fates: Vec<(bool, usize)>,
    limits: Option<(u8, u8)>,
}

fn step(lossy: bool) -> impl Strategy<Value = Step> {
    let lost = if lossy { 0.08 } else { 0.0 };
    let delay = if lossy { prop_oneof![6 => Just(0), 1 => 1..40_usize].boxed() } else { Just(0).boxed() };
    let fate = (proptest::bool::weighted(lost), delay);
    let limits = proptest::option::weighted(0.1, (0..4_u8, 0..4_u8));
    (proptest::bool::weighted(0.03), 1..4_u64, proptest::collection::vec(fate, 9), limits)
        .prop_map(|(key, packets, fates, limits)| Step { key, packets, fates, limits })
}

fn structure() -> impl Strategy<Value = Structure> {
    (1..4_u8, prop_oneof![Just(1_u8), Just(3)], any::<bool>(), any::<bool>()).prop_map(
        |(spatial, temporal, key_only, has_chains)| Structure { spatial, temporal, key_only, has_chains },
    )
}

fn told() -> impl Strategy<Value = Told> {
    prop_oneof![Just(Told::Dependencies), Just(Told::Vp9), Just(Told::BareVp8)]
}

/// A subscriber, and all that it was sent.
struct World {
    forwarder: Forwarder,
    camera: Camera,
    /// The packets that are on their way, with the ones that have to come before them.
    delayed: Vec<(usize, Packet)>,
    highest: u64,
    came: BTreeSet<u64>,
    sent: Vec<(Packet, Rewrite)>,
    /// Frames of which a packet was refused because of its layer, or sent empty.
    dropped: BTreeSet<u64>,
    refused: Vec<(u64, Reason)>,
}

impl World {
    fn new(structure: Structure, told: Told, sequence: u64) -> Self {
        let class = match told {
            Told::Dependencies => Class::Video,
            Told::Vp9 => Class::Vp9,
            Told::BareVp8 => Class::Vp8,
        };
        let mut forwarder = Forwarder::new(class, 90_000);
        forwarder.set_target(Some(0), 0);
        forwarder.set_limits(Limits { spatial: 2, temporal: 2 });
        Self {
            forwarder,
            camera: Camera::new(structure, told, 1, 70_000, sequence),
            delayed: Vec::new(),
            highest: 0,
            came: BTreeSet::new(),
            sent: Vec::new(),
            dropped: BTreeSet::new(),
            refused: Vec::new(),
        }
    }

    fn play(&mut self, step: &Step) {
        if let Some((spatial, temporal)) = step.limits {
            self.forwarder.set_limits(Limits { spatial, temporal });
        }
        let key = step.key || self.forwarder.needs_key_frame().is_some();
        for (packet, (lost, delay)) in self.camera.picture(key, step.packets).into_iter().zip(&step.fates) {
            // Without its first packet there is nothing to talk about.
            let is_first = self.highest == 0;
            if !*lost || is_first {
                self.delayed.push((if is_first { 0 } else { *delay }, packet));
            }
            self.deliver();
        }
    }

    fn deliver(&mut self) {
        let (due, waiting): (Vec<_>, Vec<_>) =
            core::mem::take(&mut self.delayed).into_iter().partition(|(delay, _)| *delay == 0);
        self.delayed = waiting.into_iter().map(|(delay, packet)| (delay - 1, packet)).collect();
        due.into_iter().for_each(|(_, packet)| self.receive(packet));
    }

    fn receive(&mut self, mut packet: Packet) {
        let sequence = packet.facts.sequence.0;
        packet.facts.out_of_order = sequence < self.highest;
        self.highest = self.highest.max(sequence);
        self.came.insert(sequence);
        match self.forwarder.forward_layered(NOW, &packet.facts, &packet.layers) {
            Ok(rewrite) => {
                let is_empty = rewrite.patch.is_some_and(|patch| patch.len == 0);
                if is_empty {
                    self.dropped.insert(packet.frame);
                }
                self.sent.push((packet, rewrite));
            }
            Err(reason) => {
                if matches!(
                    reason,
                    Reason::OtherTarget | Reason::Undecodable | Reason::Temporal | Reason::Spatial
                ) {
                    self.dropped.insert(packet.frame);
                }
                self.refused.push((packet.frame, reason));
            }
        }
    }

    /// Packets that were sent with their payload.
    fn shown(&self) -> impl Iterator<Item = &(Packet, Rewrite)> {
        self.sent.iter().filter(|(_, rewrite)| rewrite.patch.is_none_or(|patch| patch.len > 0))
    }

    fn check(&self, lossy: bool) -> Result<(), TestCaseError> {
        let shown: BTreeSet<u64> = self.shown().map(|(packet, _)| packet.frame).collect();
        for frame in shown.intersection(&self.dropped) {
            prop_assert!(false, "frame {frame} was sent in part: {:?}", self.refused);
        }
        for frame in self.camera.frames.iter().filter(|frame| shown.contains(&frame.number)) {
            for referred in &frame.refers_to {
                prop_assert!(!self.dropped.contains(referred), "{} needs {referred}", frame.number);
            }
        }
        self.check_numbers(lossy)
    }

    fn check_numbers(&self, lossy: bool) -> Result<(), TestCaseError> {
        let mut outgoing = BTreeMap::new();
        for (packet, rewrite) in &self.sent {
            let before = outgoing.insert(rewrite.sequence, packet.facts.sequence);
            prop_assert_eq!(before, None, "no number is given twice");
        }
        for ((low, from), (high, to)) in outgoing.iter().zip(outgoing.iter().skip(1)) {
            prop_assert!(from < to, "the order stays");
            let lost = (from.0 + 1..to.0).filter(|number| !self.came.contains(number)).count() as u64;
            // What came late and was refused leaves its hole, and is as good as lost.
            let late = (from.0 + 1..to.0).filter(|number| self.came.contains(number)).count() as u64;
            let holes = high.0 - low.0 - 1;
            prop_assert!(holes <= lost + if lossy { late } else { 0 }, "a hole is a loss");
        }
        let mut numbers = BTreeMap::new();
        for (packet, rewrite) in self.shown() {
            let Some(descriptor) = rewrite.descriptor else { continue };
            let number = numbers.entry(packet.frame).or_insert(descriptor.frame_number);
            prop_assert_eq!(*number, descriptor.frame_number, "a frame has one number");
        }
        for ((frame, number), (next, next_number)) in numbers.iter().zip(numbers.iter().skip(1)) {
            let step = u64::from(next_number.wrapping_sub(*number));
            prop_assert_eq!(next - frame, step, "differences stay true");
        }
        Ok(())
    }

    /// Without losses, the last packet that is sent of a picture ends it, and no other does.
    fn check_markers(&self) -> Result<(), TestCaseError> {
        let mut pictures: BTreeMap<u32, Vec<bool>> = BTreeMap::new();
        for (packet, rewrite) in self.shown() {
            pictures.entry(packet.facts.timestamp).or_default().push(rewrite.marker);
        }
        for (timestamp, markers) in pictures {
            let (last, others) = markers.split_last().unwrap();
            prop_assert!(*last && !others.contains(&true), "{timestamp}: {markers:?}");
        }
        Ok(())
    }
}

/// What a descriptor may say, sound or not.
fn garbage() -> impl Strategy<Value = Packet> {
    let vp9 = (any::<[bool; 7]>(), 0..8_u8, 0..8_u8, proptest::option::of(any::<u16>()), any::<Option<u8>>());
    let vp9 = vp9.prop_map(|(flags, spatial, temporal, picture, index)| vp9::Descriptor {
        len: 5,
        picture_id: picture.map(PictureId::shortest),
        inter_picture_predicted: flags[0],
        flexible: flags[1],
        start_of_frame: flags[2],
        end_of_frame: flags[3],
        not_for_inter_layer: flags[4],
        layer: flags[5].then_some(vp9::Layer {
            temporal,
            switching_up: flags[6],
            spatial,
            inter_layer_dependent: false,
        }),
        tl0_picture_index: index,
        structure: None,
    });
    let target = (0..4_u8, 0..8_u8, 0..32_u8).prop_map(|(spatial, temporal, chain)| DecodeTarget {
        spatial,
        temporal,
        chain,
    });
    let indication = prop_oneof![
        Just(Indication::NotPresent),
        Just(Indication::Discardable),
        Just(Indication::Switch),
        Just(Indication::Required)
    ];
    let known = (
        (proptest::collection::vec(target, 1..=32), any::<[bool; 3]>(), any::<u32>(), 0..3_u32, 0..4_u8),
        (proptest::collection::vec(indication, 32), any::<[u8; CHAINS_MAX]>()),
        proptest::collection::vec(1..4_097_u16, 0..8),
    );
    let known =
        known.prop_map(|((targets, flags, active, structure, spatial), (indications, chains), back)| {
            let mut differences = Differences::default();
            back.iter().for_each(|difference| differences.push(*difference).unwrap());
            Known {
                spatial,
                temporal: spatial,
                indications: indications.into_iter().collect(),
                differences,
                chain_differences: chains,
                structure,
                targets: Targets::new(&targets, flags[0]),
                active,
                tells_active: flags[1],
                brings_structure: flags[2],
            }
        });
    let frame = prop_oneof![65_000..66_500_u64, 0..(1_u64 << 40)];
    let dependency = (frame, any::<bool>(), proptest::option::of(known))
        .prop_map(|(frame, end_of_frame, known)| Dependency { frame: Seq(frame), end_of_frame, known });
    let layers = (proptest::option::of(vp9), proptest::option::of(dependency));
    (layers, 0..400_u64, any::<[bool; 2]>(), 0..3_u8).prop_map(
        |((vp9, dependency), sequence, [marker, key_frame], payload)| {
            let facts = Facts {
                source: Ssrc(1),
                layer: 0,
                sequence: Seq(70_000 + sequence),
                out_of_order: false,
                timestamp: 0,
                marker,
                payload_len: payload.into(),
                key_frame,
                vp8: None,
                reference: None,
            };
            Packet { frame: 0, facts, layers: Scalability { vp9, dependency } }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn whatever_descriptors_say_no_number_is_sent_twice(
        class in prop_oneof![Just(Class::Vp9), Just(Class::Video)],
        limits in (0..5_u8, 0..8_u8).prop_map(|(spatial, temporal)| (if spatial == 4 { u8::MAX } else { spatial }, temporal)),
        packets in proptest::collection::vec((garbage(), 0..40_u64), 1..100),
    ) {
        let mut forwarder = Forwarder::new(class, 90_000);
        forwarder.set_target(Some(0), 0);
        forwarder.set_limits(Limits { spatial: limits.0, temporal: limits.1 });
        let mut highest = None;
        let mut sent = BTreeSet::new();
        for (packet, ms) in packets {
            let mut facts = packet.facts;
            facts.out_of_order = highest.is_some_and(|highest| facts.sequence < highest);
            highest = highest.max(Some(facts.sequence));
            let now = Instant(ms * 100_000_000);
            if let Ok(rewrite) = forwarder.forward_layered(now, &facts, &packet.layers) {
                prop_assert!(sent.insert(rewrite.sequence));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_frame_needs_a_dropped_one_and_none_is_sent_in_part(
        structure in structure(),
        told in told(),
        sequence in prop_oneof![Just(65_530_u64), 0..40_000_u64],
        steps in proptest::collection::vec(step(true), 1..120),
    ) {
        let mut world = World::new(structure, told, sequence);
        steps.iter().for_each(|step| world.play(step));
        world.check(true)?;
    }

    #[test]
    fn without_losses_there_are_no_holes_and_what_is_wanted_comes(
        structure in structure(),
        told in told(),
        steps in proptest::collection::vec(step(false), 1..60),
        wish in (0..4_u8, 0..4_u8),
    ) {
        let mut world = World::new(structure, told, 1);
        steps.iter().for_each(|step| world.play(step));
        let settling = Step { key: false, packets: 2, fates: vec![(false, 0); 9], limits: None };
        world.play(&Step { limits: Some(wish), ..settling.clone() });
        (0..70).for_each(|_| world.play(&settling));
        world.check(false)?;
        // A spatial layer of VP9 may be added within a picture whose lower one was ended already.
        if told != Told::Vp9 {
            world.check_markers()?;
        }
        let since = world.camera.number(world.camera.frames.len() - usize::from(structure.spatial) * 8);
        let (spatial, temporal) = (wish.0.min(structure.spatial - 1), wish.1.min(structure.temporal - 1));
        for frame in world.camera.frames.iter().filter(|frame| frame.number >= since) {
            let alone = structure.key_only && !frame.key && told != Told::Vp9;
            let in_layer = if alone { frame.spatial == spatial } else { frame.spatial <= spatial };
            let expected = in_layer && frame.temporal <= temporal;
            let shown = world.shown().any(|(packet, _)| packet.frame == frame.number);
            prop_assert_eq!(shown, expected, "{:?} under {:?}", frame, wish);
        }
    }

    /// Some 10^5 packets: a picture has nine at most.
    #[test]
    fn what_passes_is_what_a_slow_model_says_and_keeps_its_distance_in_numbers(
        structure in structure(),
        told in prop_oneof![Just(Told::Dependencies), Just(Told::BareVp8)],
        steps in proptest::collection::vec(step(false), 1..120),
    ) {
        let mut world = World::new(structure, told, 1);
        let mut model = Model::default();
        let mut limits = (2, 2);
        for step in &steps {
            limits = step.limits.unwrap_or(limits);
            let before = world.camera.frames.len();
            world.play(step);
            for frame in &world.camera.frames[before..] {
                model.decide(&world.camera, frame, limits);
            }
            let passed: BTreeSet<u64> = world.shown().map(|(packet, _)| packet.frame).collect();
            prop_assert_eq!(&passed, &model.passed);
        }
        let mut lags = world.shown().map(|(packet, rewrite)| {
            let number = rewrite.descriptor.map(|descriptor| u64::from(descriptor.frame_number));
            number.map(|number| packet.frame.wrapping_sub(number) & 0xffff)
        });
        let first = lags.next();
        prop_assert!(lags.all(|lag| lag.is_some() && Some(lag) == first));
    }
}
