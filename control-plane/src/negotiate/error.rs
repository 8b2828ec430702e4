//! Why a description was refused.

/// What is wrong with a client's description. The session is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NegotiationError {
    #[error("the description cannot be read: {0}")]
    Unreadable(#[from] sdp::error::Error),
    #[error("the peer connection takes no offers: the server offers")]
    UnexpectedOffer,
    #[error("there is no offer that waits for an answer")]
    UnexpectedAnswer,
    #[error("the description has {found} media sections, {expected} were negotiated before")]
    SectionsLost { expected: usize, found: usize },
    #[error("media section {section} is not the one that was negotiated before")]
    SectionChanged { section: usize },
    #[error("media section {section} has no mid, or one that is too long or taken")]
    BadMid { section: usize },
    #[error("there are no ICE credentials")]
    NoIceCredentials,
    #[error("there is no certificate fingerprint of a known hash function")]
    NoFingerprint,
    #[error("the DTLS role cannot be changed")]
    DtlsRoleChanged,
}
