//! A participant: who it is, what it may do, its peer connections, and what it has subscribed to.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use livekit_protocol::client_info::Capability;
use livekit_protocol::{
    AddTrackRequest, ClientInfo, ConnectionSettings, ParticipantPermission, SubscriptionPermission,
    participant_info,
};
use serde::{Deserialize, Serialize};

use crate::auth::grants::Claims;
use crate::room::clock::Time;
use crate::room::data::Data;
use crate::room::effect::ConnectionId;
use crate::room::names::{ParticipantSid, TrackSid};
use crate::room::peer::{Negotiation, Peer};
use crate::room::subscription::{Settings, Subscription};

#[derive(Clone, Debug, PartialEq)]
pub struct Participant {
    pub profile: Profile,
    /// The client offers on it: the publisher's peer connection, or the only one.
    pub publisher: Peer,
    /// We offer on it. Absent: one peer connection for both ways.
    pub subscriber: Option<Peer>,
    pub subscriptions: IndexMap<TrackSid, Subscription>,
    /// Announced tracks and published ones, in the order of `add_track`.
    pub tracks: Vec<TrackSid>,
    /// The WebSocket, while there is one.
    pub connection: Option<ConnectionId>,
    /// It has heard nothing since then.
    pub absent_since: Option<Time>,
    pub timers: Timers,
    /// Tracks of which the client was told that it must not have them.
    pub denied: Vec<TrackSid>,
    /// How it wants to see tracks, once it is subscribed to them.
    pub wishes: BTreeMap<TrackSid, Settings>,
    /// Announcements of what is published already: they are answered when that ends.
    pub queued: Vec<AddTrackRequest>,
    /// From the last interval's measurements.
    pub score: f32,
    /// `simulate`: how the next resume goes wrong.
    pub sabotage: Option<Sabotage>,
}

/// What is known of a participant beyond its connections: what a successor needs to go on serving it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    pub sid: ParticipantSid,
    pub identity: String,
    pub claims: Claims,
    pub name: String,
    pub metadata: String,
    pub attributes: BTreeMap<String, String>,
    pub client: ClientInfo,
    pub settings: ConnectionSettings,
    pub joined_at: Time,
    pub stage: Stage,
    /// Increases with every change that others see.
    pub version: u32,
    /// It has published something: LiveKit's `is_publisher`.
    pub publishes: bool,
    /// The resource id of its place in the data plane.
    pub route: u64,
    /// Whom it lets subscribe to its tracks; absent: everybody.
    pub permission: Option<SubscriptionPermission>,
    /// It offered once and hears nothing: it cannot be asked for an offer.
    #[serde(default)]
    pub one_shot: bool,
    /// Tracks that the client asked for, or asked not to have; the others follow `auto_subscribe`.
    pub choices: BTreeMap<TrackSid, bool>,
    #[serde(default)]
    pub data: Data,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The join response is on its way.
    Joining,
    Joined,
    /// The primary peer connection was connected once.
    Active,
}

/// What happens to a participant if nothing else does before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timers {
    /// It must have a transport by then.
    pub join: Option<Time>,
    /// It gets a fresh token then.
    pub refresh: Option<Time>,
    /// Its transport failed: it is removed then, unless it recovers.
    pub cleanup: Option<Time>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// The signal connection ends right after the resume.
    AfterMessages,
    /// The signal connection ends before anything was said on it.
    BeforeMessages,
}

impl Participant {
    pub fn peers(&self) -> impl Iterator<Item = &Peer> {
        std::iter::once(&self.publisher).chain(&self.subscriber)
    }

    pub fn peers_mut(&mut self) -> impl Iterator<Item = &mut Peer> {
        std::iter::once(&mut self.publisher).chain(&mut self.subscriber)
    }

    /// The peer connection on which this participant receives.
    #[must_use]
    pub fn receiving(&self) -> &Peer {
        self.subscriber.as_ref().unwrap_or(&self.publisher)
    }

    pub fn receiving_mut(&mut self) -> &mut Peer {
        self.subscriber.as_mut().unwrap_or(&mut self.publisher)
    }

    /// The peer connection whose state is the participant's.
    #[must_use]
    pub fn primary(&self) -> &Peer {
        if self.profile.subscriber_primary() { self.receiving() } else { &self.publisher }
    }

    #[must_use]
    pub fn single_peer_connection(&self) -> bool {
        self.subscriber.is_none()
    }

    /// The WebSocket is gone, and with it whatever the client owed us an answer for.
    pub fn disconnect(&mut self, now: Time) -> Option<ConnectionId> {
        for peer in self.peers_mut() {
            peer.negotiation = Negotiation { last: peer.negotiation.last, ..Negotiation::default() };
        }
        self.absent_since = Some(now);
        self.connection.take()
    }

    /// Nobody hears or sees it: updates about it can wait for the next batch.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        !self.profile.publishes
    }
}

impl Profile {
    /// Whether the client takes what LiveKit's SDKs put behind video frames off again.
    #[must_use]
    pub fn knows_packet_trailers(&self) -> bool {
        self.client.capabilities().any(|capability| capability == Capability::CapPacketTrailer)
    }

    /// Since protocol 3 the subscriber's connection is the primary one.
    #[must_use]
    pub fn subscriber_primary(&self) -> bool {
        self.client.protocol > 2
    }

    #[must_use]
    pub fn hidden(&self) -> bool {
        self.claims.video.hidden
    }

    #[must_use]
    pub fn is_agent(&self) -> bool {
        self.claims.participant_kind() == participant_info::Kind::Agent || self.claims.video.agent
    }

    #[must_use]
    pub fn permission(&self) -> ParticipantPermission {
        self.claims.video.permission()
    }

    /// What the client wants of a track, whether or not it may have it.
    #[must_use]
    pub fn wants(&self, track: &TrackSid) -> bool {
        self.choices.get(track).copied().unwrap_or(self.settings.auto_subscribe)
    }
}
