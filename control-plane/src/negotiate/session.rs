//! One peer connection: what was agreed, and what must never change again.

use serde::{Deserialize, Serialize};

use crate::negotiate::error::NegotiationError;
use crate::negotiate::outcome::{Answered, Negotiated, Offered};
use crate::negotiate::setup::{IceCredentials, Setup};
use crate::negotiate::track::{AnnouncedTrack, SendTrack};

/// A peer connection's negotiation state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    ice: Vec<IceCredentials>,
    offers: bool,
}

impl Session {
    /// The client offers: the publisher's peer connection, or the only one.
    #[must_use]
    pub fn answerer(local: IceCredentials) -> Self {
        Self { ice: vec![local], offers: false }
    }

    /// We offer: the subscriber's peer connection.
    #[must_use]
    pub fn offerer(local: IceCredentials, _with_data_channels: bool) -> Self {
        Self { ice: vec![local], offers: true }
    }

    /// Answers an offer. `spare` becomes the credentials of the new ICE generation if the offer starts one.
    pub fn receive_offer(
        &mut self,
        _setup: &Setup,
        _offer_sdp: &str,
        _announced: &[AnnouncedTrack],
        _sends: &[SendTrack],
        _spare: &IceCredentials,
    ) -> Result<Answered, NegotiationError> {
        Err(NegotiationError::UnexpectedOffer)
    }

    /// Makes the next offer, with all of `sends`.
    pub fn offer(&mut self, _setup: &Setup, _sends: &[SendTrack]) -> Offered {
        Offered { sdp: String::new(), mid_to_track_id: std::collections::HashMap::new(), offer_again: false }
    }

    /// Takes the answer to our last offer. Tracks that left `sends` since are not in the outcome.
    pub fn receive_answer(&mut self, _answer_sdp: &str, _sends: &[SendTrack]) -> Result<Negotiated, NegotiationError> {
        Err(NegotiationError::UnexpectedAnswer)
    }

    /// Our next offer starts a new ICE generation with `fresh`; earlier credentials stay valid.
    pub fn restart_ice(&mut self, fresh: IceCredentials) {
        self.ice.insert(0, fresh);
    }

    /// An offer of ours is not answered yet: a second one must wait.
    #[must_use]
    pub const fn awaits_answer(&self) -> bool {
        false
    }

    /// Our credentials, newest first, as `proto::Peer` has them.
    #[must_use]
    pub fn local_ice(&self) -> Vec<proto::media::v1::IceCredentials> {
        self.ice.iter().map(IceCredentials::to_proto).collect()
    }

    /// The client's ufrags in the order of `local_ice`; empty: not known yet.
    #[must_use]
    pub fn remote_ufrags(&self) -> Vec<String> {
        vec![String::new(); self.ice.len()]
    }
}
