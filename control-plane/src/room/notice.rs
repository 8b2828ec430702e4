//! Notices: what happened in a room, told to those outside of it who want to know.
//!
//! A step says what happened (`Effects::notices`); the room's actor hands it on, in order, to everybody who listens. What
//! a client is told of it waits for those listeners who keep it: whoever could know of a thing would find it kept, too.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use livekit_protocol::{ParticipantInfo, RoomAgentDispatch, RoomEndReason, TrackInfo};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::room::clock::Time;
use crate::room::info;
use crate::room::names::{ParticipantSid, TrackSid};
use crate::room::turn::Turn;

#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    pub at: Time,
    /// As it was right after.
    pub room: livekit_protocol::Room,
    /// Of a room that started: the agents that it was made with.
    pub agents: Vec<RoomAgentDispatch>,
    pub happened: Happened,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Happened {
    RoomStarted,
    RoomFinished {
        reason: RoomEndReason,
    },
    /// It is ACTIVE.
    ParticipantJoined {
        participant: Box<ParticipantInfo>,
    },
    /// It had been ACTIVE.
    ParticipantLeft {
        participant: Box<ParticipantInfo>,
    },
    /// It left before it was ACTIVE.
    ParticipantConnectionAborted {
        participant: Box<ParticipantInfo>,
    },
    TrackPublished {
        participant: Box<ParticipantInfo>,
        track: Box<TrackInfo>,
    },
    TrackUnpublished {
        participant: Box<ParticipantInfo>,
        track: Box<TrackInfo>,
    },
}

/// Somebody outside of the rooms. It is called in a room's own task: it takes what it is told, and returns at once.
pub trait Listener: fmt::Debug + Send + Sync {
    /// What one step brought about, in order. `Some`: resolves, or is dropped, when it is kept.
    fn hear(&self, notices: &[Notice]) -> Option<Kept>;
}

/// Resolves when a listener has what it heard where it survives the end of this process.
pub type Kept = oneshot::Receiver<()>;

/// Everybody who listens to the rooms of this server.
#[derive(Clone, Debug, Default)]
pub struct Listeners {
    listeners: Vec<Arc<dyn Listener>>,
}

impl Listeners {
    #[must_use]
    pub fn new(listeners: Vec<Arc<dyn Listener>>) -> Self {
        Self { listeners }
    }

    /// Tells everybody. Gives those for whom words to clients should wait.
    #[must_use]
    pub fn tell(&self, notices: &[Notice]) -> Vec<Kept> {
        if notices.is_empty() {
            return Vec::new();
        }
        self.listeners.iter().filter_map(|listener| listener.hear(notices)).collect()
    }
}

/// Waits until everything is kept, but not for long: a disk that hangs delays words a little, and calls not at all.
pub async fn kept(waits: Vec<Kept>) {
    let _ = timeout(KEPT_WITHIN, join_all(waits)).await;
}

/// The first step of a room says that there is one.
pub fn started(turn: &mut Turn<'_>) {
    if !std::mem::replace(&mut turn.room.announced, true) {
        notify(turn, Happened::RoomStarted);
    }
}

pub fn finished(turn: &mut Turn<'_>, reason: RoomEndReason) {
    notify(turn, Happened::RoomFinished { reason });
}

/// The participant is ACTIVE for the first time.
pub fn joined(turn: &mut Turn<'_>, who: &ParticipantSid) {
    if let Some(participant) = participant(turn, who) {
        notify(turn, Happened::ParticipantJoined { participant });
    }
}

/// `participant` is out of the room already.
pub fn left(turn: &mut Turn<'_>, participant: ParticipantInfo, was_active: bool) {
    let participant = Box::new(participant);
    notify(
        turn,
        if was_active {
            Happened::ParticipantLeft { participant }
        } else {
            Happened::ParticipantConnectionAborted { participant }
        },
    );
}

pub fn published(turn: &mut Turn<'_>, who: &ParticipantSid, sid: &TrackSid) {
    if let Some((participant, track)) = participant(turn, who).zip(live_track(turn, sid)) {
        notify(turn, Happened::TrackPublished { participant, track });
    }
}

/// A track is about to end; of one that never was live nobody was told.
pub fn unpublished(turn: &mut Turn<'_>, who: &ParticipantSid, sid: &TrackSid) {
    if let Some((participant, track)) = participant(turn, who).zip(live_track(turn, sid)) {
        notify(turn, Happened::TrackUnpublished { participant, track });
    }
}

fn notify(turn: &mut Turn<'_>, happened: Happened) {
    let room = info::room(turn.room, &turn.surroundings.config);
    let starts = happened == Happened::RoomStarted;
    let agents = if starts { turn.room.record.agents.clone() } else { Vec::new() };
    turn.effects.notices.push(Notice { at: turn.now, room, agents, happened });
}

fn participant(turn: &Turn<'_>, who: &ParticipantSid) -> Option<Box<ParticipantInfo>> {
    Some(Box::new(info::participant(turn.room, turn.participant(who)?)))
}

fn live_track(turn: &Turn<'_>, sid: &TrackSid) -> Option<Box<TrackInfo>> {
    let record = &turn.room.tracks.get(sid)?.record;
    record.live.then(|| Box::new(record.info.clone()))
}

/// Handing it to the operating system takes a fraction of a millisecond.
const KEPT_WITHIN: Duration = Duration::from_millis(200);
