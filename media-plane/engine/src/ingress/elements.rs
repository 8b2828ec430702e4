//! The header extension elements of a received packet, by meaning instead of by the publisher's ids (RFC 8285).

use units::rtp::{Mid, Rid};
use units::sequence::Seq16;
use wire::extension::{AudioLevel, TransportSequence};
use wire::rtp::Header;

use crate::command::{ExtensionKind, Extensions};
use crate::ingress::source::Names;

/// The meaning of each extension id of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtensionIds {
    by_kind: [Option<u8>; KINDS],
}

impl ExtensionIds {
    #[must_use]
    pub fn new(extensions: &Extensions) -> Self {
        let mut ids = Self::default();
        for (id, kind) in &extensions.0 {
            if let Some(slot) = ids.by_kind.get_mut(*kind as usize) {
                *slot = Some(*id);
            }
        }
        ids
    }

    #[must_use]
    pub fn id(&self, kind: ExtensionKind) -> Option<u8> {
        self.by_kind.get(kind as usize).copied().flatten()
    }

    /// The content of the element that means `kind`.
    #[must_use]
    pub fn find<'a>(&self, header: &Header<'a>, kind: ExtensionKind) -> Option<&'a [u8]> {
        header.extension(self.id(kind)?)
    }

    #[must_use]
    pub fn transport_sequence(&self, header: &Header<'_>) -> Option<Seq16> {
        let data = self.find(header, ExtensionKind::TransportCc)?;
        TransportSequence::read(data).map(|number| number.0)
    }

    #[must_use]
    pub fn audio_level(&self, header: &Header<'_>) -> Option<AudioLevel> {
        self.find(header, ExtensionKind::AudioLevel).and_then(AudioLevel::read)
    }

    #[must_use]
    pub fn names(&self, header: &Header<'_>) -> Names {
        Names {
            mid: self.find(header, ExtensionKind::Mid).and_then(Mid::new),
            rid: self.find(header, ExtensionKind::Rid).and_then(Rid::new),
            repaired_rid: self.find(header, ExtensionKind::RepairedRid).and_then(Rid::new),
        }
    }
}

const KINDS: usize = ExtensionKind::VideoOrientation as usize + 1;
