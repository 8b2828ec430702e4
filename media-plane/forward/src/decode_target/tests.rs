//! Frames of two spatial and two temporal layers, one packet each unless a row says otherwise.

use wire::av1::dependency::CHAINS_MAX;
use wire::av1::dependency::structure::{DecodeTarget, Differences};

use alloc::vec::Vec;

use super::*;
use crate::dependency::Targets;
use Indication::{Discardable as D, NotPresent as N, Required as R, Switch as S};

const START: Instant = Instant(0);
/// S0T0, S0T1, S1T0 and S1T1, two chains: one of S0T0, one of all T0.
const TARGETS: [DecodeTarget; 4] = [target(0, 0, 0), target(0, 1, 0), target(1, 0, 1), target(1, 1, 1)];
const ALL: Limits = Limits { spatial: 3, temporal: 7 };
const LOW: Limits = Limits { spatial: 0, temporal: 7 };

const fn target(spatial: u8, temporal: u8, chain: u8) -> DecodeTarget {
    DecodeTarget { spatial, temporal, chain }
}

fn frame(
    number: u64,
    spatial: u8,
    indications: [Indication; 4],
    refers_back: &[u16],
    chains: [u8; 2],
) -> Dependency {
    let mut differences = Differences::default();
    refers_back.iter().for_each(|difference| differences.push(*difference).unwrap());
    let mut chain_differences = [0; CHAINS_MAX];
    chain_differences[..2].copy_from_slice(&chains);
    let known = Known {
        spatial,
        temporal: 0,
        indications: indications.into_iter().collect(),
        differences,
        chain_differences,
        structure: 1,
        targets: Targets::new(&TARGETS, true),
        active: 0b1111,
        tells_active: false,
        brings_structure: false,
    };
    Dependency { frame: Seq(number), end_of_frame: true, known: Some(known) }
}

fn with(mut packet: Dependency, change: impl FnOnce(&mut Known)) -> Dependency {
    change(packet.known.as_mut().unwrap());
    packet
}

/// A key picture of both layers: frames 100 and 101.
fn key(number: u64) -> [Dependency; 2] {
    let lower = with(frame(number, 0, [S; 4], &[], [0, 0]), |known| known.brings_structure = true);
    [lower, frame(number + 1, 1, [N, N, S, S], &[1], [1, 1])]
}

/// A picture of the base temporal layer that follows on one at `number - 2`, spatial layers depending on each other.
fn delta(number: u64) -> [Dependency; 2] {
    [frame(number, 0, [S, S, R, R], &[2], [2, 1]), frame(number + 1, 1, [N, N, S, S], &[2, 1], [1, 1])]
}

/// As [`delta`], with spatial layers that depend on each other in key pictures only.
fn alone(number: u64) -> [Dependency; 2] {
    [frame(number, 0, [S, S, N, N], &[2], [2, 1]), frame(number + 1, 1, [N, N, S, S], &[2], [1, 2])]
}

/// What went out of each: the frame number and whether it ended the picture.
fn play(
    targets: &mut DecodeTargets,
    packets: impl IntoIterator<Item = Dependency>,
) -> Vec<Result<(u16, bool), Reason>> {
    packets.into_iter().map(|packet| pass(targets, START, &packet, Order::Contiguous)).collect()
}

fn pass(
    targets: &mut DecodeTargets,
    now: Instant,
    packet: &Dependency,
    order: Order,
) -> Result<(u16, bool), Reason> {
    let key_frame = packet.known.is_some_and(|known| known.brings_structure);
    match targets.pass(now, packet, key_frame, order)? {
        Pass::Send { descriptor, ends_picture } => Ok((descriptor.unwrap().frame_number, ends_picture)),
        Pass::Empty => Ok((0, false)),
        Pass::Drop(reason) | Pass::DropWithGap(reason) => Err(reason),
    }
}

fn started(limits: Limits) -> DecodeTargets {
    let mut targets = DecodeTargets::new(limits, FrameNumbers::default());
    targets.switch(Seq(100));
    play(&mut targets, key(100)).into_iter().for_each(|sent| assert!(sent.is_ok() || limits.spatial == 0));
    targets
}

const OTHER: Result<(u16, bool), Reason> = Err(Reason::OtherTarget);
const UNDECODABLE: Result<(u16, bool), Reason> = Err(Reason::Undecodable);

#[test]
fn frames_of_the_target_pass_and_keep_their_numbers() {
    let mut targets = DecodeTargets::new(ALL, FrameNumbers::default());
    targets.switch(Seq(100));
    let sent = play(&mut targets, key(100).into_iter().chain(delta(102)));
    assert_eq!(sent, [Ok((100, false)), Ok((101, true)), Ok((102, false)), Ok((103, true))]);
    let mut targets = DecodeTargets::new(LOW, FrameNumbers::default());
    targets.switch(Seq(100));
    let sent = play(&mut targets, key(100).into_iter().chain(delta(102)));
    assert_eq!(sent, [Ok((100, true)), OTHER, Ok((102, true)), OTHER], "no number is closed up");
    targets.switch(Seq(9_000));
    let sent = play(&mut targets, key(9_000));
    assert_eq!(sent, [Ok((103, true)), OTHER], "another source goes on");
}

#[test]
fn lower_target_begins_where_it_is_decodable() {
    for (name, next, down, needs_key_frame) in [
        ("layers that depend on each other", delta as fn(u64) -> _, [Ok((102, true)), OTHER], false),
        (
            "layers that do so in key pictures only: the base was dropped before",
            alone,
            [OTHER, Ok((105, true))],
            true,
        ),
    ] {
        let mut targets = started(ALL);
        if needs_key_frame {
            assert_eq!(play(&mut targets, next(102)), [OTHER, Ok((103, true))], "{name}");
        }
        targets.set_limits(LOW);
        let number = if needs_key_frame { 104 } else { 102 };
        assert_eq!(play(&mut targets, next(number)), down, "{name}");
        assert_eq!(targets.needs_key_frame(), needs_key_frame, "{name}");
        assert_eq!(play(&mut targets, key(106)), [Ok((106, true)), OTHER], "{name}: a key frame");
        assert!(!targets.needs_key_frame(), "{name}");
    }
}

#[test]
fn higher_spatial_layer_waits_for_a_key_frame() {
    let mut targets = started(LOW);
    assert_eq!(play(&mut targets, delta(102)), [Ok((102, true)), OTHER]);
    targets.set_limits(ALL);
    assert!(!targets.needs_key_frame(), "it may yet be possible");
    assert_eq!(play(&mut targets, delta(104)), [Ok((104, true)), OTHER]);
    assert!(targets.needs_key_frame(), "S1 refers to an S1 that was dropped");
    assert_eq!(play(&mut targets, key(106)), [Ok((106, false)), Ok((107, true))]);
    assert!(!targets.needs_key_frame());
}

#[test]
fn decodable_frame_with_a_switch_indication_leads_up_whatever_its_chain_lost() {
    // The appendix's own L2T1 (A.6.2.2): S0 with a Switch indication for both targets, the chain's S1 was dropped.
    let mut targets = started(LOW);
    targets.set_limits(ALL);
    let switch = frame(102, 0, [S; 4], &[2], [2, 1]);
    let above = frame(103, 1, [N, N, S, S], &[1], [1, 1]);
    assert_eq!(play(&mut targets, [switch, above]), [Ok((102, false)), Ok((103, true))]);
    assert_eq!(play(&mut targets, delta(104)), [Ok((104, false)), Ok((105, true))]);
}

#[test]
fn temporal_layer_goes_and_comes_without_a_key_frame() {
    let mut targets = started(Limits { spatial: 0, temporal: 0 });
    let enhanced = |number, back: u8| frame(number, 0, [N, D, N, R], &[back.into()], [back, 1]);
    assert_eq!(play(&mut targets, [enhanced(102, 2)]), [OTHER]);
    targets.set_limits(LOW);
    assert_eq!(play(&mut targets, [enhanced(103, 3)]), [OTHER], "not in the middle");
    let base = frame(104, 0, [S, S, R, R], &[4], [4, 3]);
    assert_eq!(play(&mut targets, [base, enhanced(106, 2)]), [Ok((104, true)), Ok((106, true))]);
    assert!(!targets.needs_key_frame());
}

#[test]
fn missing_frame_is_waited_for_and_its_late_packets_have_its_fate() {
    let mut targets = started(ALL);
    // 102 is missing; 103 needs it, and goes on as it may yet be repaired.
    let [base, above] = delta(102);
    assert_eq!(pass(&mut targets, START, &above, Order::Gap), Ok((103, true)));
    assert!(!targets.needs_key_frame());
    for (name, packet, expected) in [
        ("late", base, Ok((102, false))),
        ("again", base, Ok((102, false))),
        ("of the newest", above, Ok((103, true))),
        ("before the start", frame(99, 0, [S; 4], &[], [0, 0]), Ok((0, false))),
        ("new, as nothing but padding came behind it", delta(104)[0], Ok((104, false))),
    ] {
        assert_eq!(pass(&mut targets, START, &packet, Order::Late), expected, "{name}");
    }
    play(&mut targets, (0..200).flat_map(|picture| delta(104 + picture * 2)));
    assert_eq!(pass(&mut targets, START, &base, Order::Late), Err(Reason::UnknownPicture), "forgotten");
}

#[test]
fn chain_that_is_not_repaired_in_time_is_broken_until_a_key_frame() {
    let late = Instant(REPAIRED_WITHIN.as_nanos().try_into().unwrap());
    let later = Instant(late.0 + 1);
    let mut targets = started(ALL);
    assert_eq!(pass(&mut targets, START, &delta(102)[1], Order::Gap), Ok((103, true)));
    let [base, above] = delta(104);
    assert_eq!(pass(&mut targets, late, &base, Order::Contiguous), Ok((104, false)), "in time");
    assert_eq!(pass(&mut targets, later, &above, Order::Contiguous), UNDECODABLE, "given up");
    assert!(targets.needs_key_frame());
    assert_eq!(pass(&mut targets, later, &delta(106)[0], Order::Contiguous), UNDECODABLE);
    assert_eq!(pass(&mut targets, later, &delta(102)[0], Order::Late), Ok((0, false)), "too late to help");
    assert_eq!(play(&mut targets, key(108)), [Ok((108, false)), Ok((109, true))]);
    assert!(!targets.needs_key_frame());
}

#[test]
fn lower_target_whose_chain_is_whole_takes_over_from_a_broken_one() {
    let mut targets = started(ALL);
    // 103, which only the upper layer needs, goes missing and is given up.
    let after = |ms: u64| Instant(ms * 1_000_000);
    assert_eq!(pass(&mut targets, after(0), &delta(102)[0], Order::Contiguous), Ok((102, false)));
    let [base, above] = delta(104);
    assert_eq!(pass(&mut targets, after(40), &base, Order::Gap), Ok((104, false)));
    assert_eq!(pass(&mut targets, after(40), &above, Order::Contiguous), Ok((105, true)));
    let given_up = pass(&mut targets, after(600), &delta(106)[0], Order::Contiguous);
    assert_eq!(given_up, UNDECODABLE, "all since then counts as lost");
    assert!(targets.needs_key_frame());
    let base = frame(108, 0, [S, S, R, R], &[6], [6, 1]);
    assert_eq!(
        pass(&mut targets, after(640), &base, Order::Contiguous),
        Ok((108, true)),
        "from 102, which is whole"
    );
    assert!(targets.needs_key_frame(), "the upper layer is still wanted");
}

#[test]
fn frames_of_an_unknown_structure_are_forwarded_until_it_comes_late() {
    let mut targets = started(LOW);
    let opaque = |number| Dependency { frame: Seq(number), end_of_frame: true, known: None };
    assert_eq!(pass(&mut targets, START, &opaque(103), Order::Gap), Ok((103, false)));
    assert!(targets.needs_key_frame());
    let [lower, _] = key(102);
    let lower = with(lower, |known| known.structure = 2);
    assert_eq!(pass(&mut targets, START, &lower, Order::Late), Ok((102, true)));
    let next = delta(104).map(|packet| with(packet, |known| known.structure = 2));
    assert_eq!(play(&mut targets, next), [Ok((104, true)), OTHER]);
    assert!(!targets.needs_key_frame());
}

#[test]
fn active_decode_targets_are_told_where_they_change() {
    let told = |targets: &mut DecodeTargets, packet: &Dependency, key_frame| match targets
        .pass(START, packet, key_frame, Order::Contiguous)
        .unwrap()
    {
        Pass::Send { descriptor, .. } => descriptor.unwrap().active.map(|active| active.bitmask),
        other => panic!("{other:?}"),
    };
    let mut all = DecodeTargets::new(ALL, FrameNumbers::default());
    assert_eq!(told(&mut all, &key(100)[0], true), None, "a structure says that all are");
    let mut low = DecodeTargets::new(LOW, FrameNumbers::default());
    assert_eq!(told(&mut low, &key(100)[0], true), Some(0b0011), "a structure would say that all are");
    let mut all = started(ALL);
    assert_eq!(told(&mut all, &delta(102)[0], false), None);
    all.set_limits(LOW);
    let [base, _] = delta(104);
    assert_eq!(told(&mut all, &base, false), Some(0b0011), "another target");
    assert_eq!(told(&mut all, &base, false), Some(0b0011), "in all packets of its frame");
    assert_eq!(told(&mut all, &delta(106)[0], false), None, "it was told");
    let fewer = with(delta(108)[0], |known| (known.active, known.tells_active) = (0b0001, true));
    assert_eq!(told(&mut all, &fewer, false), Some(0b0001), "the publisher sends less");
}

#[test]
fn gap_within_a_dropped_frame_is_closed_up() {
    let mut targets = started(LOW);
    let [_, above] = delta(102);
    let first = targets.pass(START, &above, false, Order::Contiguous);
    assert_eq!(first, Ok(Pass::Drop(Reason::OtherTarget)));
    let second = targets.pass(START, &above, false, Order::Gap);
    assert_eq!(second, Ok(Pass::DropWithGap(Reason::OtherTarget)));
    let another = targets.pass(START, &delta(104)[1], false, Order::Gap);
    assert_eq!(another, Ok(Pass::Drop(Reason::OtherTarget)), "104 may be in the gap");
}

#[test]
fn numbers_that_fall_back_begin_anew_with_a_key_frame() {
    let mut targets = started(ALL);
    play(&mut targets, delta(102));
    assert_eq!(play(&mut targets, delta(60)), [UNDECODABLE; 2]);
    let sent = play(&mut targets, key(50));
    assert_eq!(sent, [Ok((104, false)), Ok((105, true))], "and go on");
}

#[test]
fn best_target_is_the_highest_within_the_limits() {
    let targets = Targets::new(&TARGETS, true);
    for (name, spatial, temporal, active, expected) in [
        ("all", 3, 7, 0b1111, Some(3)),
        ("spatial counts before temporal", 1, 0, 0b1111, Some(2)),
        ("temporal limit", 0, 0, 0b1111, Some(0)),
        ("not sent", 3, 7, 0b0111, Some(2)),
        ("all that is sent is above: the lowest", 0, 0, 0b1110, Some(1)),
        ("nothing is sent", 3, 7, 0, None),
    ] {
        assert_eq!(targets.best(Limits { spatial, temporal }, active, |_| true), expected, "{name}");
    }
    assert_eq!([0, 1, 2, 3].map(|it| targets.within(it, 0b1111)), [0b0001, 0b0011, 0b0101, 0b1111]);
}
