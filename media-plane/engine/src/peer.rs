//! One remote transport: who it is, where it is, and its two halves, ingress and egress.

pub mod blanks;
pub mod consent;
pub mod ice;
pub mod record_budget;
pub mod transport;

use alloc::vec::Vec;
use core::time::Duration;

use bwe::receive::ReceiveEstimate;
use indexmap::{IndexMap, IndexSet};
use srtp::cipher::Cipher;
use units::handle::{PeerId, PublicationId, RoomId, SubscriptionId};
use units::rtp::Ssrc;
use units::sequence::Seq16;
use units::time::Instant;

use crate::command::{PeerSpec, UplinkFeedback};
use crate::config::Limits;
use crate::egress::Egress;
use crate::event::TransportState;
use crate::hash::Seeded;
use crate::ingress::Ingress;
use crate::ingress::elements::ExtensionIds;
use crate::path::Path;
use crate::peer::blanks::Blanks;
use crate::peer::consent::{Consent, ConsentTimer};
use crate::peer::ice::Ice;
use crate::peer::record_budget::RecordBudget;
use crate::peer::transport::Transport;
use crate::quality::Totals;
use crate::slots::Slot;

#[derive(Debug)]
pub struct Peer<C: Cipher> {
    pub id: PeerId,
    pub room: Slot<RoomId>,
    pub ice: Ice,
    pub consent: ConsentTimer,
    pub transport: Transport<C>,
    pub records: RecordBudget,
    pub ingress: Ingress,
    pub egress: Egress,
    pub rtcp_ssrc: Ssrc,
    pub uplink: Uplink,
    pub publications: Vec<Slot<PublicationId>>,
    pub subscriptions: Vec<Slot<SubscriptionId>>,
    /// Which subscription sends under an SSRC; retransmissions too.
    pub streams: IndexMap<Ssrc, Slot<SubscriptionId>, Seeded>,
    /// SSRCs that sent under the present keys and are gone: used again, they would use SRTP indices twice.
    pub retired: IndexSet<Ssrc, Seeded>,
    /// Smoothed over what reports on streams to the peer tell, and answers to reference times.
    pub rtt: Option<Duration>,
    pub timers: Timers,
    pub blanks: Blanks,
}

/// The bandwidth feedback that the peer gets for what it sends.
#[derive(Debug)]
pub struct Uplink {
    pub feedback: UplinkFeedback,
    pub estimate: ReceiveEstimate,
    /// What the last estimate knew of.
    pub before: Totals,
}

/// When what is due that has no better place.
#[derive(Debug, Default)]
pub struct Timers {
    /// Receiver reports, and REMB with them.
    pub reports_at: Option<Instant>,
    /// Sender reports of the streams to the peer.
    pub sender_reports_at: Option<Instant>,
}

impl<C: Cipher> Peer<C> {
    #[must_use]
    pub fn new(spec: &PeerSpec, room: Slot<RoomId>, limits: &Limits, seed: Seeded) -> Self {
        let mut peer = Self {
            id: spec.id,
            room,
            ice: Ice::new(limits.tuples_per_peer),
            consent: ConsentTimer::default(),
            transport: Transport::default(),
            records: RecordBudget::default(),
            ingress: Ingress::new(ExtensionIds::default(), limits.sources_per_peer, seed),
            egress: Egress { ids: ExtensionIds::default(), transport_sequence: Seq16(0) },
            rtcp_ssrc: spec.rtcp_ssrc,
            uplink: Uplink {
                feedback: spec.uplink_feedback,
                estimate: ReceiveEstimate::default(),
                before: Totals::default(),
            },
            publications: Vec::new(),
            subscriptions: Vec::new(),
            streams: IndexMap::with_hasher(seed),
            retired: IndexSet::with_hasher(seed),
            rtt: None,
            timers: Timers::default(),
            blanks: Blanks::default(),
        };
        peer.update(spec);
        peer
    }

    /// Takes what `spec` says; what is the same stays as it is.
    pub fn update(&mut self, spec: &PeerSpec) {
        self.ice.update(spec);
        self.ingress.ids = ExtensionIds::new(&spec.receive_extensions);
        self.egress.ids = ExtensionIds::new(&spec.send_extensions);
        self.rtcp_ssrc = spec.rtcp_ssrc;
        self.uplink.feedback = spec.uplink_feedback;
    }

    /// Where to send to, while the peer consents.
    #[must_use]
    pub fn destination(&self) -> Option<Path> {
        self.ice.selected().filter(|_| self.consent.may_send())
    }

    /// What has become of the transport, as it is told.
    #[must_use]
    pub fn transport_state(&self) -> Option<TransportState> {
        self.transport.state(self.ice.selected(), self.consent.state())
    }

    /// Whether another peer may take its paths over: it has not been heard of for as long as consent lasts.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.consent.state() == Consent::Ended
    }
}
