//! A slow model of decode targets where nothing is lost: it knows frames by what they refer to and by the layers they are
//! of, and keeps all that ever passed.

use std::collections::BTreeSet;

use wire::av1::dependency::structure::{DecodeTarget, Indication};

use crate::camera::{Camera, Frame};

#[derive(Debug, Default)]
pub(crate) struct Model {
    current: Option<DecodeTarget>,
    pub(crate) passed: BTreeSet<u64>,
}

impl Model {
    /// What becomes of the next frame if no more than these layers are wanted.
    pub(crate) fn decide(&mut self, camera: &Camera, frame: &Frame, (spatial, temporal): (u8, u8)) {
        let targets = camera.targets();
        let within = |target: &&DecodeTarget| target.spatial <= spatial && target.temporal <= temporal;
        let best = targets.iter().filter(within).max_by_key(|target| (target.spatial, target.temporal));
        let wanted = *best.expect("the lowest is always within");
        let is_whole = frame.refers_to.iter().all(|referred| self.passed.contains(referred));
        let begins = frame.key && frame.spatial == 0;
        let leads_there = is_whole && camera.indication(frame, wanted) == Indication::Switch;
        // What is sent of its picture was ended already, unless the frame stands alone.
        let is_above = |current: DecodeTarget| frame.spatial > current.spatial && !frame.refers_to.is_empty();
        if begins || leads_there && self.current.is_some_and(|current| !is_above(current)) {
            self.current = Some(wanted);
        }
        if is_whole && self.current.is_some_and(|current| camera.belongs(frame, current)) {
            self.passed.insert(frame.number);
        }
    }
}
