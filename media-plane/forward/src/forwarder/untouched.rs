//! That a packet which is refused leaves no trace in what later packets depend on.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use core::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use units::rtp::Ssrc;
use units::sequence::Seq;
use units::time::Instant;
use wire::picture_id::PictureId;
use wire::vp8::{Descriptor, Temporal};

use crate::discard::Reason;
use crate::facts::{Class, Facts};
use crate::forwarder::Forwarder;

/// A packet by what it differs in from the newest one.
#[derive(Clone, Copy, Debug)]
struct Step {
    sequence: i64,
    picture: i64,
    temporal: Option<u8>,
    synced: bool,
    starts: bool,
    marker: bool,
    key_frame: bool,
    /// Of 16: none, without descriptor, of another source, or sound.
    kind: u8,
}

fn step() -> impl Strategy<Value = Step> {
    let small = || prop_oneof![4 => Just(1_i64), 2 => -3_i64..4, 1 => -1_100_i64..200];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), prop::bool::weighted(0.1));
    (small(), small(), prop::option::weighted(0.9, 0_u8..3), flags, 0_u8..16).prop_map(
        |(sequence, picture, temporal, (synced, starts, marker, key_frame), kind)| Step {
            sequence,
            picture,
            temporal,
            synced,
            starts,
            marker,
            key_frame,
            kind,
        },
    )
}

fn facts(sequence: u64, picture: i64, step: Step) -> Facts {
    let [.., high, low] = picture.to_be_bytes();
    let descriptor = Descriptor {
        len: 6,
        non_reference: false,
        start_of_partition: step.starts || step.key_frame,
        partition: 0,
        picture_id: Some(PictureId::shortest(u16::from_be_bytes([high, low]))),
        tl0_picture_index: Some(low),
        temporal: step.temporal.map(|id| Temporal { id, sync: step.synced }),
        key_index: Some(0),
        key_frame: step.key_frame,
        dimensions: None,
    };
    Facts {
        source: Ssrc(if step.kind == 2 { 2 } else { 1 }),
        sequence: Seq(sequence),
        out_of_order: step.sequence < 0,
        timestamp: low.into(),
        marker: step.marker,
        payload_len: if step.kind == 0 { 0 } else { 10 },
        key_frame: step.key_frame && step.kind > 1,
        vp8: (step.kind > 1).then_some(descriptor),
        ..crate::forwarder::tests::audio(sequence)
    }
}

/// What decides over later packets. Which layers are alive is learnt from every packet, and is not part of it.
fn state(forwarder: &Forwarder) -> String {
    format!("{:?} {:?} {:?}", forwarder.stream, forwarder.vp8, forwarder.resume)
}

/// These are closed up on purpose, each in its own way; but not what is late.
fn is_planned(reason: Reason, facts: &Facts) -> bool {
    matches!(reason, Reason::Temporal | Reason::Padding | Reason::Malformed) && !facts.out_of_order
}

#[test]
fn refused_packet_leaves_no_trace() {
    let refused = RefCell::new(BTreeSet::new());
    TestRunner::deterministic()
        .run(&prop::collection::vec(step(), 1..120), |steps| play(&steps, &mut refused.borrow_mut()))
        .unwrap();
    for reason in [
        Reason::Duplicate,
        Reason::TooLate,
        Reason::Closed,
        Reason::UnknownPicture,
        Reason::AwaitingKeyFrame,
        Reason::Malformed,
    ] {
        assert!(refused.borrow().contains(&reason), "{reason:?} was among them");
    }
}

fn play(steps: &[Step], refused: &mut BTreeSet<Reason>) -> Result<(), TestCaseError> {
    let mut forwarder = Forwarder::new(Class::Vp8, 90_000);
    forwarder.set_target(Some(0), 1);
    let (mut sequence, mut picture) = (65_500_u64, 32_760_i64);
    prop_assert!(forwarder.forward(Instant(0), &facts(sequence, picture, START)).is_ok());
    for step in steps {
        let facts = facts(sequence.saturating_add_signed(step.sequence), picture + step.picture, *step);
        let before = state(&forwarder);
        match forwarder.forward(Instant(0), &facts) {
            Err(reason) if !is_planned(reason, &facts) => {
                prop_assert_eq!(state(&forwarder), before, "{:?} of {:?}", reason, facts);
                refused.insert(reason);
            }
            _ if facts.source == Ssrc(1) => {
                sequence = sequence.max(facts.sequence.0);
                picture = picture.max(picture + step.picture);
            }
            _ => {}
        }
    }
    Ok(())
}

/// The first packet of a key frame.
const START: Step = Step {
    sequence: 1,
    picture: 1,
    temporal: Some(0),
    synced: false,
    starts: true,
    marker: false,
    key_frame: true,
    kind: 9,
};
