//! Which spatial layers of a source come: an encoder may stop one without a word.

use forward::dependency::Targets;
use units::time::Instant;
use wire::av1::dependency::{DECODE_TARGETS_MAX, SPATIAL_LAYERS_MAX};

/// Signs of life of each spatial layer, told by time and by frames of the others: a pause of all is nobody's end.
#[derive(Debug, Default)]
pub struct SpatialLayers {
    signs: [Sign; SPATIAL_LAYERS_MAX],
}

#[derive(Clone, Copy, Debug, Default)]
struct Sign {
    /// The last frame, or the first one of any layer. `None` before that.
    seen: Option<Instant>,
    /// Frames of others since.
    others: u8,
    is_silent: bool,
}

impl SpatialLayers {
    /// A packet of a layer came, which may be its frame's first. Returns whether one fell silent or came back.
    pub fn observe(&mut self, now: Instant, spatial: u8, is_new: bool) -> bool {
        let mut changed = false;
        for (layer, sign) in (0..).zip(&mut self.signs) {
            if layer == spatial {
                changed |= sign.is_silent;
                *sign = Sign { seen: Some(now), others: 0, is_silent: false };
            } else if is_new {
                let since = *sign.seen.get_or_insert(now);
                sign.others = sign.others.saturating_add(1);
                let is_silent = sign.others >= OTHERS_MIN && now - since > SILENT_AFTER;
                changed |= is_silent && !sign.is_silent;
                sign.is_silent |= is_silent;
            }
        }
        changed
    }

    /// The decode targets that would show a layer which is silent, one bit each.
    #[must_use]
    pub fn silent(&self, targets: &Targets) -> u32 {
        let is_silent = |target| {
            let sign = self.signs.get(usize::from(targets.get(target).spatial));
            sign.is_some_and(|sign| sign.is_silent)
        };
        const { assert!(DECODE_TARGETS_MAX <= 32) };
        (0..targets.count()).fold(0, |bits, target| bits | u32::from(is_silent(target)) << target)
    }
}

/// A layer without a frame for so long ended, if that was no pause of the whole source: some pictures of two others.
const SILENT_AFTER: core::time::Duration = core::time::Duration::from_millis(500);
const OTHERS_MIN: u8 = 6;

#[cfg(test)]
mod tests {
    use wire::av1::dependency::structure::DecodeTarget;

    use super::*;

    /// Two temporal layers in each of three spatial ones.
    fn targets() -> Targets {
        let all = [0, 1, 2, 3, 4, 5].map(|at| DecodeTarget { spatial: at / 2, temporal: at % 2, chain: 0 });
        Targets::new(&all, true)
    }

    /// Pictures of the layers in `spatial`, so many milliseconds apart. Returns after how many something changed.
    fn play(layers: &mut SpatialLayers, from: u64, step: u64, count: u64, spatial: &[u8]) -> Option<u64> {
        let before = layers.silent(&targets());
        (1..=count).find(|picture| {
            let now = Instant((from + picture * step) * 1_000_000);
            let told = spatial.iter().fold(false, |told, layer| told | layers.observe(now, *layer, true));
            let changed = layers.silent(&targets()) != before;
            assert!(told || !changed);
            changed
        })
    }

    #[test]
    fn layer_that_others_outlive_is_silent_until_it_comes_again() {
        let mut layers = SpatialLayers::default();
        assert_eq!(play(&mut layers, 0, 33, 100, &[0, 1, 2]), None, "all come");
        assert_eq!(play(&mut layers, 3_300, 33, 100, &[0, 1]), Some(16), "more than half a second later");
        assert_eq!(layers.silent(&targets()), 0b11_0000);
        assert_eq!(play(&mut layers, 3_828, 33, 100, &[0]), Some(16));
        assert_eq!(layers.silent(&targets()), 0b11_1100);
        assert!(layers.observe(Instant(5_000_000_000), 1, false), "a late packet is a sign, too");
        assert_eq!(layers.silent(&targets()), 0b11_0000);
    }

    #[test]
    fn layer_that_never_came_is_silent() {
        let mut layers = SpatialLayers::default();
        assert_eq!(play(&mut layers, 0, 33, 100, &[0, 1]), Some(17));
        assert_eq!(layers.silent(&targets()), 0b11_0000);
    }

    #[test]
    fn pauses_and_slow_pictures_are_no_silence() {
        let mut layers = SpatialLayers::default();
        assert_eq!(play(&mut layers, 0, 4_000, 100, &[0, 1, 2]), None);
        assert_eq!(play(&mut layers, 500_000, 33, 1, &[0, 1]), None, "after a pause of all");
    }
}
