//! The dependency descriptor: which frames a frame needs and serves (AV1 RTP payload format, appendix A).

mod bits;
pub mod rewrite;
pub mod structure;

use self::bits::Bits;
use self::structure::{Differences, Indications, Structure};

pub const TEMPLATES_MAX: usize = 64;
pub const DECODE_TARGETS_MAX: usize = 32;
/// There is at most one chain for each decode target.
pub const CHAINS_MAX: usize = DECODE_TARGETS_MAX;
pub const SPATIAL_LAYERS_MAX: usize = 4;
pub const TEMPORAL_LAYERS_MAX: u8 = 8;
/// A frame of AV1 refers to at most seven others; the specification itself sets no bound.
pub const DIFFERENCES_MAX: usize = 8;

/// Why bytes are no dependency descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    Short,
    /// More templates, layers or frame differences than the limits above.
    TooMany,
    /// A template that the structure does not have.
    Template,
}

/// The three bytes that each descriptor begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mandatory {
    pub start_of_frame: bool,
    pub end_of_frame: bool,
    pub template_id: u8,
    pub frame_number: u16,
}

/// What one descriptor says of its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    pub mandatory: Mandatory,
    /// The descriptor brings a structure, which holds until the next: the packet begins a key frame.
    pub brings_structure: bool,
    /// One bit per decode target, if the descriptor has them.
    pub active_decode_targets: Option<u32>,
    pub spatial: u8,
    pub temporal: u8,
    pub indications: Indications,
    /// To the frames that this one refers to.
    pub differences: Differences,
    /// To the frame before this one of each chain; 0 if the chain needs none.
    pub chain_differences: [u8; CHAINS_MAX],
}

impl Mandatory {
    /// Reads what can be read without the structure.
    #[must_use]
    pub fn parse(data: &[u8]) -> Option<Self> {
        let [first, high, low] = *data.first_chunk()?;
        Some(Self {
            start_of_frame: first & 0x80 != 0,
            end_of_frame: first & 0x40 != 0,
            template_id: first & 0x3f,
            frame_number: u16::from_be_bytes([high, low]),
        })
    }
}

impl Descriptor {
    /// Reads a descriptor by `structure`: its own, if it brings one (see [`Structure::brought_by`]), or else that of the
    /// last key frame.
    pub fn parse(data: &[u8], structure: &Structure) -> Result<Self, Malformed> {
        let mandatory = Mandatory::parse(data).ok_or(Malformed::Short)?;
        let template = structure.template(mandatory.template_id).ok_or(Malformed::Template)?;
        let mut descriptor = Self {
            mandatory,
            brings_structure: false,
            active_decode_targets: None,
            spatial: template.spatial,
            temporal: template.temporal,
            indications: template.indications,
            differences: template.differences,
            chain_differences: template.chain_differences,
        };
        if let Some(extended @ [_, ..]) = data.get(MANDATORY_LEN..) {
            descriptor.read_extended(&mut Bits::new(extended), structure)?;
        }
        Ok(descriptor)
    }

    /// Whether the packet begins a key frame.
    #[must_use]
    pub const fn key_frame(&self) -> bool {
        self.mandatory.start_of_frame && self.brings_structure
    }

    fn read_extended(&mut self, bits: &mut Bits<'_>, structure: &Structure) -> Result<(), Malformed> {
        let flags = Flags::read(bits).ok_or(Malformed::Short)?;
        self.brings_structure = flags.structure;
        if flags.structure {
            Structure::read(bits)?;
        }
        if flags.active_decode_targets {
            let targets = bits.read(structure.decode_target_count().into());
            self.active_decode_targets = Some(targets.ok_or(Malformed::Short)?);
        }
        if flags.indications {
            let indications = Indications::read(bits, structure.decode_target_count());
            self.indications = indications.ok_or(Malformed::Short)?;
        }
        if flags.differences {
            self.differences = read_differences(bits)?;
        }
        if flags.chains {
            let used = self.chain_differences.get_mut(..usize::from(structure.chain_count()));
            for difference in used.unwrap_or_default() {
                *difference = bits.read_u8(8).ok_or(Malformed::Short)?;
            }
        }
        Ok(())
    }
}

/// Whether a descriptor brings a structure, told without reading it.
#[must_use]
pub fn has_structure(data: &[u8]) -> bool {
    data.get(MANDATORY_LEN).is_some_and(|flags| flags & 0x80 != 0)
}

/// The first five bits behind the mandatory fields: what else there is.
#[derive(Clone, Copy, Default)]
struct Flags {
    structure: bool,
    active_decode_targets: bool,
    indications: bool,
    differences: bool,
    chains: bool,
}

impl Flags {
    fn read(bits: &mut Bits<'_>) -> Option<Self> {
        Some(Self {
            structure: bits.flag()?,
            active_decode_targets: bits.flag()?,
            indications: bits.flag()?,
            differences: bits.flag()?,
            chains: bits.flag()?,
        })
    }
}

/// A.4.1, frame_fdiffs.
fn read_differences(bits: &mut Bits<'_>) -> Result<Differences, Malformed> {
    let mut differences = Differences::default();
    loop {
        let size = bits.read(2).ok_or(Malformed::Short)?;
        if size == 0 {
            return Ok(differences);
        }
        let less_one = bits.read(size << 2).and_then(|value| u16::try_from(value).ok());
        let difference = less_one.ok_or(Malformed::Short)?.saturating_add(1);
        differences.push(difference).ok_or(Malformed::TooMany)?;
    }
}

const MANDATORY_LEN: usize = 3;

#[cfg(test)]
mod tests;
