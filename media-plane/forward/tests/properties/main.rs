//! What forwarding promises, for any interleaving of loss, bursts, duplication, reordering, wraps, switches and drops.

mod camera;
mod channel;
mod model;
mod random;
mod run;
mod seen;

use proptest::prelude::*;

use crate::run::Run;

/// 60 worlds of some 1,700 packets each.
#[test]
fn equals_the_reference_model_on_a_hundred_thousand_packets() {
    let packets: usize = (0..60).map(|seed| Run::new(seed).play(320)).sum();
    assert!(packets > 100_000, "only {packets}");
}

proptest! {
    #[test]
    fn promises_hold_in_any_world(seed in any::<u64>()) {
        Run::new(seed).play(150);
    }
}
