//! What forwarding promises, for any interleaving of loss, bursts, duplication, reordering, wraps, switches and drops.

use proptest::prelude::*;
use reference::run::{Played, Run};

/// 60 worlds of some 1,700 packets each; `scripts/soak packets` plays ten times as many.
#[test]
fn equals_the_reference_model_on_a_hundred_thousand_packets() {
    let mut played = Played::default();
    (0..60).for_each(|seed| played += Run::new(seed).play(320));
    for (name, count, least) in [
        ("packets", played.packets, 100_000),
        ("copies", played.copies, 15_000),
        ("late copies", played.late, 500),
        ("empty copies", played.empty, 20),
        ("filtered", played.filtered, 3_000),
        ("refused", played.refused, 500),
        ("switches", played.switches, 300),
        ("wraps of sequence numbers", played.sequence_wraps, 20),
        ("wraps of picture ids", played.picture_wraps, 10),
        ("packets of our own", played.own, 1_000),
    ] {
        assert!(count >= least, "only {count} {name}: {played:?}");
    }
}

proptest! {
    #[test]
    fn promises_hold_in_any_world(seed in any::<u64>()) {
        Run::new(seed).play(150);
    }
}
