//! One peer connection of a participant: its negotiation, its transport, its resource.

use proto::media::v1 as proto;

use crate::negotiate::session::Session;
use crate::room::clock::Time;
use crate::room::state::Record;

#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    pub id: u64,
    /// On which it lives, for good.
    pub worker: u16,
    pub session: Session,
    /// The SSRC of our RTCP on this connection.
    pub rtcp_ssrc: u32,
    pub transport: proto::TransportState,
    /// The id of our last description on it; offers of ours count up from anywhere.
    pub description_id: u32,
    /// A description of both sides was exchanged.
    pub negotiated: bool,
    /// The ufrag of ours whose candidates were trickled.
    pub trickled: Option<String>,
    pub negotiation: Negotiation,
    /// Sections of the client's last offer on which it would receive, and nothing is sent: audio and video.
    pub free: (u32, u32),
}

/// When the next negotiation of what is *sent* on a connection takes place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Negotiation {
    /// To offer (two connections), or to ask for an offer (one).
    pub due: Option<Time>,
    /// The client owes us an answer, or an offer, since then.
    pub awaiting: Option<Time>,
    /// Something changed while we waited.
    pub again: bool,
    pub last: Option<Time>,
}

impl Peer {
    #[must_use]
    pub fn new(id: u64, worker: u16, session: Session, rtcp_ssrc: u32, description_id: u32) -> Self {
        Self {
            id,
            worker,
            session,
            rtcp_ssrc,
            transport: proto::TransportState::New,
            description_id,
            negotiated: false,
            trickled: None,
            negotiation: Negotiation::default(),
            free: (0, 0),
        }
    }

    #[must_use]
    pub fn resource(&self, room: &Record) -> proto::Peer {
        let description = self.session.peer();
        proto::Peer {
            id: self.id,
            room: room.id,
            local_ice: description.local_ice,
            remote_ufrags: description.remote_ufrags,
            remote_fingerprints: description.remote_fingerprints,
            dtls_role: description.dtls_role.into(),
            receive_extensions: description.receive_extensions,
            send_extensions: description.send_extensions,
            sctp: description.sctp,
            uplink_feedback: description.uplink_feedback.into(),
            rtcp_ssrc: self.rtcp_ssrc,
            worker: (self.worker != room.worker).then_some(self.worker.into()),
        }
    }
}
