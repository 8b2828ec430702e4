//! The dependency descriptor: which frames a frame needs and serves (AV1 RTP payload format, appendix A).

mod bits;

use self::bits::Bits;

pub const TEMPLATES_MAX: usize = 64;
pub const DECODE_TARGETS_MAX: usize = 32;
pub const SPATIAL_LAYERS_MAX: usize = 4;
pub const TEMPORAL_LAYERS_MAX: u8 = 8;

/// Why bytes are no dependency descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    Short,
    /// More templates or layers than the limits above.
    TooMany,
    /// A template that the structure does not have.
    Template,
    /// The descriptor refers to a structure that is not known.
    NoStructure,
}

/// The three bytes that each descriptor begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mandatory {
    pub start_of_frame: bool,
    pub end_of_frame: bool,
    pub template_id: u8,
    pub frame_number: u16,
}

/// All that one descriptor says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    pub mandatory: Mandatory,
    /// Present on the first packet of a key frame; it holds until the next.
    pub structure: Option<Structure>,
    /// One bit per decode target, if they changed.
    pub active_decode_targets: Option<u32>,
    pub spatial: u8,
    pub temporal: u8,
    pub indications: Indications,
}

/// What a frame is to a decode target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indication {
    NotPresent,
    Discardable,
    Switch,
    Required,
}

/// An [`Indication`] for each decode target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Indications(u64);

/// A frame's layers and what it is to each decode target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Template {
    pub spatial: u8,
    pub temporal: u8,
    pub indications: Indications,
}

/// The templates that the descriptors of a stream refer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {
    template_id_offset: u8,
    template_count: u8,
    templates: [Template; TEMPLATES_MAX],
    decode_target_count: u8,
    chain_count: u8,
    /// Lowest spatial layer first; `None` if the structure does not say.
    pub resolutions: Option<[(u16, u16); SPATIAL_LAYERS_MAX]>,
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
    /// Reads a descriptor; `known` is the structure of the last key frame.
    pub fn parse(data: &[u8], known: Option<&Structure>) -> Result<Self, Malformed> {
        let mandatory = Mandatory::parse(data).ok_or(Malformed::Short)?;
        let mut bits = Bits::new(data.get(3..).unwrap_or_default());
        let extended = if data.len() > 3 { Extended::read(&mut bits)? } else { Extended::default() };
        let current = extended.structure.as_ref().or(known).ok_or(Malformed::NoStructure)?;
        let active_decode_targets = match (extended.has_active_decode_targets, &extended.structure) {
            (true, _) => Some(bits.read(current.decode_target_count.into()).ok_or(Malformed::Short)?),
            (false, Some(structure)) => Some(structure.all_decode_targets()),
            (false, None) => None,
        };
        let template = current.template(mandatory.template_id).ok_or(Malformed::Template)?;
        let indications = if extended.has_custom_indications {
            Indications::read(&mut bits, current.decode_target_count).ok_or(Malformed::Short)?
        } else {
            template.indications
        };
        if extended.has_custom_frame_differences {
            skip_frame_differences(&mut bits).ok_or(Malformed::Short)?;
        }
        if extended.has_custom_chains {
            (0..current.chain_count).try_for_each(|_| bits.read(8).map(|_| ())).ok_or(Malformed::Short)?;
        }
        Ok(Self {
            mandatory,
            active_decode_targets,
            spatial: template.spatial,
            temporal: template.temporal,
            indications,
            structure: extended.structure,
        })
    }

    /// Whether the packet begins a key frame.
    #[must_use]
    pub const fn key_frame(&self) -> bool {
        self.mandatory.start_of_frame && self.structure.is_some()
    }
}

/// Whether a descriptor brings a structure, told without reading it.
#[must_use]
pub fn has_structure(data: &[u8]) -> bool {
    data.get(3).is_some_and(|flags| flags & 0x80 != 0)
}

#[derive(Default)]
struct Extended {
    structure: Option<Structure>,
    has_active_decode_targets: bool,
    has_custom_indications: bool,
    has_custom_frame_differences: bool,
    has_custom_chains: bool,
}

impl Extended {
    fn read(bits: &mut Bits<'_>) -> Result<Self, Malformed> {
        let mut flag = || bits.flag().ok_or(Malformed::Short);
        let has_structure = flag()?;
        let mut extended = Self {
            structure: None,
            has_active_decode_targets: flag()?,
            has_custom_indications: flag()?,
            has_custom_frame_differences: flag()?,
            has_custom_chains: flag()?,
        };
        if has_structure {
            extended.structure = Some(Structure::read(bits)?);
        }
        Ok(extended)
    }
}

impl Structure {
    /// The template with this id.
    #[must_use]
    pub fn template(&self, id: u8) -> Option<&Template> {
        self.templates().get(usize::from(id.wrapping_sub(self.template_id_offset) & 0x3f))
    }

    #[must_use]
    pub fn templates(&self) -> &[Template] {
        self.templates.get(..usize::from(self.template_count)).unwrap_or_default()
    }

    #[must_use]
    pub const fn decode_target_count(&self) -> u8 {
        self.decode_target_count
    }

    /// The highest spatial and the highest temporal layer of a decode target.
    #[must_use]
    pub fn decode_target_layers(&self, target: u8) -> (u8, u8) {
        let present =
            self.templates().iter().filter(|it| it.indications.of(target) != Indication::NotPresent);
        present.fold((0, 0), |(spatial, temporal), it| (spatial.max(it.spatial), temporal.max(it.temporal)))
    }

    fn all_decode_targets(&self) -> u32 {
        u32::MAX.checked_shr(32_u32.saturating_sub(self.decode_target_count.into())).unwrap_or(0)
    }

    fn read(bits: &mut Bits<'_>) -> Result<Self, Malformed> {
        let template_id_offset = bits.read_u8(6).ok_or(Malformed::Short)?;
        let decode_target_count = bits.read_u8(5).ok_or(Malformed::Short)?.saturating_add(1);
        let (template_count, mut templates) = read_layers(bits)?;
        let used = templates.get_mut(..usize::from(template_count)).unwrap_or_default();
        for template in used.iter_mut() {
            template.indications = Indications::read(bits, decode_target_count).ok_or(Malformed::Short)?;
        }
        for _ in used.iter() {
            skip_template_frame_differences(bits).ok_or(Malformed::Short)?;
        }
        let chain_count = skip_chains(bits, decode_target_count, template_count).ok_or(Malformed::Short)?;
        let spatial_max = used.last().map_or(0, |template| template.spatial);
        let resolutions = if bits.flag().ok_or(Malformed::Short)? {
            Some(read_resolutions(bits, spatial_max).ok_or(Malformed::Short)?)
        } else {
            None
        };
        Ok(Self {
            template_id_offset,
            template_count,
            templates,
            decode_target_count,
            chain_count,
            resolutions,
        })
    }
}

impl Indications {
    /// What the frame is to decode target `target`.
    #[must_use]
    pub fn of(self, target: u8) -> Indication {
        match self.0.checked_shr(u32::from(target) << 1).unwrap_or(0) & 3 {
            0 => Indication::NotPresent,
            1 => Indication::Discardable,
            2 => Indication::Switch,
            _ => Indication::Required,
        }
    }

    fn read(bits: &mut Bits<'_>, count: u8) -> Option<Self> {
        let mut all = 0_u64;
        for target in 0..u32::from(count) {
            all |= u64::from(bits.read(2)?).checked_shl(target << 1)?;
        }
        Some(Self(all))
    }
}

/// A.8.2, template_layers: how each template's layers follow from the one before.
fn read_layers(bits: &mut Bits<'_>) -> Result<(u8, [Template; TEMPLATES_MAX]), Malformed> {
    let mut templates = [Template::default(); TEMPLATES_MAX];
    let mut next = Template::default();
    for (count, template) in (1_u8..).zip(templates.iter_mut()) {
        *template = next;
        match bits.read(2).ok_or(Malformed::Short)? {
            0 => {}
            1 => next.temporal = next.temporal.saturating_add(1),
            2 => next = Template { spatial: next.spatial.saturating_add(1), ..Template::default() },
            _ => return Ok((count, templates)),
        }
        if next.temporal >= TEMPORAL_LAYERS_MAX || usize::from(next.spatial) >= SPATIAL_LAYERS_MAX {
            return Err(Malformed::TooMany);
        }
    }
    Err(Malformed::TooMany)
}

fn skip_template_frame_differences(bits: &mut Bits<'_>) -> Option<()> {
    while bits.flag()? {
        bits.read(4)?;
    }
    Some(())
}

fn skip_frame_differences(bits: &mut Bits<'_>) -> Option<()> {
    loop {
        let size = bits.read(2)?;
        if size == 0 {
            return Some(());
        }
        bits.read(size << 2)?;
    }
}

/// A.8.2, template_chains; says how many chains there are.
fn skip_chains(bits: &mut Bits<'_>, decode_target_count: u8, template_count: u8) -> Option<u8> {
    let chain_count = bits.non_symmetric(decode_target_count.saturating_add(1))?;
    if chain_count == 0 {
        return Some(0);
    }
    for _ in 0..decode_target_count {
        bits.non_symmetric(chain_count)?;
    }
    for _ in 0..u16::from(template_count).saturating_mul(chain_count.into()) {
        bits.read(4)?;
    }
    Some(chain_count)
}

fn read_resolutions(bits: &mut Bits<'_>, spatial_max: u8) -> Option<[(u16, u16); SPATIAL_LAYERS_MAX]> {
    let mut resolutions = [(0, 0); SPATIAL_LAYERS_MAX];
    for resolution in resolutions.iter_mut().take(usize::from(spatial_max).saturating_add(1)) {
        // Each less one; 65,536 is written as 65,535.
        let mut side = || bits.read(16).map(|side| u16::try_from(side).unwrap_or(u16::MAX).saturating_add(1));
        *resolution = (side()?, side()?);
    }
    Some(resolutions)
}

#[cfg(test)]
mod tests;
