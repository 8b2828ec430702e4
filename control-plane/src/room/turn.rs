//! One step in progress: the room, the time, and what has come of it so far.
//!
//! Verbs change the state and *touch* what they changed; at the end every touched resource is written once, as it then
//! is. So a verb cannot forget half of a write, and what is said is always preceded by what is so.

use std::collections::{BTreeMap, BTreeSet};

use livekit_protocol::signal_response::Message;
use proto::command::Command;
use proto::media::v1 as proto;
use proto::resource_key::Key;

use crate::room::call::{Answer, CallError, CallId};
use crate::room::clock::Time;
use crate::room::effect::{ConnectionId, Effects, Refused, Say};
use crate::room::mint::Mint;
use crate::room::names::{ParticipantSid, TrackSid};
use crate::room::participant::Participant;
use crate::room::state::Room;
use crate::room::subscription::Subscription;
use crate::room::surroundings::Surroundings;
use crate::room::{dynacast, keeping, subscribing};

#[derive(Debug)]
pub struct Turn<'a> {
    pub now: Time,
    pub room: &'a mut Room,
    pub mint: &'a mut Mint,
    pub surroundings: &'a Surroundings,
    pub effects: Effects,
    touched: Touched,
    /// Resources to be deleted, in the order in which nothing refers to them any more.
    deleted: BTreeMap<Floor, BTreeSet<u64>>,
    /// What is not a resource: data, and replays of it.
    orders: Vec<Command>,
}

#[derive(Debug, Default)]
struct Touched {
    room: bool,
    participants: BTreeSet<ParticipantSid>,
    peers: BTreeSet<u64>,
    publications: BTreeSet<u64>,
    subscriptions: BTreeSet<u64>,
    /// Tracks of which somebody may want more or less than before.
    demands: BTreeSet<TrackSid>,
    /// Who is sent less than before, and may want something else that its limit did not allow.
    vacancies: BTreeSet<ParticipantSid>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Floor {
    Subscription,
    Publication,
    Route,
    Peer,
    Room,
}

impl<'a> Turn<'a> {
    pub fn new(now: Time, room: &'a mut Room, mint: &'a mut Mint, surroundings: &'a Surroundings) -> Self {
        Self {
            now,
            room,
            mint,
            surroundings,
            effects: Effects::default(),
            touched: Touched::default(),
            deleted: BTreeMap::new(),
            orders: Vec::new(),
        }
    }

    pub fn participant(&self, sid: &ParticipantSid) -> Option<&Participant> {
        self.room.participants.get(sid)
    }

    pub fn participant_mut(&mut self, sid: &ParticipantSid) -> Option<&mut Participant> {
        self.room.participants.get_mut(sid)
    }

    /// Says something to a participant; who has no connection now hears it in what a resume tells.
    pub fn send(&mut self, to: &ParticipantSid, message: Message) {
        if let Some(connection) = self.participant(to).and_then(|participant| participant.connection) {
            self.send_on(connection, message);
        }
    }

    pub fn send_on(&mut self, connection: ConnectionId, message: Message) {
        self.effects.says.push(Say::Send { connection, message: Box::new(message) });
    }

    pub fn say(&mut self, say: Say) {
        self.effects.says.push(say);
    }

    /// Answers a call, in the step that it came with or in a later one.
    pub fn answer(&mut self, call: CallId, answer: Result<Answer, CallError>) {
        self.effects.says.push(Say::Answered { call, answer: Box::new(answer) });
    }

    pub fn refuse(&mut self, what: Refused) {
        self.effects.refused.push(what);
    }

    pub fn touch_room(&mut self) {
        self.touched.room = true;
    }

    /// The profile changed: it is kept with the participant's place in the data plane.
    pub fn touch_participant(&mut self, sid: &ParticipantSid) {
        self.touched.participants.insert(sid.clone());
    }

    pub fn touch_peer(&mut self, id: u64) {
        self.touched.peers.insert(id);
    }

    /// A track's record is kept with its publications; before there are any, with its publisher.
    pub fn touch_track(&mut self, sid: &TrackSid) {
        let Some(track) = self.room.tracks.get(sid) else { return };
        if track.publications.is_empty() {
            self.touched.participants.insert(track.record.publisher.clone());
        }
        self.touched.publications.extend(track.publications.iter().map(|publication| publication.id));
        self.touch_demand(sid);
    }

    pub fn touch_subscription(&mut self, id: u64) {
        self.touched.subscriptions.insert(id);
        if let Some((_, track)) = self.room.directory.subscriptions.get(&id) {
            self.touched.demands.insert(track.clone());
        }
    }

    /// Another participant wants the track, or one does no longer.
    pub fn touch_demand(&mut self, sid: &TrackSid) {
        self.touched.demands.insert(sid.clone());
    }

    pub fn delete_subscription(&mut self, subscription: &Subscription) {
        self.touch_demand(&subscription.track);
        let limits = &self.surroundings.config.limit;
        let limited = limits.subscription_limit_video > 0 || limits.subscription_limit_audio > 0;
        let owner = self.room.directory.subscriptions.remove(&subscription.id);
        self.touched.vacancies.extend(owner.filter(|_| limited).map(|(who, _)| who));
        if subscription.is_negotiated() {
            self.delete(Floor::Subscription, subscription.id);
        }
    }

    /// The client has no media section for it any more: what is subscribed stays, what is sent ends.
    pub fn pause_subscription(&mut self, id: u64) {
        self.delete(Floor::Subscription, id);
    }

    pub fn delete_publication(&mut self, id: u64) {
        self.room.directory.publications.remove(&id);
        self.delete(Floor::Publication, id);
    }

    pub fn delete_route(&mut self, id: u64) {
        self.room.directory.routes.remove(&id);
        self.delete(Floor::Route, id);
    }

    pub fn delete_peer(&mut self, id: u64) {
        self.room.directory.peers.remove(&id);
        self.delete(Floor::Peer, id);
    }

    pub fn delete_room(&mut self) {
        self.room.written = false;
        self.delete(Floor::Room, self.room.record.id);
    }

    /// Everything in the room is gone already on the media plane: nothing needs to be deleted there.
    pub fn forget_deletions(&mut self) {
        self.deleted.clear();
    }

    pub fn replay_data(&mut self, replay: proto::ReplayData) {
        self.orders.push(Command::ReplayData(replay));
    }

    pub fn send_data(&mut self, data: proto::SendData) {
        self.orders.push(Command::SendData(data));
    }

    fn delete(&mut self, floor: Floor, id: u64) {
        self.deleted.entry(floor).or_default().insert(id);
    }

    /// Turns what was touched into writes.
    #[must_use]
    pub fn finish(mut self) -> Effects {
        for who in std::mem::take(&mut self.touched.vacancies) {
            subscribing::take_up(&mut self, &who);
        }
        for sid in std::mem::take(&mut self.touched.demands) {
            dynacast::settle(&mut self, &sid);
        }
        let mut writes: Vec<Command> = Vec::new();
        for (floor, ids) in &self.deleted {
            writes.extend(
                ids.iter().map(|id| Command::Delete(proto::ResourceKey { key: Some(floor.key(*id)) })),
            );
        }
        let upserts = self.upserts();
        writes.extend(upserts.into_iter().map(Command::Upsert));
        writes.append(&mut self.orders);
        self.effects.writes = writes;
        self.effects
    }

    /// What is referred to comes before what refers to it.
    fn upserts(&mut self) -> Vec<proto::Resource> {
        // For somebody who is here: who left in this step may have been touched before.
        let inhabited = self.touched.participants.iter().any(|sid| self.room.participants.contains_key(sid));
        let first = !self.room.written && (inhabited || (self.touched.room && !self.room.closed));
        let mut resources = Vec::new();
        if first || (self.room.written && self.touched.room) {
            self.room.written = true;
            resources.push(keeping::room(&self.room.record, &self.surroundings.config.audio));
        }
        let room = &*self.room;
        resources.extend(self.touched.peers.iter().filter_map(|id| keeping::peer(room, *id)));
        resources.extend(self.touched.publications.iter().filter_map(|id| keeping::publication(room, *id)));
        resources.extend(self.touched.subscriptions.iter().filter_map(|id| keeping::subscription(room, *id)));
        resources.extend(self.touched.participants.iter().filter_map(|sid| keeping::route(room, sid)));
        resources
    }
}

impl Floor {
    const fn key(self, id: u64) -> Key {
        match self {
            Self::Subscription => Key::Subscription(id),
            Self::Publication => Key::Publication(id),
            Self::Route => Key::Route(id),
            Self::Peer => Key::Peer(id),
            Self::Room => Key::Room(id),
        }
    }
}
