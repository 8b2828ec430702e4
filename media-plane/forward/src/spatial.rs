//! Which layers of VP9 pass where there is no dependency descriptor (RFC 9628 §4.2).
//!
//! A layer is taken away between two pictures. A spatial layer is added by a frame that refers to no earlier picture; a
//! temporal one behind a picture with the U bit: pictures above its layer refer to nothing above it that came before.

use units::sequence::Seq;
use wire::vp9::{Descriptor, Layer};

use crate::dependency::Limits;
use crate::discard::Reason;
use crate::order::Order;
use crate::scalable::Pass;
use crate::verdicts::{Verdict, Verdicts};

/// Decides over packets of one source; packets of one picture have one fate, whenever they come.
#[derive(Debug)]
pub struct Layers {
    limits: Limits,
    /// The highest layers that pass now.
    passing: Limits,
    /// The newest picture passes.
    picture_passes: bool,
    /// The highest spatial layer of the newest picture, and of the one before.
    offered: (u8, u8),
    /// The last packet that came in order was dropped.
    dropped: bool,
    /// Forwarded up to a spatial layer; missing while the packed layers passed.
    verdicts: Verdicts,
}

impl Layers {
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            passing: Limits { spatial: 0, temporal: 0 },
            picture_passes: false,
            offered: (0, 0),
            dropped: false,
            verdicts: Verdicts::new(),
        }
    }

    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Another source, or the same one after a pause, goes on with a key frame.
    pub fn switch(&mut self) {
        *self = Self::new(self.limits);
    }

    /// Whether there is more that is wanted, and only a key frame is sure to lead to it.
    #[must_use]
    pub fn needs_key_frame(&self) -> bool {
        let (newest, before) = self.offered;
        self.limits.spatial.min(newest.max(before)) > self.passing.spatial
    }

    /// `picture` is the unwrapped picture id, if there is one.
    ///
    /// # Errors
    /// If the packet is late and its picture too old to be remembered.
    pub fn pass(&mut self, packet: &Descriptor, picture: Option<Seq>, order: Order) -> Result<Pass, Reason> {
        let layer = packet.layer.unwrap_or(BASE);
        if order == Order::Late {
            return self.pass_late(packet, layer, picture);
        }
        let is_new = match picture {
            Some(picture) => self.verdicts.highest() != Some(picture),
            None => packet.start_of_frame && layer.spatial == 0,
        };
        if is_new {
            self.begin(packet, layer, picture);
        } else {
            self.offered.0 = self.offered.0.max(layer.spatial);
        }
        self.climb(packet, layer, picture);
        let reason = if self.picture_passes { Reason::Spatial } else { Reason::Temporal };
        let passes = self.picture_passes && layer.spatial <= self.passing.spatial;
        let follows_dropped = core::mem::replace(&mut self.dropped, !passes);
        Ok(if passes {
            self.send(packet, layer, self.passing.spatial)
        } else if order == Order::Gap && !is_new && follows_dropped && picture.is_some() {
            // Layers go up within a picture: what is missing lies between two that were dropped.
            Pass::DropWithGap(reason)
        } else {
            Pass::Drop(reason)
        })
    }

    fn pass_late(&mut self, packet: &Descriptor, layer: Layer, picture: Option<Seq>) -> Result<Pass, Reason> {
        let Some(picture) = picture else {
            // No id, no telling which picture it was: what passes now decides.
            let passes = layer.temporal <= self.passing.temporal && layer.spatial <= self.passing.spatial;
            return Ok(if passes { self.send(packet, layer, self.passing.spatial) } else { Pass::Empty });
        };
        let spatial = match self.verdicts.of(picture).ok_or(Reason::UnknownPicture)? {
            Verdict::Forwarded(spatial) => Some(spatial),
            Verdict::Dropped => None,
            Verdict::Missing(packed) => {
                let passed = unpack(packed);
                (layer.temporal <= passed.temporal).then_some(passed.spatial)
            }
        };
        let spatial = spatial.filter(|spatial| layer.spatial <= *spatial);
        Ok(spatial.map_or(Pass::Empty, |spatial| self.send(packet, layer, spatial)))
    }

    /// The first packet of a picture that comes in order.
    fn begin(&mut self, packet: &Descriptor, layer: Layer, picture: Option<Seq>) {
        let passed = self.passing;
        self.offered = (layer.spatial, self.offered.0);
        if packet.key_frame() {
            self.passing = self.limits;
        } else {
            let Limits { spatial, temporal } = self.passing;
            self.passing = Limits {
                spatial: spatial.min(self.limits.spatial),
                temporal: temporal.min(self.limits.temporal),
            };
        }
        self.picture_passes = layer.temporal <= self.passing.temporal;
        if self.picture_passes && layer.switching_up && packet.start_of_frame {
            // It counts for the pictures behind this one, which passes anyway.
            self.passing.temporal = self.limits.temporal;
        }
        let Some(picture) = picture else { return };
        if self.verdicts.highest().is_some_and(|highest| picture < highest) {
            self.verdicts.restart();
        }
        self.verdicts.advance(picture, Verdict::Missing(pack(passed)), self.verdict());
    }

    /// Adds the next spatial layer where it begins anew, on top of the one below.
    fn climb(&mut self, packet: &Descriptor, layer: Layer, picture: Option<Seq>) {
        let is_next = layer.spatial.checked_sub(1) == Some(self.passing.spatial)
            && layer.spatial <= self.limits.spatial;
        let begins_anew = packet.start_of_frame && !packet.inter_picture_predicted;
        if is_next && begins_anew && self.picture_passes {
            self.passing.spatial = layer.spatial;
            if let Some(picture) = picture {
                self.verdicts.set(picture, self.verdict());
            }
        }
    }

    fn verdict(&self) -> Verdict {
        if self.picture_passes { Verdict::Forwarded(self.passing.spatial) } else { Verdict::Dropped }
    }

    fn send(&self, packet: &Descriptor, layer: Layer, spatial: u8) -> Pass {
        Pass::Send { descriptor: None, ends_picture: packet.end_of_frame && layer.spatial == spatial }
    }
}

/// Layers are numbers of three bits.
fn pack(layers: Limits) -> u8 {
    layers.spatial.min(7) << 3 | layers.temporal.min(7)
}

fn unpack(packed: u8) -> Limits {
    Limits { spatial: packed >> 3, temporal: packed & 7 }
}

/// A stream without layers is one.
const BASE: Layer = Layer { temporal: 0, switching_up: false, spatial: 0, inter_layer_dependent: false };

#[cfg(test)]
mod tests;
