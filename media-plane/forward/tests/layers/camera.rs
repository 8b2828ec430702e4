//! A camera with spatial and temporal layers in one stream: frames that refer to each other as an encoder's do, and what
//! descriptors say of them.

use forward::dependency::{Dependency, Known, Targets};
use forward::facts::Facts;
use forward::scalable::Scalability;
use units::rtp::Ssrc;
use units::sequence::Seq;
use wire::av1::dependency::CHAINS_MAX;
use wire::av1::dependency::structure::{DecodeTarget, Differences, Indication};
use wire::picture_id::PictureId;
use wire::{vp8, vp9};

/// How layers depend on each other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Structure {
    pub(crate) spatial: u8,
    /// 1 or 3.
    pub(crate) temporal: u8,
    /// Spatial layers refer to each other in key pictures only: `L3T3_KEY`.
    pub(crate) key_only: bool,
    pub(crate) has_chains: bool,
}

/// One frame: a spatial layer of a picture.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) number: u64,
    pub(crate) picture: u64,
    pub(crate) key: bool,
    pub(crate) spatial: u8,
    pub(crate) temporal: u8,
    pub(crate) refers_to: Vec<u64>,
    is_last: bool,
    chain_differences: [u8; CHAINS_MAX],
}

#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) frame: u64,
    pub(crate) facts: Facts,
    pub(crate) layers: Scalability,
}

/// What a camera's descriptors are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Dependencies,
    Vp9,
    /// Dependency descriptors, beside VP8's own that tell nothing.
    BareVp8,
}

#[derive(Debug)]
pub(crate) struct Camera {
    structure: Structure,
    told: Told,
    source: u32,
    pub(crate) frames: Vec<Frame>,
    first_frame: u64,
    sequence: u64,
    picture: u64,
    /// Pictures since the last key picture.
    phase: u64,
}

impl Camera {
    pub(crate) fn new(
        structure: Structure,
        told: Told,
        source: u32,
        first_frame: u64,
        sequence: u64,
    ) -> Self {
        let picture = first_frame / 3;
        Self { structure, told, source, frames: Vec::new(), first_frame, sequence, picture, phase: 0 }
    }

    /// The packets of the next picture: `packets` for each frame.
    pub(crate) fn picture(&mut self, key: bool, packets: u64) -> Vec<Packet> {
        let key = key || self.frames.is_empty();
        self.phase = if key { 0 } else { self.phase + 1 };
        self.picture += 1;
        let temporal = match (self.structure.temporal, self.phase % 4) {
            (1, _) | (_, 0) => 0,
            (_, 2) => 1,
            _ => 2,
        };
        let mut all = Vec::new();
        for spatial in 0..self.structure.spatial {
            let frame = self.frame(key, spatial, temporal);
            for at in 0..packets {
                all.push(self.packet(&frame, at == 0, at + 1 == packets));
            }
            self.frames.push(frame);
        }
        all
    }

    /// What decides whether a target has a frame.
    pub(crate) fn belongs(&self, frame: &Frame, target: DecodeTarget) -> bool {
        let alone = self.structure.key_only && !frame.key;
        let in_layer = if alone { frame.spatial == target.spatial } else { frame.spatial <= target.spatial };
        in_layer && frame.temporal <= target.temporal
    }

    /// What a frame is to a target.
    pub(crate) fn indication(&self, frame: &Frame, target: DecodeTarget) -> Indication {
        let is_top = frame.temporal > 0 && frame.temporal == target.temporal;
        let is_referred_above = frame.spatial < target.spatial && !self.structure.key_only;
        match () {
            () if !self.belongs(frame, target) => Indication::NotPresent,
            () if frame.key => Indication::Switch,
            () if frame.temporal == 2 && !is_referred_above => Indication::Discardable,
            () if is_top && !is_referred_above => Indication::Discardable,
            () if frame.spatial == target.spatial => Indication::Switch,
            () => Indication::Required,
        }
    }

    pub(crate) fn number(&self, index: usize) -> u64 {
        self.first_frame + index as u64
    }

    fn frame(&self, key: bool, spatial: u8, temporal: u8) -> Frame {
        let number = self.number(self.frames.len());
        let of_layer = |highest| {
            let mut before = self.frames.iter().rev();
            before.find(|frame| frame.spatial == spatial && frame.temporal <= highest).map(|it| it.number)
        };
        let mut refers_to = Vec::new();
        if !key {
            // T0 and T1 refer to the T0 before, T2 to the T0 or T1 before.
            refers_to.extend(of_layer(temporal.saturating_sub(1)));
        }
        if spatial > 0 && (key || !self.structure.key_only) {
            refers_to.push(number - 1);
        }
        let mut chain_differences = [0; CHAINS_MAX];
        if !key || spatial > 0 {
            for (chain, difference) in (0..self.structure.spatial).zip(&mut chain_differences) {
                let target = DecodeTarget { spatial: chain, temporal: 0, chain };
                let before = self.frames.iter().rev().find(|frame| self.belongs(frame, target));
                *difference = u8::try_from(number - before.unwrap().number).unwrap();
            }
        }
        let is_last = spatial + 1 == self.structure.spatial;
        let picture = self.picture;
        Frame { number, picture, key, spatial, temporal, refers_to, is_last, chain_differences }
    }

    fn packet(&mut self, frame: &Frame, first: bool, last: bool) -> Packet {
        let layers = match self.told {
            Told::Dependencies | Told::BareVp8 => {
                Scalability { vp9: None, dependency: Some(self.dependency(frame, first, last)) }
            }
            Told::Vp9 => Scalability { vp9: Some(self.vp9(frame, first, last)), dependency: None },
        };
        self.sequence += 1;
        let key_frame = frame.key && first && frame.spatial == 0;
        let facts = Facts {
            source: Ssrc(self.source),
            layer: 0,
            sequence: Seq(self.sequence),
            out_of_order: false,
            timestamp: u32::try_from(frame.picture & 0xffff).unwrap() * 3_000,
            marker: last && frame.is_last,
            payload_len: 100,
            key_frame,
            vp8: (self.told == Told::BareVp8).then_some(vp8::Descriptor { key_frame, ..BARE }),
            reference: None,
        };
        Packet { frame: frame.number, facts, layers }
    }

    fn dependency(&self, frame: &Frame, first: bool, last: bool) -> Dependency {
        let targets = self.targets();
        let indications = targets.iter().map(|target| self.indication(frame, *target));
        let mut differences = Differences::default();
        for referred in &frame.refers_to {
            differences.push(u16::try_from(frame.number - referred).unwrap()).unwrap();
        }
        let brings_structure = frame.key && first && frame.spatial == 0;
        let known = Known {
            spatial: frame.spatial,
            temporal: frame.temporal,
            indications: indications.collect(),
            differences,
            chain_differences: frame.chain_differences,
            structure: 1,
            targets: Targets::new(&targets, self.structure.has_chains),
            active: u32::MAX >> (32 - targets.len()),
            tells_active: false,
            brings_structure,
        };
        Dependency { frame: Seq(frame.number), end_of_frame: last, known: Some(known) }
    }

    pub(crate) fn targets(&self) -> Vec<DecodeTarget> {
        let temporal = || 0..self.structure.temporal;
        (0..self.structure.spatial)
            .flat_map(|spatial| {
                temporal().map(move |temporal| DecodeTarget { spatial, temporal, chain: spatial })
            })
            .collect()
    }

    fn vp9(&self, frame: &Frame, first: bool, last: bool) -> vp9::Descriptor {
        vp9::Descriptor {
            len: 5,
            picture_id: Some(PictureId::Fifteen(u16::try_from(frame.picture & 0x7fff).unwrap())),
            inter_picture_predicted: !frame.key,
            flexible: false,
            start_of_frame: first,
            end_of_frame: last,
            not_for_inter_layer: false,
            layer: Some(vp9::Layer {
                temporal: frame.temporal,
                switching_up: frame.temporal < 2,
                spatial: frame.spatial,
                inter_layer_dependent: frame.spatial > 0 && (frame.key || !self.structure.key_only),
            }),
            tl0_picture_index: Some(0),
            structure: None,
        }
    }
}

const BARE: vp8::Descriptor = vp8::Descriptor {
    len: 1,
    non_reference: false,
    start_of_partition: true,
    partition: 0,
    picture_id: None,
    tl0_picture_index: None,
    temporal: None,
    key_index: None,
    key_frame: false,
    dimensions: None,
};
