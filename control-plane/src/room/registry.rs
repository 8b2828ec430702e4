//! The rooms of this server by name: opened by whoever joins first, forgotten when they close.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use livekit_protocol::{CreateRoomRequest, DisconnectReason, ServerInfo, leave_request, signal_response};
use tokio::sync::{mpsc, oneshot};
use tracing::Instrument;

use crate::auth::revocation::Revocations;
use crate::auth::token::Keys;
use crate::config::live::Live;
use crate::media::placement::Planes;
use crate::media::plane::Plane;
use crate::room::actor::{Actor, Start};
use crate::room::admission;
use crate::room::call::{Answer, Call, CallError};
use crate::room::census::{Counts, Joins, Refusals, Tally};
use crate::room::clock::Clock;
use crate::room::effect::{ConnectionId, Refused};
use crate::room::inbox::{Letter, WAITING_MAX};
use crate::room::join::{Arrival, Join, JoinError, Joined, Limit, ParticipantHandle};
use crate::room::notice::Listeners;
use crate::room::place::Place;
use crate::room::{leaving, opening};

/// What rooms are made with.
#[derive(Debug)]
pub struct Context {
    pub config: Live,
    pub keys: Arc<Keys>,
    pub planes: Planes,
    pub server_info: ServerInfo,
    /// Who is told what happens in rooms.
    pub listeners: Listeners,
    pub revocations: Revocations,
}

#[derive(Debug)]
pub struct Registry {
    context: Arc<Context>,
    rooms: Arc<Directory>,
    refusals: Arc<Refusals>,
    draining: AtomicBool,
    memory_low: AtomicBool,
    joins: Joins,
    clock: Clock,
}

/// The open rooms.
#[derive(Debug, Default)]
pub struct Directory {
    rooms: Mutex<HashMap<String, Entry>>,
}

#[derive(Clone, Debug)]
struct Entry {
    inbox: mpsc::Sender<Letter>,
    tally: Arc<Tally>,
}

impl Registry {
    #[must_use]
    pub fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            rooms: Arc::default(),
            refusals: Arc::default(),
            draining: AtomicBool::new(false),
            memory_low: AtomicBool::new(false),
            joins: Joins::default(),
            clock: Clock::start(),
        }
    }

    /// Whether a join would be let in, as far as that can be told without joining.
    pub async fn validate(&self, arrival: &Arrival) -> Result<(), JoinError> {
        self.admit(arrival)?;
        self.has_capacity(arrival)?;
        if self.rooms.find(&arrival.room).is_some() {
            return Ok(());
        }
        self.may_open(arrival)
    }

    /// Lets a client into its room. The first responses are in its sink when this returns.
    pub async fn join(&self, join: Join) -> Result<Joined, JoinError> {
        let joined = self.try_join(&join).await;
        if !join.arrival.reconnect {
            self.joins.count(joined.is_ok());
        }
        if joined.is_err() {
            tracing::info!(room = join.arrival.room, identity = join.arrival.claims.identity, "join denied");
        }
        joined
    }

    /// Opens a room that nobody is in yet. One that is there already stays as it is.
    pub async fn create(&self, request: CreateRoomRequest) -> Result<Answer, CallError> {
        let request =
            opening::with_preset(&self.context.config.now(), request).ok_or(CallError::UnknownPreset)?;
        for _ in 0..ATTEMPTS_MAX {
            if self.rooms.find(&request.name).is_none() {
                if self.draining.load(Ordering::Relaxed) {
                    return Err(CallError::Draining);
                }
                if let Some(limit) = self.limit_reached() {
                    return Err(CallError::LimitReached(limit));
                }
                self.find_or_open(&request).ok_or(CallError::Unavailable)?;
            }
            match self.call(&request.name, Call::CreateRoom).await {
                // It closes just now: there will be another one of the name.
                Err(CallError::RoomNotFound) => tokio::time::sleep(REOPEN_DELAY).await,
                answer => return answer,
            }
        }
        Err(CallError::Unavailable)
    }

    /// Who is not let in any more.
    #[must_use]
    pub fn revocations(&self) -> &Revocations {
        &self.context.revocations
    }

    /// The names of the open rooms, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.rooms.names()
    }

    /// Asks something of a room that is there. The answer comes when what it changed is written.
    pub async fn call(&self, room: &str, call: Call) -> Result<Answer, CallError> {
        let entry = self.rooms.find(room).ok_or(CallError::RoomNotFound)?;
        let (reply, answer) = oneshot::channel();
        let letter = Letter::Call { call: Box::new(call), reply };
        // It closes just now: who asks later finds none.
        entry.inbox.send(letter).await.map_err(|_| CallError::RoomNotFound)?;
        answer.await.unwrap_or(Err(CallError::RoomNotFound))
    }

    /// While memory is low nobody new is let in; who is there stays, and may resume.
    pub fn set_memory_low(&self, low: bool) {
        self.memory_low.store(low, Ordering::Relaxed);
    }

    #[must_use]
    pub fn is_memory_low(&self) -> bool {
        self.memory_low.load(Ordering::Relaxed)
    }

    /// No new rooms, for the server is about to end.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn server_info(&self) -> &ServerInfo {
        &self.context.server_info
    }

    /// No new rooms from now on. Returns when the last participant is gone, or at the deadline.
    pub async fn drain(&self, deadline: Instant) {
        self.draining.store(true, Ordering::Relaxed);
        while self.counts().participants > 0 && Instant::now() < deadline {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Closes every room; clients are told why. Returns when they are closed, at the latest after a second.
    pub async fn close_all(&self, reason: DisconnectReason) {
        self.draining.store(true, Ordering::Relaxed);
        let deadline = Instant::now() + CLOSE_TIMEOUT;
        for inbox in self.rooms.inboxes() {
            let _ = tokio::time::timeout(POLL_INTERVAL, inbox.send(Letter::Close { reason })).await;
        }
        while !self.rooms.is_empty() && Instant::now() < deadline {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    #[must_use]
    pub fn counts(&self) -> Counts {
        self.rooms.counts()
    }

    /// Each open room's part.
    #[must_use]
    pub fn rooms(&self) -> Vec<(String, Counts)> {
        self.rooms.by_name()
    }

    /// The media planes that rooms are placed on.
    #[must_use]
    pub fn planes(&self) -> &Planes {
        &self.context.planes
    }

    /// Since the start, without resumes.
    #[must_use]
    pub fn joins(&self) -> &Joins {
        &self.joins
    }

    /// How often each thing was refused to clients, by name.
    #[must_use]
    pub fn refusals(&self) -> Vec<(&'static str, u64)> {
        self.refusals.read()
    }

    async fn try_join(&self, join: &Join) -> Result<Joined, JoinError> {
        if let Err(error) = self.admit(&join.arrival) {
            let revoked = error == JoinError::Revoked;
            self.refusals.count(if revoked { Refused::Revoked } else { Refused::Join });
            return Err(error);
        }
        for _ in 0..ATTEMPTS_MAX {
            let door = self.door(&join.arrival).inspect_err(|error| {
                if *error == JoinError::LimitReached(Limit::Memory) {
                    self.refusals.count(Refused::Memory);
                }
            });
            let Some(inbox) = door? else { return Ok(self.turn_away(join)) };
            let (reply, answer) = oneshot::channel();
            let letter = Letter::Join { join: Box::new(join.clone()), reply };
            // The room closes just now: there will be another one of the name.
            if inbox.send(letter).await.is_ok()
                && let Ok(joined) = answer.await
            {
                return joined;
            }
            tokio::time::sleep(REOPEN_DELAY).await;
        }
        Err(JoinError::Internal("the room keeps closing"))
    }

    /// What the token says, and whether it still counts.
    fn admit(&self, arrival: &Arrival) -> Result<(), JoinError> {
        admission::check(&self.context.config.now(), arrival)?;
        let revoked = self.revocations().concern(SystemTime::now(), &arrival.room, &arrival.claims);
        if revoked { Err(JoinError::Revoked) } else { Ok(()) }
    }

    /// The way into the room, which is opened if need be. `None`: there is none to resume in.
    fn door(&self, arrival: &Arrival) -> Result<Option<mpsc::Sender<Letter>>, JoinError> {
        self.has_capacity(arrival)?;
        if let Some(entry) = self.rooms.find(&arrival.room) {
            return Ok(Some(entry.inbox));
        }
        if arrival.reconnect {
            return Ok(None);
        }
        self.may_open(arrival)?;
        let wish = opening::with_preset(&self.context.config.now(), opening::wanted_by(arrival));
        let wish = wish.ok_or(JoinError::UnknownPreset)?;
        self.find_or_open(&wish).map(Some).ok_or(JoinError::Unavailable)
    }

    /// The way into the room, which is opened if it is not there. `None`: no media plane is attached.
    fn find_or_open(&self, request: &CreateRoomRequest) -> Option<mpsc::Sender<Letter>> {
        let place = Place::find(&self.context.planes, &request.name, &self.context.config.now())?;
        Some(self.rooms.find_or_insert(&request.name, |opened| self.open(request, place, opened)))
    }

    fn may_open(&self, arrival: &Arrival) -> Result<(), JoinError> {
        if !self.context.config.now().room.auto_create && !arrival.claims.video.room_create {
            return Err(JoinError::RoomNotFound);
        }
        if self.draining.load(Ordering::Relaxed) {
            return Err(JoinError::Draining);
        }
        Ok(())
    }

    /// LiveKit denies entry to rooms that are there, too. Who resumes has its tracks here already.
    fn has_capacity(&self, arrival: &Arrival) -> Result<(), JoinError> {
        let limit = self.limit_reached().filter(|_| !arrival.reconnect);
        limit.map_or(Ok(()), |limit| Err(JoinError::LimitReached(limit)))
    }

    fn limit_reached(&self) -> Option<Limit> {
        if self.is_memory_low() {
            return Some(Limit::Memory);
        }
        let limit = self.context.config.now().limit.clone();
        let bytes = || self.planes().all().iter().map(Plane::bytes_per_second).sum::<f64>();
        if limit.bytes_per_sec > 0.0 && bytes() >= limit.bytes_per_sec {
            return Some(Limit::Bytes);
        }
        let tracks_max = usize::try_from(limit.num_tracks).unwrap_or(usize::MAX);
        (tracks_max > 0 && self.counts().tracks >= tracks_max).then_some(Limit::Tracks)
    }

    fn open(&self, request: &CreateRoomRequest, place: Place, opened: Opened) {
        let Opened { inbox, door, tally } = opened;
        let (context, refusals) = (Arc::clone(&self.context), Arc::clone(&self.refusals));
        let actor =
            Actor::new(Start { context, place, clock: self.clock, inbox, door, tally, refusals }, request);
        let span = actor.span();
        let forget = Forget { rooms: Arc::clone(&self.rooms), name: request.name.clone() };
        let running = async move {
            // Forgotten however the actor ends.
            let _forget = forget;
            actor.run().await;
        };
        tokio::spawn(running.instrument(span));
    }

    /// A resume in a room that is not there: the client is told to join anew.
    fn turn_away(&self, join: &Join) -> Joined {
        self.refusals.count(Refused::Resume);
        let (protocol, action) = (join.arrival.client.protocol, leave_request::Action::Reconnect);
        let leave = leaving::request(protocol, DisconnectReason::StateMismatch, action);
        join.sink.send(signal_response::Message::Leave(leave));
        join.sink.close();
        let (nowhere, _) = mpsc::channel(1);
        let participant = ParticipantHandle::new(ConnectionId(0), nowhere, join.sink.clone(), self.clock);
        Joined { participant }
    }
}

impl Directory {
    fn find(&self, name: &str) -> Option<Entry> {
        self.lock().get(name).filter(|entry| !entry.inbox.is_closed()).cloned()
    }

    fn find_or_insert(&self, name: &str, open: impl FnOnce(Opened)) -> mpsc::Sender<Letter> {
        let mut rooms = self.lock();
        if let Some(entry) = rooms.get(name).filter(|entry| !entry.inbox.is_closed()) {
            return entry.inbox.clone();
        }
        let (inbox, letters) = mpsc::channel(WAITING_MAX);
        let tally = Arc::<Tally>::default();
        open(Opened { inbox: letters, door: inbox.downgrade(), tally: Arc::clone(&tally) });
        rooms.insert(name.to_owned(), Entry { inbox: inbox.clone(), tally });
        inbox
    }

    /// Forgets a room whose actor has ended; one that took its name since stays.
    fn forget(&self, name: &str) {
        let mut rooms = self.lock();
        if rooms.get(name).is_some_and(|entry| entry.inbox.is_closed()) {
            rooms.remove(name);
        }
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for entry in self.lock().values() {
            entry.tally.add_to(&mut counts);
        }
        counts
    }

    fn by_name(&self) -> Vec<(String, Counts)> {
        let rooms = self.lock();
        let each = rooms.iter().map(|(name, entry)| {
            let mut counts = Counts::default();
            entry.tally.add_to(&mut counts);
            (name.clone(), counts)
        });
        each.collect()
    }

    fn inboxes(&self) -> Vec<mpsc::Sender<Letter>> {
        self.lock().values().map(|entry| entry.inbox.clone()).collect()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.lock().keys().cloned().collect();
        names.sort_unstable();
        names
    }

    fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// A panic while the map is locked cannot leave it half changed.
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Entry>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the directory has made for a new room.
#[derive(Debug)]
struct Opened {
    inbox: mpsc::Receiver<Letter>,
    door: mpsc::WeakSender<Letter>,
    tally: Arc<Tally>,
}

/// Takes a room out of the directory when its actor ends, in whatever way.
#[derive(Debug)]
struct Forget {
    rooms: Arc<Directory>,
    name: String,
}

impl Drop for Forget {
    fn drop(&mut self) {
        self.rooms.forget(&self.name);
    }
}

const POLL_INTERVAL: Duration = Duration::from_millis(20);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// A room that closes takes a moment to be forgotten.
const REOPEN_DELAY: Duration = Duration::from_millis(5);
const ATTEMPTS_MAX: usize = 20;
