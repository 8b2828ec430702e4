//! One peer connection: what was agreed, and what must never change again.

use proto::media::v1 as proto;
use serde::{Deserialize, Serialize};

use crate::negotiate::answer::{self, Question};
use crate::negotiate::error::NegotiationError;
use crate::negotiate::extension::Extensions;
use crate::negotiate::offer;
use crate::negotiate::outcome::{Answered, Negotiated, Offered, PeerDescription};
use crate::negotiate::receive::Estimate;
use crate::negotiate::section::{Section, Sending};
use crate::negotiate::setup::{IceCredentials, Setup};
use crate::negotiate::track::{AnnouncedTrack, SendTrack};
use crate::negotiate::transport::{DtlsRole, Transport};

/// A peer connection's negotiation state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub(super) role: Role,
    pub(super) id: u64,
    pub(super) version: u64,
    pub(super) transport: Transport,
    /// As many as the last description had, in its order.
    pub(super) sections: Vec<Section>,
    pub(super) extensions: Extensions,
    pub(super) uplink: Uplink,
    /// The client's, once data channels are negotiated.
    pub(super) sctp_port: Option<u16>,
    pub(super) message_size_max: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Role {
    Answerer,
    Offerer {
        data_channels: bool,
        awaits_answer: bool,
        /// Credentials for the next offer.
        fresh: Option<IceCredentials>,
    },
}

/// Feedback that the client understands for what it sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Uplink {
    #[default]
    None,
    TransportCc,
    Remb,
}

impl Session {
    /// The client offers: the publisher's peer connection, or the only one.
    #[must_use]
    pub fn answerer(local: IceCredentials) -> Self {
        Self::new(Role::Answerer, local)
    }

    /// We offer: the subscriber's peer connection.
    #[must_use]
    pub fn offerer(local: IceCredentials, with_data_channels: bool) -> Self {
        let role = Role::Offerer { data_channels: with_data_channels, awaits_answer: false, fresh: None };
        Self::new(role, local)
    }

    fn new(role: Role, local: IceCredentials) -> Self {
        Self {
            role,
            id: description_id(&local.ufrag),
            version: 0,
            transport: Transport::new(local),
            sections: Vec::new(),
            extensions: Extensions::default(),
            uplink: Uplink::None,
            sctp_port: None,
            message_size_max: 0,
        }
    }

    /// Answers an offer. `spare` becomes the credentials of the new ICE generation if the offer starts one.
    pub fn receive_offer(
        &mut self,
        setup: &Setup,
        offer_sdp: &str,
        announced: &[AnnouncedTrack],
        sends: &[SendTrack],
        spare: &IceCredentials,
    ) -> Result<Answered, NegotiationError> {
        if self.role != Role::Answerer {
            return Err(NegotiationError::UnexpectedOffer);
        }
        let offer = sdp::session::Session::parse(offer_sdp)?;
        let mut next = self.clone();
        let question = Question { setup, offer: &offer, announced, sends, spare };
        let answered = answer::answer(&mut next, question)?;
        *self = next;
        Ok(answered)
    }

    /// Makes the next offer, with all of `sends`. Of a session that answers: an offer of nothing.
    pub fn offer(&mut self, setup: &Setup, sends: &[SendTrack]) -> Offered {
        offer::offer(self, setup, sends)
    }

    /// Takes the answer to our last offer. Tracks that left `sends` since are not in the outcome.
    pub fn receive_answer(
        &mut self,
        answer_sdp: &str,
        sends: &[SendTrack],
    ) -> Result<Negotiated, NegotiationError> {
        if !self.awaits_answer() {
            return Err(NegotiationError::UnexpectedAnswer);
        }
        let answer = sdp::session::Session::parse(answer_sdp)?;
        let mut next = self.clone();
        let negotiated = offer::receive_answer(&mut next, &answer, sends)?;
        *self = next;
        Ok(negotiated)
    }

    /// Our next offer starts a new ICE generation with `fresh`; earlier credentials stay valid.
    pub fn restart_ice(&mut self, credentials: IceCredentials) {
        if let Role::Offerer { fresh, .. } = &mut self.role {
            *fresh = Some(credentials);
        }
    }

    pub(super) fn learn_estimate(&mut self, estimate: Estimate) {
        self.uplink = match (self.uplink, estimate) {
            // It holds for the whole connection, so one section that knows it is enough.
            (_, Estimate::TransportCc) => Uplink::TransportCc,
            (Uplink::None, Estimate::Remb) => Uplink::Remb,
            (known, _) => known,
        };
    }

    /// The section of one subscription carries another one from now on, of the same track: to the client it is what it
    /// was, from other sources.
    pub fn hand_over(&mut self, from: u64, to: u64) {
        for section in self.sections.iter_mut().filter(|section| section.carries() == Some(from)) {
            section.sending = Sending::Carrying(to);
        }
    }

    /// Whether a section carries the subscription, as far as we are concerned.
    #[must_use]
    pub fn carries(&self, subscription: u64) -> bool {
        self.sections.iter().any(|section| section.carries() == Some(subscription))
    }

    /// An offer of ours is not answered yet: a second one must wait.
    #[must_use]
    pub const fn awaits_answer(&self) -> bool {
        matches!(self.role, Role::Offerer { awaits_answer: true, .. })
    }

    /// Our credentials, newest first, as `proto::Peer` has them.
    #[must_use]
    pub fn local_ice(&self) -> Vec<proto::IceCredentials> {
        self.transport.local_ice()
    }

    /// The client's ufrags in the order of `local_ice`; empty: not known yet.
    #[must_use]
    pub fn remote_ufrags(&self) -> Vec<String> {
        self.transport.remote_ufrags()
    }

    /// The transport as far as it was agreed.
    #[must_use]
    pub fn peer(&self) -> PeerDescription {
        PeerDescription {
            local_ice: self.local_ice(),
            remote_ufrags: self.remote_ufrags(),
            remote_fingerprints: self.transport.fingerprints_to_proto(),
            dtls_role: self.transport.dtls.map_or(proto::DtlsRole::Server, DtlsRole::to_proto),
            receive_extensions: self.extensions.receive_to_proto(),
            send_extensions: self.extensions.send_to_proto(),
            sctp: self.sctp_port.map(|port| proto::Sctp {
                remote_port: port.into(),
                message_size_max: self.message_size_max,
                channels: self.channels(),
            }),
            uplink_feedback: match self.uplink {
                Uplink::None => proto::UplinkFeedback::None,
                Uplink::TransportCc => proto::UplinkFeedback::TransportCc,
                Uplink::Remb => proto::UplinkFeedback::Remb,
            },
        }
    }

    /// The channels that we open, as LiveKit has them on the subscriber's peer connection.
    fn channels(&self) -> Vec<proto::DataChannel> {
        if !matches!(self.role, Role::Offerer { data_channels: true, .. }) {
            return Vec::new();
        }
        let channel = |label: &str, ordered, retransmits_max| proto::DataChannel {
            label: label.to_owned(),
            ordered,
            retransmits_max,
        };
        vec![
            channel("_reliable", true, None),
            channel("_lossy", false, Some(0)),
            channel("_data_track", false, Some(0)),
        ]
    }
}

/// The number of an `o=` line: constant over the life of the connection and unlike that of others (RFC 8866 §5.2),
/// 63 bits (RFC 8829 §5.2.1). FNV-1a over the first ufrag, which is both.
fn description_id(ufrag: &str) -> u64 {
    let hash = ufrag.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash >> 1
}

#[cfg(test)]
mod properties;
