//! The structure that descriptors refer to: templates, decode targets and the chains that protect them (appendix A.4.5).

use super::bits::Bits;
use super::{
    CHAINS_MAX, DECODE_TARGETS_MAX, DIFFERENCES_MAX, Flags, MANDATORY_LEN, Malformed, SPATIAL_LAYERS_MAX,
    TEMPLATES_MAX, TEMPORAL_LAYERS_MAX,
};

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

/// How many frames back the frames are that a frame refers to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    all: [u16; DIFFERENCES_MAX],
    count: u8,
}

/// What many frames have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Template {
    pub spatial: u8,
    pub temporal: u8,
    pub indications: Indications,
    pub differences: Differences,
    pub chain_differences: [u8; CHAINS_MAX],
}

/// The frames that it takes to show a certain size at a certain rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecodeTarget {
    /// The highest spatial and the highest temporal layer of its frames.
    pub spatial: u8,
    pub temporal: u8,
    /// The chain that protects it; 0 as well if there are no chains.
    pub chain: u8,
}

/// The templates that the descriptors of a stream refer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {
    template_id_offset: u8,
    template_count: u8,
    templates: [Template; TEMPLATES_MAX],
    decode_target_count: u8,
    decode_targets: [DecodeTarget; DECODE_TARGETS_MAX],
    chain_count: u8,
    /// Lowest spatial layer first; `None` if the structure does not say.
    pub resolutions: Option<[(u16, u16); SPATIAL_LAYERS_MAX]>,
}

impl Structure {
    /// The structure that a descriptor brings, if it does.
    pub fn brought_by(data: &[u8]) -> Result<Option<Self>, Malformed> {
        let mut bits = Bits::new(data.get(MANDATORY_LEN..).unwrap_or_default());
        match Flags::read(&mut bits) {
            Some(flags) if flags.structure => Self::read(&mut bits).map(Some),
            _ => Ok(None),
        }
    }

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

    #[must_use]
    pub fn decode_targets(&self) -> &[DecodeTarget] {
        self.decode_targets.get(..usize::from(self.decode_target_count)).unwrap_or_default()
    }

    /// 0: nothing is protected, and what is missing shows only in frames that refer to it.
    #[must_use]
    pub const fn chain_count(&self) -> u8 {
        self.chain_count
    }

    /// A bit for each decode target.
    #[must_use]
    pub fn all_decode_targets(&self) -> u32 {
        u32::MAX.checked_shr(32_u32.saturating_sub(self.decode_target_count.into())).unwrap_or(0)
    }

    pub(super) fn read(bits: &mut Bits<'_>) -> Result<Self, Malformed> {
        let template_id_offset = bits.read_u8(6).ok_or(Malformed::Short)?;
        let decode_target_count = bits.read_u8(5).ok_or(Malformed::Short)?.saturating_add(1);
        let (template_count, templates) = read_layers(bits)?;
        let mut structure = Self {
            template_id_offset,
            template_count,
            templates,
            decode_target_count,
            decode_targets: [DecodeTarget::default(); DECODE_TARGETS_MAX],
            chain_count: 0,
            resolutions: None,
        };
        for template in structure.templates_mut() {
            template.indications = Indications::read(bits, decode_target_count).ok_or(Malformed::Short)?;
        }
        for template in structure.templates_mut() {
            template.differences = read_differences(bits)?;
        }
        structure.read_chains(bits).ok_or(Malformed::Short)?;
        if bits.flag().ok_or(Malformed::Short)? {
            let spatial_max = structure.templates().last().map_or(0, |template| template.spatial);
            structure.resolutions = Some(read_resolutions(bits, spatial_max).ok_or(Malformed::Short)?);
        }
        structure.settle_layers();
        Ok(structure)
    }

    /// A.4.1, template_chains.
    fn read_chains(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        let chain_count = bits.non_symmetric(self.decode_target_count.saturating_add(1))?;
        self.chain_count = chain_count;
        if chain_count == 0 {
            return Some(());
        }
        for target in self.decode_targets.iter_mut().take(self.decode_target_count.into()) {
            target.chain = bits.non_symmetric(chain_count)?;
        }
        for template in self.templates_mut() {
            for difference in template.chain_differences.iter_mut().take(chain_count.into()) {
                *difference = bits.read_u8(4)?;
            }
        }
        Some(())
    }

    /// A decode target has the layers of the frames that belong to it.
    fn settle_layers(&mut self) {
        let templates = self.templates.get(..usize::from(self.template_count)).unwrap_or_default();
        for (at, target) in (0..self.decode_target_count).zip(&mut self.decode_targets) {
            for template in templates.iter().filter(|it| it.indications.of(at) != Indication::NotPresent) {
                target.spatial = target.spatial.max(template.spatial);
                target.temporal = target.temporal.max(template.temporal);
            }
        }
    }

    fn templates_mut(&mut self) -> &mut [Template] {
        self.templates.get_mut(..usize::from(self.template_count)).unwrap_or_default()
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

    pub(super) fn read(bits: &mut Bits<'_>, count: u8) -> Option<Self> {
        let mut all = 0_u64;
        for target in 0..u32::from(count) {
            all |= u64::from(bits.read(2)?).checked_shl(target << 1)?;
        }
        Some(Self(all))
    }
}

impl FromIterator<Indication> for Indications {
    /// For decode target 0 and on; what is beyond the last possible one is left out.
    fn from_iter<I: IntoIterator<Item = Indication>>(indications: I) -> Self {
        let all = (0_u32..).zip(indications).fold(0, |all, (target, indication)| {
            all | (indication as u64).checked_shl(target.saturating_mul(2)).unwrap_or(0)
        });
        Self(all)
    }
}

impl Differences {
    /// `None` if there are as many as there may be.
    pub fn push(&mut self, difference: u16) -> Option<()> {
        *self.all.get_mut(usize::from(self.count))? = difference;
        self.count = self.count.saturating_add(1);
        Some(())
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn iter(&self) -> impl Iterator<Item = u16> {
        self.all.iter().copied().take(self.count.into())
    }
}

/// A.4.1, template_layers: how each template's layers follow from the one before.
fn read_layers(bits: &mut Bits<'_>) -> Result<(u8, [Template; TEMPLATES_MAX]), Malformed> {
    let mut templates = [Template::default(); TEMPLATES_MAX];
    let (mut spatial, mut temporal) = (0_u8, 0_u8);
    for (count, template) in (1_u8..).zip(templates.iter_mut()) {
        (template.spatial, template.temporal) = (spatial, temporal);
        match bits.read(2).ok_or(Malformed::Short)? {
            0 => {}
            1 => temporal = temporal.saturating_add(1),
            2 => (spatial, temporal) = (spatial.saturating_add(1), 0),
            _ => return Ok((count, templates)),
        }
        if temporal >= TEMPORAL_LAYERS_MAX || usize::from(spatial) >= SPATIAL_LAYERS_MAX {
            return Err(Malformed::TooMany);
        }
    }
    Err(Malformed::TooMany)
}

/// A.4.1, template_fdiffs, of one template.
fn read_differences(bits: &mut Bits<'_>) -> Result<Differences, Malformed> {
    let mut differences = Differences::default();
    while bits.flag().ok_or(Malformed::Short)? {
        let less_one = bits.read_u8(4).ok_or(Malformed::Short)?;
        differences.push(u16::from(less_one).saturating_add(1)).ok_or(Malformed::TooMany)?;
    }
    Ok(differences)
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
