//! Who hears what in a room: rights, stamps, destinations, duplicates, and what a joiner has missed.
//!
//! The rules are those of livekit-server 1.13 (`pkg/rtc/participant.go` and `room.go`: data packets).

use std::time::Instant;

use bytes::Bytes;
use indexmap::IndexMap;
use units::handle::{PeerId, RoomId, RouteId};

use crate::data::association::{MESSAGE_MAX, Received};
use crate::data::channel::Kind;
use crate::data::expected::Expected;
use crate::data::history::{Audience, Entry, History};
use crate::data::listeners::Listeners;
use crate::data::packet::{Packet, Stamp, Value};
use crate::data::rate::Bucket;
use crate::data::track_packet::TrackPacket;
use crate::helper::input::{ReplayData, RouteSpec, SendData};

/// Of one participant.
const BYTES_PER_SECOND: u64 = 2_000_000;
const BYTES_BURST: u64 = 4_000_000;

#[derive(Debug, Default)]
pub struct Router {
    rooms: IndexMap<RoomId, Room>,
    /// The room of each route.
    routes: IndexMap<RouteId, RoomId>,
    /// The route that a peer serves, in either direction.
    by_peer: IndexMap<PeerId, RouteId>,
    /// Answers to the server side that nobody took yet.
    replies: Vec<Reply>,
}

#[derive(Debug, Default)]
struct Room {
    routes: IndexMap<RouteId, Route>,
    history: History,
    listeners: Listeners,
    expected: Expected,
}

#[derive(Debug)]
struct Route {
    spec: RouteSpec,
    rate: Bucket,
    /// Of its data tracks: a flood of them costs no reliable packet.
    track_rate: Bucket,
    /// Of the last reliable packet that numbers itself.
    last_sequence: u32,
    /// Reliable packets reach the participant.
    ready: bool,
    /// Number of the room's first reliable packet that is meant for the participant.
    joined: u64,
}

/// Why a message went to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discard {
    NoRoute,
    NotPermitted,
    TooLarge,
    Rate,
    Malformed,
    Duplicate,
    Metrics,
    /// Nobody is sent the data track.
    NoListener,
}

/// A message and the peers on whose channel of that label it goes out.
#[derive(Debug, PartialEq, Eq)]
pub struct Delivery {
    pub label: Box<str>,
    pub text: bool,
    pub bytes: Bytes,
    pub peers: Vec<PeerId>,
}

impl Router {
    pub fn upsert(&mut self, now: Instant, spec: RouteSpec) {
        let id = spec.id;
        if self.routes.get(&id).is_some_and(|&room| room != spec.room) {
            self.delete(id);
        }
        let room = self.rooms.entry(spec.room).or_default();
        let next = room.history.next();
        let before = room.routes.get(&id).map(|route| (route.spec.receive_peer, route.spec.send_peer));
        self.routes.insert(id, spec.room);
        for peer in before.into_iter().flat_map(|(receive, send)| [receive, send]) {
            self.by_peer.shift_remove(&peer);
        }
        self.by_peer.insert(spec.receive_peer, id);
        self.by_peer.insert(spec.send_peer, id);
        match room.routes.get_mut(&id) {
            Some(route) => {
                room.listeners.remove(id, &route.spec.data_subscriptions);
                room.listeners.add(id, &spec.data_subscriptions);
                let elsewhere = route.spec.send_peer != spec.send_peer;
                // What was said while it was not to hear stays unsaid.
                if elsewhere || (spec.can_receive && !route.spec.can_receive) {
                    route.joined = next;
                }
                route.ready &= !elsewhere;
                route.spec = spec;
            }
            None => {
                room.listeners.add(id, &spec.data_subscriptions);
                let rate = Bucket::new(now, BYTES_PER_SECOND, BYTES_BURST);
                let route =
                    Route { spec, rate, track_rate: rate, last_sequence: 0, ready: false, joined: next };
                room.routes.insert(id, route);
            }
        }
    }

    pub fn delete(&mut self, id: RouteId) {
        let Some(room_id) = self.routes.swap_remove(&id) else {
            return;
        };
        if let Some(room) = self.rooms.get_mut(&room_id) {
            if let Some(route) = room.routes.shift_remove(&id) {
                self.by_peer.swap_remove(&route.spec.receive_peer);
                self.by_peer.swap_remove(&route.spec.send_peer);
                room.listeners.remove(id, &route.spec.data_subscriptions);
                room.expected.forget(id);
            }
            if room.routes.is_empty() {
                self.rooms.swap_remove(&room_id);
            }
        }
    }

    pub fn delete_room(&mut self, id: RoomId) {
        let routes: Vec<_> =
            self.rooms.get(&id).into_iter().flat_map(|room| room.routes.keys().copied()).collect();
        for route in routes {
            self.delete(route);
        }
    }

    /// The participant's reliable channel is open: it is handed what was sent since it joined.
    ///
    /// `None` if that was known already, or the peer is not one on which a participant receives.
    pub fn ready(&mut self, now: Instant, peer: PeerId) -> Option<Ready> {
        let id = *self.by_peer.get(&peer)?;
        let room_id = *self.routes.get(&id)?;
        let room = self.rooms.get_mut(&room_id)?;
        room.history.forget(now);
        let route = room.routes.get_mut(&id).filter(|route| !route.ready && route.spec.send_peer == peer)?;
        route.ready = true;
        let missed = room
            .history
            .since(route.joined)
            .filter(|entry| entry.sender != Some(id) && route.hears(&entry.audience))
            .map(|entry| entry.bytes.clone())
            .collect();
        Some(Ready { room: room_id, route: id, missed })
    }

    /// The peer's channels are gone.
    pub fn unready(&mut self, peer: PeerId) {
        let Some(room) = self.by_peer.get(&peer).and_then(|id| self.routes.get(id)) else {
            return;
        };
        if let Some(room) = self.rooms.get_mut(room) {
            let next = room.history.next();
            for route in room.routes.values_mut().filter(|route| route.ready && route.spec.send_peer == peer)
            {
                (route.ready, route.joined) = (false, next);
            }
        }
    }

    /// A message from a participant's channel.
    ///
    /// # Errors
    /// If it goes to nobody for a reason; an empty delivery means that nobody was there.
    pub fn receive(
        &mut self,
        now: Instant,
        from: PeerId,
        message: &Received,
    ) -> Result<Vec<Delivery>, Discard> {
        let id = *self.by_peer.get(&from).ok_or(Discard::NoRoute)?;
        let room_id = *self.routes.get(&id).ok_or(Discard::NoRoute)?;
        let room = self.rooms.get_mut(&room_id).ok_or(Discard::NoRoute)?;
        let sender = room.routes.get_mut(&id).ok_or(Discard::NoRoute)?;
        if !sender.spec.can_send {
            return Err(Discard::NotPermitted);
        }
        if message.bytes.len() > MESSAGE_MAX as usize {
            return Err(Discard::TooLarge);
        }
        let rate = if message.kind == Kind::DataTrack { &mut sender.track_rate } else { &mut sender.rate };
        if !rate.take(now, message.bytes.len() as u64) {
            return Err(Discard::Rate);
        }
        match message.kind {
            Kind::DataTrack => room.forward(id, &message.bytes),
            Kind::Raw => Ok(vec![room.broadcast_raw(id, message)]),
            Kind::Reliable | Kind::Lossy => {
                match room.receive_packet(now, id, message.kind, &message.bytes)? {
                    Some(delivery) => Ok(vec![delivery]),
                    None => {
                        self.replies.push(Reply { room: room_id, route: id, packet: message.bytes.clone() });
                        Ok(Vec::new())
                    }
                }
            }
        }
    }

    /// A packet from the server side. It is taken at its word.
    ///
    /// # Errors
    /// If the room does not exist or the packet is malformed.
    pub fn send(&mut self, now: Instant, data: &SendData) -> Result<Delivery, Discard> {
        let room = self.rooms.get_mut(&data.room).ok_or(Discard::NoRoute)?;
        let packet = Packet::parse(&data.packet).map_err(|_| Discard::Malformed)?;
        let audience = Audience { routes: data.routes.as_slice().into(), ..audience_of(&packet) };
        if let Some(route) = data.routes.first().filter(|_| !data.reply_to.is_empty()) {
            room.expected.expect(&data.reply_to, *route);
        }
        let kind = if data.reliable { Kind::Reliable } else { Kind::Lossy };
        Ok(room.deliver(
            now,
            kind,
            Entry { sender: None, sender_sid: "".into(), sequence: 0, audience, bytes: data.packet.clone() },
        ))
    }

    /// The next answer to the server side.
    pub fn take_reply(&mut self) -> Option<Reply> {
        self.replies.pop()
    }

    /// What a participant that resumes has not seen of the senders that it names.
    #[must_use]
    pub fn replay(&mut self, now: Instant, replay: &ReplayData) -> Option<(PeerId, Vec<Bytes>)> {
        let room = self.routes.get(&replay.route).and_then(|room| self.rooms.get_mut(room))?;
        room.history.forget(now);
        let route = room.routes.get(&replay.route)?;
        let missed = room.history.since(route.joined).filter(|entry| {
            entry.sender != Some(replay.route)
                && route.hears(&entry.audience)
                && replay
                    .received
                    .iter()
                    .any(|(sid, last)| **sid == *entry.sender_sid && entry.sequence > *last)
        });
        Some((route.spec.send_peer, missed.map(|entry| entry.bytes.clone()).collect()))
    }

    #[must_use]
    pub fn last_sequence(&self, route: RouteId) -> Option<u32> {
        let room = self.rooms.get(self.routes.get(&route)?)?;
        room.routes.get(&route).map(|route| route.last_sequence)
    }

    /// The peer on which a route's participant receives.
    #[must_use]
    pub fn send_peer(&self, route: RouteId) -> Option<PeerId> {
        let room = self.rooms.get(self.routes.get(&route)?)?;
        room.routes.get(&route).map(|route| route.spec.send_peer)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }
}

/// A participant's answer to what the server side sent it.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    pub room: RoomId,
    pub route: RouteId,
    pub packet: Bytes,
}

/// A participant that can be reached from now on.
#[derive(Debug, PartialEq, Eq)]
pub struct Ready {
    pub room: RoomId,
    pub route: RouteId,
    /// For its reliable channel, oldest first.
    pub missed: Vec<Bytes>,
}

impl Room {
    /// `None`: it is an answer to the server side.
    fn receive_packet(
        &mut self,
        now: Instant,
        id: RouteId,
        kind: Kind,
        bytes: &Bytes,
    ) -> Result<Option<Delivery>, Discard> {
        let sender = self.routes.get_mut(&id).ok_or(Discard::NoRoute)?;
        let packet = Packet::parse(bytes).map_err(|_| Discard::Malformed)?;
        if kind == Kind::Reliable && packet.sequence != 0 {
            if packet.sequence <= sender.last_sequence {
                return Err(Discard::Duplicate);
            }
            sender.last_sequence = packet.sequence;
        }
        if kind == Kind::Reliable && self.expected.take(id, &packet.destinations) {
            return Ok(None);
        }
        let spec = &sender.spec;
        let may_speak_for_others = match packet.value.ok_or(Discard::Malformed)? {
            Value::Speaker => return Err(Discard::NotPermitted),
            Value::Transcription if !spec.agent => return Err(Discard::NotPermitted),
            Value::Metrics => return Err(Discard::Metrics),
            Value::Transcription | Value::Chat | Value::Stream => spec.agent,
            Value::User | Value::Other => false,
        };
        let own = if spec.hidden { "" } else { &*spec.identity };
        let stamp = Stamp {
            identity: if may_speak_for_others && !packet.identity.is_empty() { packet.identity } else { own },
            sid: &spec.sid,
            user_sid: if spec.hidden { "" } else { &spec.sid },
            kind,
        };
        let entry = Entry {
            sender: Some(id),
            sender_sid: spec.sid.as_str().into(),
            sequence: packet.sequence,
            audience: audience_of(&packet),
            bytes: Bytes::from(packet.stamped(&stamp)),
        };
        Ok(Some(self.deliver(now, kind, entry)))
    }

    fn deliver(&mut self, now: Instant, kind: Kind, entry: Entry) -> Delivery {
        let hearing = self
            .routes
            .iter()
            .filter(|&(&id, route)| entry.sender != Some(id) && route.ready && route.hears(&entry.audience));
        let peers = hearing.map(|(_, route)| route.spec.send_peer).collect();
        let label = if kind == Kind::Reliable { "_reliable" } else { "_lossy" };
        let delivery = Delivery { label: label.into(), text: false, bytes: entry.bytes.clone(), peers };
        if kind == Kind::Reliable {
            self.history.push(now, entry);
        }
        delivery
    }

    /// A packet of a data track: each listener gets it under its own handle.
    fn forward(&self, publisher: RouteId, bytes: &Bytes) -> Result<Vec<Delivery>, Discard> {
        let packet = TrackPacket::parse(bytes).map_err(|_| Discard::Malformed)?;
        let mut deliveries = Vec::new();
        for group in self.listeners.by_handle(publisher, packet.handle) {
            let Some(handle) = group.first().map(|listener| listener.handle) else { continue };
            let routes = group.iter().filter_map(|listener| self.routes.get(&listener.route));
            deliveries.push(Delivery {
                label: "_data_track".into(),
                text: false,
                bytes: packet.under(handle),
                peers: routes.map(|route| route.spec.send_peer).collect(),
            });
        }
        if deliveries.is_empty() { Err(Discard::NoListener) } else { Ok(deliveries) }
    }

    fn broadcast_raw(&self, from: RouteId, message: &Received) -> Delivery {
        let others = self.routes.iter().filter(|&(&id, route)| id != from && route.spec.can_receive);
        Delivery {
            label: message.label.as_str().into(),
            text: message.text,
            bytes: message.bytes.clone(),
            peers: others.map(|(_, route)| route.spec.send_peer).collect(),
        }
    }
}

impl Route {
    fn hears(&self, audience: &Audience) -> bool {
        self.spec.can_receive && audience.includes(self.spec.id, &self.spec.identity, &self.spec.sid)
    }
}

fn audience_of(packet: &Packet<'_>) -> Audience {
    let boxed = |names: &[&str]| names.iter().map(|name| Box::from(*name)).collect();
    Audience {
        routes: Box::default(),
        identities: boxed(&packet.destinations),
        sids: boxed(&packet.destination_sids),
    }
}

#[cfg(test)]
mod tests;
