//! Which worker is asked: chance, weighted by what each has left.

use rand::Rng;
use rand::seq::IndexedRandom;

use crate::agent::worker::WorkerId;

/// One of the candidates, each with its load. Those that have reached the target load are asked only if all have.
pub fn choose(random: &mut impl Rng, target_load: f32, candidates: &[(WorkerId, f32)]) -> Option<WorkerId> {
    let below: Vec<_> = candidates.iter().filter(|(_, load)| *load < target_load).copied().collect();
    let eligible = if below.is_empty() { candidates } else { &below };
    let weight = |candidate: &(WorkerId, f32)| (1.0 - candidate.1).max(WEIGHT_MIN);
    eligible.choose_weighted(random, weight).ok().map(|(worker, _)| *worker)
}

/// Of a worker that is all but full, so that chance still has somebody to choose.
const WEIGHT_MIN: f32 = 0.01;

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn shares_follow_what_each_worker_has_left() {
        const DRAWS: u32 = 10_000;
        for (name, loads, expected) in [
            ("nobody", &[][..], &[][..]),
            ("one", &[0.3][..], &[1.0][..]),
            ("equals", &[0.2, 0.2], &[0.5, 0.5]),
            ("three times as free", &[0.1, 0.69], &[0.744, 0.256]),
            ("at the target, so not asked", &[0.0, 0.7], &[1.0, 0.0]),
            ("beyond the target", &[0.6, 0.95, 0.1], &[0.308, 0.0, 0.692]),
            ("all beyond the target", &[0.8, 0.9], &[0.667, 0.333]),
            ("all full", &[1.0, 1.0], &[0.5, 0.5]),
        ] {
            let candidates: Vec<_> = (0..).map(WorkerId).zip(loads.iter().copied()).collect();
            let mut random = StdRng::seed_from_u64(1);
            let mut drawn = vec![0_u32; loads.len()];
            for _ in 0..DRAWS {
                match choose(&mut random, 0.7, &candidates) {
                    Some(WorkerId(index)) => drawn[usize::try_from(index).unwrap()] += 1,
                    None => assert!(loads.is_empty(), "{name}"),
                }
            }
            for (share, expected) in
                drawn.iter().map(|count| f64::from(*count) / f64::from(DRAWS)).zip(expected)
            {
                assert!((share - expected).abs() < 0.03, "{name}: {share} instead of {expected}");
            }
        }
    }
}
