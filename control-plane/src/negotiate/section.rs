//! What a session remembers of each media section: the least that later negotiations depend on.

use sdp::section::{Kind as Line, MediaSection};
use serde::{Deserialize, Serialize};

use crate::negotiate::codec::Kind;
use crate::negotiate::error::NegotiationError;

/// A media section's place: its index is that of its `m=` line, and never changes (RFC 8829 §5.2.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Section {
    pub(super) mid: String,
    pub(super) purpose: Purpose,
    /// Port 0 in the last description: the place may be taken by another section.
    pub(super) rejected: bool,
    /// The client sends here, or did.
    pub(super) received: Option<Received>,
    pub(super) sending: Sending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Purpose {
    Media(Kind),
    Data,
    /// Nothing that we know: always rejected.
    Other,
}

/// The announced track that a section was matched to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Received {
    pub(super) track_sid: Option<String>,
    pub(super) cid: Option<String>,
}

/// What is sent on a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Sending {
    Free,
    /// A subscription.
    Carrying(u64),
    /// It carried one, and the client has not been told yet, or has not answered: without a negotiation in which
    /// nothing is sent here, a client would take the next track for the same one (no `track` event).
    Resting,
}

impl Section {
    pub(super) const fn new(mid: String, purpose: Purpose) -> Self {
        Self { mid, purpose, rejected: false, received: None, sending: Sending::Free }
    }

    pub(super) const fn carries(&self) -> Option<u64> {
        match self.sending {
            Sending::Carrying(subscription) => Some(subscription),
            Sending::Free | Sending::Resting => None,
        }
    }

    pub(super) const fn is_for(&self, kind: Kind) -> bool {
        matches!(
            (self.purpose, kind),
            (Purpose::Media(Kind::Audio), Kind::Audio) | (Purpose::Media(Kind::Video), Kind::Video)
        )
    }
}

impl Purpose {
    pub(super) const fn of(section: &MediaSection) -> Self {
        match section.kind {
            Line::Audio => Self::Media(Kind::Audio),
            Line::Video => Self::Media(Kind::Video),
            Line::Application => Self::Data,
            Line::Other(_) => Self::Other,
        }
    }
}

/// Brings the remembered sections in line with a client's offer: it may add sections, and put new ones where one
/// was rejected (RFC 8829 §5.3.1), but neither drop nor change any.
pub(super) fn follow(sections: &mut Vec<Section>, offered: &[MediaSection]) -> Result<(), NegotiationError> {
    if offered.len() < sections.len() {
        return Err(NegotiationError::SectionsLost { expected: sections.len(), found: offered.len() });
    }
    for (index, offered) in offered.iter().enumerate() {
        let mid = offered.mid.as_deref().unwrap_or_default();
        let purpose = Purpose::of(offered);
        match sections.get_mut(index) {
            Some(section) if section.mid == mid && section.purpose == purpose => {}
            // What is dead needs no name.
            Some(section) if offered.is_rejected() && section.purpose == purpose && mid.is_empty() => {}
            Some(section) if section.rejected => *section = Section::new(mid.to_owned(), purpose),
            Some(_) => return Err(NegotiationError::SectionChanged { section: index }),
            None => sections.push(Section::new(mid.to_owned(), purpose)),
        }
        if let Some(section) = sections.get_mut(index) {
            section.rejected = offered.is_rejected();
        }
    }
    check_mids(sections)
}

fn check_mids(sections: &[Section]) -> Result<(), NegotiationError> {
    let mut seen = std::collections::HashSet::new();
    for (index, section) in sections.iter().enumerate().filter(|(_, section)| !section.rejected) {
        // The media plane matches packets by MID, which it holds in place.
        let fits = (1..=units::rtp::NAME_LEN_MAX).contains(&section.mid.len());
        if !fits || !seen.insert(section.mid.as_str()) {
            return Err(NegotiationError::BadMid { section: index });
        }
    }
    Ok(())
}
