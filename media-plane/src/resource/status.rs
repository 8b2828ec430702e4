//! What is so now with a resource, as events told it: part of a snapshot.

use proto::key::Kind;
use proto::media::v1::{
    self, PeerStatus, PublicationStatus, SourceStarted, SubscriptionStatus, TransportState, status,
};

#[derive(Clone, Debug, PartialEq)]
pub enum Status {
    /// Rooms and routes have none.
    None,
    Peer {
        state: TransportState,
        secured: Option<Secured>,
    },
    Publication(Vec<SourceStarted>),
    Subscription(SubscriptionStatus),
}

/// What the DTLS handshake agreed on: the names of the SRTP profile and of the DTLS version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Secured {
    pub profile: &'static str,
    pub version: &'static str,
}

impl Status {
    #[must_use]
    pub const fn new(kind: Kind) -> Self {
        match kind {
            Kind::Room | Kind::Route => Self::None,
            Kind::Peer => Self::Peer { state: TransportState::New, secured: None },
            Kind::Publication => Self::Publication(Vec::new()),
            Kind::Subscription => Self::Subscription(SubscriptionStatus { started: false, stalled: false }),
        }
    }

    /// The last source of each layer is kept.
    pub fn source_started(&mut self, source: SourceStarted) {
        if let Self::Publication(sources) = self {
            sources.retain(|other| other.layer != source.layer);
            sources.push(source);
        }
    }

    #[must_use]
    pub fn message(&self) -> Option<v1::Status> {
        let status = match self {
            Self::None => return None,
            Self::Peer { state, .. } => status::Status::Peer(PeerStatus { state: (*state).into() }),
            Self::Publication(sources) => {
                status::Status::Publication(PublicationStatus { sources: sources.clone() })
            }
            Self::Subscription(status) => status::Status::Subscription(*status),
        };
        Some(v1::Status { status: Some(status) })
    }
}
