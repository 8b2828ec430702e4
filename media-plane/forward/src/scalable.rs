//! Video whose layers share one source: which stage decides over them, and what of a copy is rewritten.

use units::time::Instant;
use wire::vp9::Descriptor;

use crate::decode_target::{DecodeTargets, FrameNumbers};
use crate::dependency::{Dependency, Limits};
use crate::discard::Reason;
use crate::facts::{Class, Facts};
use crate::order::Order;
use crate::rewrite::{Patch, Renumbered};
use crate::spatial::Layers;
use crate::vp9::Numbers;

/// What the packets of a publication tell of their layers. Nothing, for most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scalability {
    pub vp9: Option<Descriptor>,
    pub dependency: Option<Dependency>,
}

impl Scalability {
    pub const NONE: Self = Self { vp9: None, dependency: None };

    /// Whether the packet ends the frame of a layer, be it the picture's last one or not.
    #[must_use]
    pub fn ends_frame(&self) -> bool {
        self.vp9.is_some_and(|vp9| vp9.end_of_frame)
            || self.dependency.is_some_and(|dependency| dependency.end_of_frame)
    }

    /// The temporal layer of the packet's frame.
    #[must_use]
    pub fn temporal(&self) -> Option<u8> {
        let known = self.dependency.and_then(|dependency| dependency.known);
        known.map(|known| known.temporal).or_else(|| Some(self.vp9?.layer?.temporal))
    }
}

/// The layers of the source that is forwarded.
#[derive(Debug)]
pub struct Scalable {
    limits: Limits,
    stage: Stage,
    /// Of VP9 only.
    numbers: Option<Numbers>,
    /// Where decode targets left off, if another stage decides now.
    frame_numbers: FrameNumbers,
}

/// Who decides, as the source's last key frame had it.
#[derive(Debug)]
enum Stage {
    /// Nothing tells of layers: all of it passes.
    Whole,
    DecodeTargets(DecodeTargets),
    Layers(Layers),
}

/// What a stage says of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    Send {
        descriptor: Option<Renumbered>,
        /// The packet is the last that is sent of its picture.
        ends_picture: bool,
    },
    /// It is late, and only its sequence number is to be seen.
    Empty,
    /// Its sequence number is closed up.
    Drop(Reason),
    /// As is the gap before it, which lies within what was dropped.
    DropWithGap(Reason),
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Send { patch: Option<Patch>, marker: bool, descriptor: Option<Renumbered> },
    Drop(Reason),
    DropWithGap(Reason),
}

impl Scalable {
    /// `None` for a class whose layers are told otherwise.
    #[must_use]
    pub fn new(class: Class) -> Option<Self> {
        match class {
            Class::Audio | Class::Vp8 => None,
            Class::Vp9 => Some(Self { numbers: Some(Numbers::default()), ..Self::of_opaque() }),
            Class::Video => Some(Self::of_opaque()),
        }
    }

    /// Of a payload that is forwarded as it is.
    #[must_use]
    pub fn of_opaque() -> Self {
        let limits = Limits { spatial: 0, temporal: 0 };
        Self { limits, stage: Stage::Whole, numbers: None, frame_numbers: FrameNumbers::default() }
    }

    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        match &mut self.stage {
            Stage::Whole => {}
            Stage::DecodeTargets(targets) => targets.set_limits(limits),
            Stage::Layers(layers) => layers.set_limits(limits),
        }
    }

    /// Another source, or the same one after a pause, goes on with a key frame.
    pub fn switch(&mut self, first: &Scalability) {
        let Scalability { vp9, dependency } = first;
        if let Stage::DecodeTargets(targets) = &self.stage {
            self.frame_numbers = targets.numbers();
        }
        match (&mut self.stage, dependency, vp9) {
            (Stage::DecodeTargets(targets), Some(dependency), _) => targets.switch(dependency.frame),
            (stage, Some(dependency), _) => {
                let mut targets = DecodeTargets::new(self.limits, self.frame_numbers);
                targets.switch(dependency.frame);
                *stage = Stage::DecodeTargets(targets);
            }
            (Stage::Layers(layers), None, Some(_)) => layers.switch(),
            (stage, None, Some(_)) => *stage = Stage::Layers(Layers::new(self.limits)),
            (stage, None, None) => *stage = Stage::Whole,
        }
        if let (Some(numbers), Some(vp9)) = (&mut self.numbers, vp9) {
            numbers.switch(vp9);
        }
    }

    /// Whether something tells of layers.
    #[must_use]
    pub fn decides(&self) -> bool {
        !matches!(self.stage, Stage::Whole)
    }

    /// Whether the source has to send a key frame for what is wanted.
    #[must_use]
    pub fn needs_key_frame(&self) -> bool {
        match &self.stage {
            Stage::Whole => false,
            Stage::DecodeTargets(targets) => targets.needs_key_frame(),
            Stage::Layers(layers) => layers.needs_key_frame(),
        }
    }

    /// What becomes of a packet with a payload.
    ///
    /// # Errors
    /// If nothing is to happen at all.
    pub fn pass(
        &mut self,
        now: Instant,
        facts: &Facts,
        layers: &Scalability,
        order: Order,
    ) -> Result<Outcome, Reason> {
        let Scalability { vp9, dependency } = layers;
        if facts.key_frame && order != Order::Late && self.is_told_otherwise(layers) {
            self.switch(layers);
        }
        let picture = match (&mut self.numbers, vp9) {
            (Some(numbers), Some(vp9)) => numbers.read(vp9, order),
            _ => None,
        };
        let pass = match (&mut self.stage, dependency, vp9) {
            (Stage::DecodeTargets(targets), Some(dependency), _) => {
                targets.pass(now, dependency, facts.key_frame, order)?
            }
            (Stage::Layers(layers), _, Some(vp9)) => layers.pass(vp9, picture, order)?,
            (Stage::Whole, ..) => Pass::Send { descriptor: None, ends_picture: false },
            _ if order == Order::Late => return Err(Reason::Malformed),
            _ => Pass::Drop(Reason::Malformed),
        };
        Ok(match pass {
            Pass::Send { descriptor, ends_picture } => {
                let patch = self.numbers.as_ref().zip(vp9.as_ref());
                let patch = patch.and_then(|(numbers, vp9)| numbers.patch(vp9, picture));
                Outcome::Send { patch, marker: facts.marker || ends_picture, descriptor }
            }
            Pass::Empty => {
                let patch = Some(Patch::empty(facts.payload_len));
                Outcome::Send { patch, marker: facts.marker, descriptor: None }
            }
            Pass::Drop(reason) => Outcome::Drop(reason),
            Pass::DropWithGap(reason) => Outcome::DropWithGap(reason),
        })
    }

    fn is_told_otherwise(&self, told: &Scalability) -> bool {
        match &self.stage {
            Stage::DecodeTargets(_) => told.dependency.is_none(),
            Stage::Layers(_) => told.dependency.is_some() || told.vp9.is_none(),
            Stage::Whole => told.dependency.is_some() || told.vp9.is_some(),
        }
    }
}
