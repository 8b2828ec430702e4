//! What a packet's dependency descriptor told ingress of its frame (AV1 RTP payload format, appendix A).

use units::sequence::Seq;
use wire::av1::dependency::structure::{DecodeTarget, Differences, Indications, Structure};
use wire::av1::dependency::{CHAINS_MAX, DECODE_TARGETS_MAX};

/// The frame that a packet is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// Its number, extended so that it never wraps.
    pub frame: Seq,
    pub end_of_frame: bool,
    /// `None` if it refers to a structure that is not known yet: the first packet of a key frame is missing.
    pub known: Option<Known>,
}

/// What the structure says of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    pub spatial: u8,
    pub temporal: u8,
    pub indications: Indications,
    pub differences: Differences,
    pub chain_differences: [u8; CHAINS_MAX],
    /// Another number for each structure of a source.
    pub structure: u32,
    pub targets: Targets,
    /// The decode targets that the publisher sends, one bit each.
    pub active: u32,
    /// The packet itself says which are active.
    pub tells_active: bool,
    pub brings_structure: bool,
}

/// The decode targets of a structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Targets {
    all: [DecodeTarget; DECODE_TARGETS_MAX],
    count: u8,
    has_chains: bool,
}

/// The highest layers that a subscriber may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub spatial: u8,
    pub temporal: u8,
}

impl Targets {
    #[must_use]
    pub fn of(structure: &Structure) -> Self {
        Self::new(structure.decode_targets(), structure.chain_count() > 0)
    }

    /// What is beyond the last possible target is left out.
    #[must_use]
    pub fn new(targets: &[DecodeTarget], has_chains: bool) -> Self {
        let mut all = [DecodeTarget::default(); DECODE_TARGETS_MAX];
        let mut count = 0;
        for (target, known) in all.iter_mut().zip(targets) {
            *target = *known;
            count += 1;
        }
        Self { all, count, has_chains }
    }

    #[must_use]
    pub fn count(&self) -> u8 {
        self.count
    }

    #[must_use]
    pub fn get(&self, target: u8) -> DecodeTarget {
        self.all.get(usize::from(target)).copied().unwrap_or_default()
    }

    /// The chain that protects a target, if there are chains.
    #[must_use]
    pub fn chain(&self, target: u8) -> Option<u8> {
        self.has_chains.then(|| self.get(target).chain)
    }

    /// The best of the `active` targets that pass: the highest spatial layer first, then the highest temporal one. If
    /// all of them are above the limits, the lowest.
    #[must_use]
    pub fn best(&self, limits: Limits, active: u32, passes: impl Fn(u8) -> bool) -> Option<u8> {
        let mut best: Option<((bool, u8, u8), u8)> = None;
        for target in (0..self.count).filter(|target| active >> target & 1 == 1 && passes(*target)) {
            let DecodeTarget { spatial, temporal, .. } = self.get(target);
            let within = spatial <= limits.spatial && temporal <= limits.temporal;
            // What is above counts the better the lower it is.
            let worth = if within { (true, spatial, temporal) } else { (false, !spatial, !temporal) };
            if best.is_none_or(|(other, _)| worth > other) {
                best = Some((worth, target));
            }
        }
        best.map(|(_, target)| target)
    }

    /// The `active` targets that can be decoded from what `target` takes.
    #[must_use]
    pub fn within(&self, target: u8, active: u32) -> u32 {
        let top = self.get(target);
        (0..self.count).fold(0, |bits, at| {
            let DecodeTarget { spatial, temporal, .. } = self.get(at);
            bits | u32::from(spatial <= top.spatial && temporal <= top.temporal) << at
        }) & active
    }

    /// A bit for each.
    #[must_use]
    pub fn every(&self) -> u32 {
        u32::MAX.checked_shr(32_u32.saturating_sub(self.count.into())).unwrap_or(0)
    }
}
