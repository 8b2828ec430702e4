//! A room without a media plane or a network: clients that speak SDP, a model of what was written, and the rules that
//! hold after every step.

mod actor;
mod admitting;
mod calls;
mod client;
mod codecs;
mod data;
mod dynacast;
mod extensions;
mod joining;
mod limits;
mod notices;
mod one_shot;
mod owners;
mod performing;
mod properties;
mod publishing;
mod requests;
mod restoring;
mod rules;
mod stage;
mod stalling;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::{ClientInfo, ConnectionSettings, ReconnectReason, ServerInfo, signal_request};
use proto::command::Command;
use proto::media::v1 as proto;
use proto::resource::Spec;
use proto::resource_key::Key;

use crate::auth::grants::{Claims, VideoGrant};
use crate::config::Config;
use crate::negotiate::codec::EnabledCodecs;
use crate::negotiate::setup::{Candidate, Protocol, Setup};
use crate::room::call::{Answer, Call, CallError, CallId};
use crate::room::clock::Time;
use crate::room::effect::{ConnectionId, Effects, Refused, Say};
use crate::room::join::{Arrival, JoinError};
use crate::room::mint::Mint;
use crate::room::names::ParticipantSid;
use crate::room::notice::Notice;
use crate::room::opening;
use crate::room::request::Request;
use crate::room::state::Room;
use crate::room::step::step;
use crate::room::surroundings::Surroundings;
use crate::room::tests::client::Client;
use crate::room::tests::notices::Outsider;

/// A room and everybody around it.
pub(super) struct World {
    pub(super) room: Room,
    pub(super) mint: Mint,
    pub(super) surroundings: Surroundings,
    pub(super) now: Time,
    /// What each connection heard and nobody looked at yet.
    pub(super) heard: BTreeMap<ConnectionId, Vec<Heard>>,
    /// The same, for the clients to act on.
    pub(super) inbox: BTreeMap<ConnectionId, Vec<Response>>,
    pub(super) closed: BTreeSet<ConnectionId>,
    pub(super) denied: BTreeMap<ConnectionId, JoinError>,
    pub(super) refused: Vec<Refused>,
    pub(super) answers: BTreeMap<CallId, Result<Answer, CallError>>,
    /// What those outside were told and nobody looked at yet.
    pub(super) notices: Vec<Notice>,
    outsider: Outsider,
    pub(super) resources: BTreeMap<Name, proto::Resource>,
    /// Commands that are no upserts or deletions.
    pub(super) orders: Vec<Command>,
    pub(super) connections: u64,
}

/// A resource's kind and id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    Room(u64),
    Peer(u64),
    Publication(u64),
    Subscription(u64),
    Route(u64),
}

#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there are few of them, and patterns stay flat")]
pub(super) enum Heard {
    Message(Response),
    Token,
    Joined,
    TurnedAway,
}

impl Heard {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Message(message) => message_name(message),
            Self::Token => "refresh_token",
            Self::Joined => "(joined)",
            Self::TurnedAway => "(turned away)",
        }
    }
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(Config::default())
    }

    pub(super) fn with(config: Config) -> Self {
        let mut mint = Mint::from_seed(7);
        let now = Time(1_795_339_018_000_000);
        let room = opening::open(&config, &opening::wanted_by(&arrival("nobody")), 0, now, &mut mint);
        let candidate =
            Candidate { address: IpAddr::V4(Ipv4Addr::LOCALHOST), port: 7882, protocol: Protocol::Udp };
        let surroundings = Surroundings {
            config: Arc::new(config),
            server_info: ServerInfo { version: "1.13.5".into(), protocol: 17, ..ServerInfo::default() },
            next_worker: 0,
            candidates: (0..3).map(|index| vec![Candidate { port: 7882 + index, ..candidate }]).collect(),
            setup: Setup {
                fingerprint_sha256: [7; 32],
                candidates: Vec::new(),
                enabled_codecs: EnabledCodecs::default(),
                playout_delay: room.record.playout_delay.is_some(),
            },
        };
        Self {
            room,
            mint,
            surroundings,
            now,
            heard: BTreeMap::new(),
            inbox: BTreeMap::new(),
            closed: BTreeSet::new(),
            denied: BTreeMap::new(),
            refused: Vec::new(),
            answers: BTreeMap::new(),
            notices: Vec::new(),
            outsider: Outsider::default(),
            resources: BTreeMap::new(),
            orders: Vec::new(),
            connections: 0,
        }
    }

    /// Joins and goes through everything that a client does until it is connected.
    pub(super) fn connect(&mut self, arrival: Arrival) -> Client {
        let mut client = self.join(arrival);
        client.settle(self);
        self.transport(&client, proto::TransportState::Connected);
        self.advance(Duration::from_millis(300));
        client.settle(self);
        self.heard.clear();
        client
    }

    pub(super) fn join(&mut self, arrival: Arrival) -> Client {
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        let client = Client::new(connection, &arrival);
        self.step(Request::Join { connection, arrival: Box::new(arrival), last_message_sequence: 42 });
        client
    }

    pub(super) fn say(&mut self, client: &Client, message: signal_request::Message) {
        self.step(Request::Signal { connection: client.connection, message: Box::new(message) });
    }

    pub(super) fn disconnect(&mut self, client: &Client) {
        self.step(Request::Disconnected { connection: client.connection });
    }

    pub(super) fn media(&mut self, event: proto::event::Event) {
        self.step(Request::Media(event));
    }

    /// The participant's primary connection changes its state.
    pub(super) fn transport(&mut self, client: &Client, state: proto::TransportState) {
        let peer = self.participant(client).primary().id;
        self.peer_transport(peer, state, proto::FailureReason::Unspecified);
    }

    pub(super) fn peer_transport(
        &mut self,
        peer: u64,
        state: proto::TransportState,
        reason: proto::FailureReason,
    ) {
        self.media(proto::event::Event::Transport(proto::TransportChanged {
            peer,
            state: state.into(),
            reason: reason.into(),
            ..proto::TransportChanged::default()
        }));
    }

    /// The first packets of everything that is published and not live yet.
    pub(super) fn packets_arrive(&mut self) {
        let silent = self.room.tracks.values().filter(|track| !track.record.live);
        let publications = silent.flat_map(|track| &track.publications);
        let started: Vec<proto::SourceStarted> = publications
            .filter_map(|publication| {
                Some(proto::SourceStarted {
                    publication: publication.id,
                    layer: 0,
                    ssrc: 1,
                    payload_type: publication.codecs.first()?.payload_type.into(),
                })
            })
            .collect();
        for started in started {
            self.media(proto::event::Event::SourceStarted(started));
        }
    }

    /// Lets time pass, with everything that falls due on the way.
    pub(super) fn advance(&mut self, duration: Duration) {
        let end = self.now.after(duration);
        while let Some(due) = self.room.next_deadline().filter(|due| *due <= end && !self.room.closed) {
            self.now = self.now.max(due);
            self.step(Request::Tick);
            let next = self.room.next_deadline();
            assert!(next.is_none_or(|next| next > self.now), "a deadline that nobody meets: {next:?}");
        }
        self.now = end;
    }

    pub(super) fn step(&mut self, request: Request) {
        let effects = step(&mut self.room, &mut self.mint, &self.surroundings, self.now, request);
        self.perform(effects);
        self.check();
    }

    /// What a connection heard since it was asked last.
    pub(super) fn hear(&mut self, client: &Client) -> Vec<Heard> {
        self.heard.remove(&client.connection).unwrap_or_default()
    }

    pub(super) fn hear_names(&mut self, client: &Client) -> Vec<&'static str> {
        self.hear(client).iter().map(Heard::name).collect()
    }

    pub(super) fn participant(&self, client: &Client) -> &crate::room::participant::Participant {
        let sid = self.room.of_identity(&client.identity).expect("the participant is in the room");
        &self.room.participants[&sid]
    }

    pub(super) fn sid(&self, client: &Client) -> ParticipantSid {
        self.participant(client).profile.sid.clone()
    }

    pub(super) fn count(&self, matches: impl Fn(&Name) -> bool) -> usize {
        self.resources.keys().filter(|name| matches(name)).count()
    }

    /// Asks something as the server API does; absent: it is answered later.
    pub(super) fn call(&mut self, call: Call) -> Option<Result<Answer, CallError>> {
        self.connections += 1;
        let id = CallId(self.connections);
        self.step(Request::Call { id, call: Box::new(call) });
        self.answers.remove(&id)
    }

    fn perform(&mut self, effects: Effects) {
        for write in effects.writes {
            match write {
                Command::Upsert(resource) => self.upsert(resource),
                Command::Delete(key) => self.delete(key.key.expect("a key")),
                order => self.orders.push(order),
            }
        }
        for say in effects.says {
            match say {
                Say::Send { connection, message } => self.tell(connection, Heard::Message(*message)),
                Say::Token { connection, .. } => self.tell(connection, Heard::Token),
                Say::Joined { connection, .. } => self.tell(connection, Heard::Joined),
                Say::TurnedAway { connection } => self.tell(connection, Heard::TurnedAway),
                Say::Close { connection } => {
                    self.closed.insert(connection);
                }
                Say::Denied { connection, error } => {
                    self.denied.insert(connection, error);
                }
                Say::Answered { call, answer } => {
                    assert!(self.answers.insert(call, *answer).is_none(), "{call:?} is answered twice");
                }
            }
        }
        self.refused.extend(effects.refused);
        effects.notices.iter().for_each(|notice| self.outsider.hear(notice));
        self.notices.extend(effects.notices);
    }

    fn tell(&mut self, connection: ConnectionId, heard: Heard) {
        assert!(!self.closed.contains(&connection), "a closed connection is told {}", heard.name());
        assert!(
            connection.0 >= 1 && connection.0 <= self.connections,
            "an unknown connection is told something"
        );
        if let Heard::Message(message) = &heard {
            self.inbox.entry(connection).or_default().push(message.clone());
        }
        self.heard.entry(connection).or_default().push(heard);
    }

    /// As the contract has it: what a resource refers to must be there.
    fn upsert(&mut self, resource: proto::Resource) {
        let spec = resource.spec.as_ref().expect("a resource");
        let name = Name::of(spec);
        for needed in references(spec) {
            assert!(self.resources.contains_key(&needed), "{name:?} is written before {needed:?}");
        }
        assert!(resource.state.len() <= 1024 * 1024);
        assert!(serde_json::from_slice::<serde_json::Value>(&resource.state).unwrap()["version"] == 1);
        self.resources.insert(name, resource);
    }

    fn delete(&mut self, key: Key) {
        let name = match key {
            Key::Room(id) => Name::Room(id),
            Key::Peer(id) => Name::Peer(id),
            Key::Publication(id) => Name::Publication(id),
            Key::Subscription(id) => Name::Subscription(id),
            Key::Route(id) => Name::Route(id),
        };
        assert!(self.resources.remove(&name).is_some(), "{name:?} is deleted, but was never written");
        let orphans: Vec<Name> = self
            .resources
            .iter()
            .filter(|(_, resource)| references(resource.spec.as_ref().unwrap()).contains(&name))
            .map(|(orphan, _)| *orphan)
            .collect();
        assert!(orphans.is_empty(), "{name:?} is deleted before {orphans:?}");
    }

    /// What holds after every step.
    pub(super) fn check(&self) {
        let room = &self.room;
        self.outsider.check(room);
        for (sid, participant) in &room.participants {
            for (track, subscription) in &participant.subscriptions {
                let found = room.tracks.get(track).expect("what is subscribed exists");
                assert!(found.record.live && found.record.publisher != *sid);
                assert!(found.publications.iter().any(|one| one.id == subscription.publication));
                let written = self.resources.contains_key(&Name::Subscription(subscription.id));
                assert_eq!(
                    written,
                    subscription.is_negotiated(),
                    "a subscription is written when it has a section"
                );
            }
            let mut ssrcs: Vec<u32> = vec![participant.receiving().rtcp_ssrc];
            let subscriptions = participant.subscriptions.values();
            ssrcs.extend(subscriptions.flat_map(|one| [one.ssrc, one.rtx_ssrc]).filter(|ssrc| *ssrc != 0));
            let unique: BTreeSet<u32> = ssrcs.iter().copied().collect();
            assert_eq!(unique.len(), ssrcs.len(), "SSRCs are unique in a peer");
            assert!(self.resources.contains_key(&Name::Route(participant.profile.route)));
            if let Some(connection) = participant.connection {
                assert_eq!(room.connections.get(&connection), Some(sid));
            }
            for track in &participant.tracks {
                assert_eq!(room.tracks[track].record.publisher, *sid);
            }
        }
        for (connection, sid) in &room.connections {
            assert_eq!(room.participants[sid].connection, Some(*connection));
            assert!(!self.closed.contains(connection), "a closed connection belongs to nobody");
        }
        for track in room.tracks.values() {
            assert!(room.participants[&track.record.publisher].tracks.contains(&track.sid()));
            for publication in &track.publications {
                assert!(self.resources.contains_key(&Name::Publication(publication.id)));
            }
        }
        self.check_mids();
        self.check_directory();
        if room.participants.is_empty() {
            let left: Vec<&Name> =
                self.resources.keys().filter(|name| !matches!(name, Name::Room(_))).collect();
            assert!(left.is_empty(), "an empty room keeps nothing: {left:?}");
        }
    }

    /// No two sections of a peer have the same mid, in either direction.
    fn check_mids(&self) {
        let mut seen = BTreeSet::new();
        for resource in self.resources.values() {
            let section = match resource.spec.as_ref().unwrap() {
                Spec::Publication(publication) => (publication.peer, publication.mid.clone(), "in"),
                Spec::Subscription(subscription) => (subscription.peer, subscription.mid.clone(), "out"),
                Spec::Room(_) | Spec::Peer(_) | Spec::Route(_) => continue,
            };
            assert!(seen.insert(section.clone()), "two things on one section: {section:?}");
        }
    }

    fn check_directory(&self) {
        let room = &self.room;
        let subscriptions: usize = room.participants.values().map(|one| one.subscriptions.len()).sum();
        let publications: usize = room.tracks.values().map(|track| track.publications.len()).sum();
        let peers: usize = room.participants.values().map(|one| one.peers().count()).sum();
        assert_eq!(room.directory.subscriptions.len(), subscriptions);
        assert_eq!(room.directory.publications.len(), publications);
        assert_eq!(room.directory.peers.len(), peers);
        assert_eq!(room.directory.routes.len(), room.participants.len());
        assert_eq!(self.count(|name| matches!(name, Name::Peer(_))), peers);
        assert_eq!(self.count(|name| matches!(name, Name::Publication(_))), publications);
        assert_eq!(self.count(|name| matches!(name, Name::Route(_))), room.participants.len());
    }
}

impl Name {
    fn of(spec: &Spec) -> Self {
        match spec {
            Spec::Room(room) => Self::Room(room.id),
            Spec::Peer(peer) => Self::Peer(peer.id),
            Spec::Publication(publication) => Self::Publication(publication.id),
            Spec::Subscription(subscription) => Self::Subscription(subscription.id),
            Spec::Route(route) => Self::Route(route.id),
        }
    }
}

fn references(spec: &Spec) -> Vec<Name> {
    match spec {
        Spec::Room(_) => vec![],
        Spec::Peer(peer) => vec![Name::Room(peer.room)],
        Spec::Publication(publication) => vec![Name::Room(publication.room), Name::Peer(publication.peer)],
        Spec::Subscription(subscription) => vec![
            Name::Room(subscription.room),
            Name::Peer(subscription.peer),
            Name::Publication(subscription.publication),
        ],
        Spec::Route(route) => {
            vec![Name::Room(route.room), Name::Peer(route.receive_peer), Name::Peer(route.send_peer)]
        }
    }
}

/// Somebody who may do everything, with two peer connections.
pub(super) fn arrival(identity: &str) -> Arrival {
    Arrival {
        room: "room".into(),
        claims: Claims {
            identity: identity.into(),
            name: identity.into(),
            expires_at: Some(1_795_339_018 + 6 * 3_600),
            video: VideoGrant { room_join: true, room: "room".into(), ..VideoGrant::default() },
            ..Claims::default()
        },
        client: ClientInfo { protocol: 16, ..ClientInfo::default() },
        settings: ConnectionSettings { auto_subscribe: true, ..ConnectionSettings::default() },
        single_peer_connection: false,
        one_shot: false,
        publish: None,
        participant_attributes: std::collections::HashMap::new(),
        metadata: String::new(),
        add_track_requests: Vec::new(),
        publisher_offer: None,
        reconnect: false,
        reconnect_reason: ReconnectReason::RrUnknown,
        participant_sid: String::new(),
        sync_state: None,
        remote_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
    }
}

/// The same with one peer connection.
pub(super) fn single(identity: &str) -> Arrival {
    Arrival { single_peer_connection: true, ..arrival(identity) }
}

fn message_name(message: &Response) -> &'static str {
    match message {
        Response::Join(_) => "join",
        Response::Answer(_) => "answer",
        Response::Offer(_) => "offer",
        Response::Trickle(_) => "trickle",
        Response::Update(_) => "update",
        Response::TrackPublished(_) => "track_published",
        Response::Leave(_) => "leave",
        Response::Mute(_) => "mute",
        Response::SpeakersChanged(_) => "speakers_changed",
        Response::RoomUpdate(_) => "room_update",
        Response::ConnectionQuality(_) => "connection_quality",
        Response::SubscriptionPermissionUpdate(_) => "subscription_permission_update",
        Response::TrackUnpublished(_) => "track_unpublished",
        Response::Reconnect(_) => "reconnect",
        Response::SubscriptionResponse(_) => "subscription_response",
        Response::RequestResponse(_) => "request_response",
        Response::TrackSubscribed(_) => "track_subscribed",
        Response::StreamStateUpdate(_) => "stream_state_update",
        Response::SubscribedQualityUpdate(_) => "subscribed_quality_update",
        Response::MediaSectionsRequirement(_) => "media_sections_requirement",
        Response::PublishDataTrackResponse(_) => "publish_data_track_response",
        Response::DataTrackSubscriberHandles(_) => "data_track_subscriber_handles",
        _ => "(another)",
    }
}
