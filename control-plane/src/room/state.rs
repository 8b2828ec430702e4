//! A room: who is in it, what is published in it, and what is due when.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use indexmap::IndexMap;
use livekit_protocol::{ParticipantInfo, RoomAgentDispatch};
use serde::{Deserialize, Serialize};

use crate::room::clock::Time;
use crate::room::effect::ConnectionId;
use crate::room::measurements::Measurements;
use crate::room::names::{ParticipantSid, TrackSid};
use crate::room::participant::{Participant, Timers};
use crate::room::performing::Pending;
use crate::room::playout_delay::PlayoutDelay;
use crate::room::sending::Nonces;
use crate::room::track::Track;

#[derive(Debug)]
pub struct Room {
    pub record: Record,
    pub participants: IndexMap<ParticipantSid, Participant>,
    pub tracks: IndexMap<TrackSid, Track>,
    pub directory: Directory,
    pub connections: HashMap<ConnectionId, ParticipantSid>,
    /// Who left lately: a client that resumes is told of them.
    pub departed: VecDeque<Departed>,
    /// What the clients know of who speaks, and how loud.
    pub speakers: BTreeMap<ParticipantSid, f32>,
    /// Updates about silent participants that wait for the next batch.
    pub batch: IndexMap<ParticipantSid, ParticipantInfo>,
    /// Calls of participants' methods that are not answered yet, by id.
    pub rpcs: BTreeMap<String, Pending>,
    pub timers: RoomTimers,
    pub measurements: Measurements,
    /// The counts that the clients know.
    pub told_counts: (u32, u32),
    /// Those outside were told that there is a room.
    pub announced: bool,
    /// Of data from the server API.
    pub nonces: Nonces,
    /// The media plane has the room's resource.
    pub written: bool,
    /// It is over: the actor ends.
    pub closed: bool,
}

/// What a successor needs to know of the room itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The resource id.
    pub id: u64,
    /// `RM_…`
    pub sid: String,
    pub name: String,
    pub metadata: String,
    pub created_at: Time,
    pub worker: u16,
    pub empty_timeout_seconds: u32,
    pub departure_timeout_seconds: u32,
    /// 0: any number.
    pub max_participants: u32,
    pub turn_password: String,
    pub sif_trailer: String,
    #[serde(default)]
    pub playout_delay: Option<PlayoutDelay>,
    /// What one participant publishes is one stream for others, so that their browsers play it in step.
    #[serde(default)]
    pub sync_streams: bool,
    /// Agents that were asked for with the room.
    #[serde(default)]
    pub agents: Vec<RoomAgentDispatch>,
}

/// Whose the media plane's ids are.
#[derive(Debug, Default)]
pub struct Directory {
    pub peers: HashMap<u64, ParticipantSid>,
    pub publications: HashMap<u64, TrackSid>,
    pub subscriptions: HashMap<u64, (ParticipantSid, TrackSid)>,
    pub routes: HashMap<u64, ParticipantSid>,
}

#[derive(Clone, Debug)]
pub struct Departed {
    pub at: Time,
    pub info: ParticipantInfo,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoomTimers {
    pub batch: Option<Time>,
    pub counts: Option<Time>,
    pub quality: Option<Time>,
    /// Nobody is here: the room closes then.
    pub close: Option<Time>,
}

impl Room {
    #[must_use]
    pub fn new(record: Record) -> Self {
        let close =
            record.created_at.after(std::time::Duration::from_secs(record.empty_timeout_seconds.into()));
        Self {
            record,
            participants: IndexMap::new(),
            tracks: IndexMap::new(),
            directory: Directory::default(),
            connections: HashMap::new(),
            departed: VecDeque::new(),
            speakers: BTreeMap::new(),
            batch: IndexMap::new(),
            rpcs: BTreeMap::new(),
            timers: RoomTimers { close: Some(close), ..RoomTimers::default() },
            measurements: Measurements::default(),
            told_counts: (0, 0),
            announced: false,
            nonces: Nonces::default(),
            written: false,
            closed: false,
        }
    }

    /// The participant that speaks on a connection; a connection that was superseded is nobody's.
    #[must_use]
    pub fn of_connection(&self, connection: ConnectionId) -> Option<ParticipantSid> {
        self.connections.get(&connection).cloned()
    }

    #[must_use]
    pub fn of_identity(&self, identity: &str) -> Option<ParticipantSid> {
        let mut participants = self.participants.values();
        participants
            .find(|participant| participant.profile.identity == identity)
            .map(|found| found.profile.sid.clone())
    }

    /// Participants and publishers, as clients see them: hidden ones are not counted.
    #[must_use]
    pub fn counts(&self) -> (u32, u32) {
        let seen = || self.participants.values().filter(|participant| !participant.profile.hidden());
        let publishers = seen().filter(|participant| participant.profile.publishes).count();
        (u32::try_from(seen().count()).unwrap_or(u32::MAX), u32::try_from(publishers).unwrap_or(u32::MAX))
    }

    /// Everybody who is subscribed to a track.
    #[must_use]
    pub fn subscribers(&self, track: &TrackSid) -> BTreeSet<ParticipantSid> {
        let subscribed =
            self.participants.values().filter(|participant| participant.subscriptions.contains_key(track));
        subscribed.map(|participant| participant.profile.sid.clone()).collect()
    }

    /// When there is something to do although nobody asks for it.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        let RoomTimers { batch, counts, quality, close } = self.timers;
        let participants = self.participants.values().flat_map(|participant| {
            let Timers { join, refresh, cleanup } = participant.timers;
            let negotiations = participant.peers().filter_map(|peer| peer.negotiation.deadline());
            [join, refresh, cleanup].into_iter().flatten().chain(negotiations)
        });
        let tracks = self.tracks.values().filter_map(|track| track.demand.as_ref()?.deadline());
        let rpcs = self.rpcs.values().map(Pending::deadline);
        [batch, counts, quality, close]
            .into_iter()
            .flatten()
            .chain(participants)
            .chain(tracks)
            .chain(rpcs)
            .min()
    }

    /// Finds anew whose the resources are.
    pub fn rebuild_directory(&mut self) {
        let mut directory = Directory::default();
        for (sid, participant) in &self.participants {
            directory.routes.insert(participant.profile.route, sid.clone());
            directory.peers.extend(participant.peers().map(|peer| (peer.id, sid.clone())));
            let subscriptions = participant.subscriptions.values();
            directory.subscriptions.extend(
                subscriptions
                    .map(|subscription| (subscription.id, (sid.clone(), subscription.track.clone()))),
            );
        }
        for (sid, track) in &self.tracks {
            directory
                .publications
                .extend(track.publications.iter().map(|publication| (publication.id, sid.clone())));
        }
        self.directory = directory;
    }
}
