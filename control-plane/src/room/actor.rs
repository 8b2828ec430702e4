//! One room's task: hands requests to the step, writes what it wants written, and says the rest once that is through.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::{BoxFuture, join};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use livekit_protocol::{CreateRoomRequest, DisconnectReason, signal_response};
use proto::key::Key;
use proto::media::v1::command::Command;
use proto::media::v1::resource_key;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use crate::media::event::Event;
use crate::media::in_flight::{Answer, Refusal};
use crate::media::plane::{PlaneLost, Submission};
use crate::negotiate::setup::Setup;
use crate::room::admission;
use crate::room::call::{self, Call, CallError, CallId};
use crate::room::census::{Refusals, Tally};
use crate::room::clock::Clock;
use crate::room::effect::{ConnectionId, Effects, Refused, Say};
use crate::room::inbox::Letter;
use crate::room::join::{Arrival, Join, JoinError, Joined, ParticipantHandle};
use crate::room::mint::Mint;
use crate::room::names::ParticipantSid;
use crate::room::notice::{self, Kept};
use crate::room::opening;
use crate::room::place::Place;
use crate::room::queue::Queue;
use crate::room::registry::Context;
use crate::room::request::Request;
use crate::room::spreading;
use crate::room::state::Room;
use crate::room::step::step;
use crate::room::surroundings::Surroundings;
use crate::signal::sink::Sink;

#[derive(Debug)]
pub struct Actor {
    context: Arc<Context>,
    room: Room,
    mint: Mint,
    clock: Clock,
    /// Where the room is; another place only after the media plane lost it.
    place: Place,
    surroundings: Surroundings,
    events: mpsc::Receiver<Event>,
    inbox: mpsc::Receiver<Letter>,
    /// For the handles of participants. Weak, for a room must not keep itself open.
    door: mpsc::WeakSender<Letter>,
    sinks: HashMap<ConnectionId, Sink>,
    /// Joins that are not answered yet.
    waiting: HashMap<ConnectionId, oneshot::Sender<Result<Joined, JoinError>>>,
    connections: u64,
    /// Calls that are not answered yet.
    callers: HashMap<CallId, oneshot::Sender<Result<call::Answer, CallError>>>,
    calls: u64,
    queue: Queue<BoxFuture<'static, Answer>, Vec<Command>>,
    /// Resumes for which the media plane is asked what data it has.
    resumes: FuturesUnordered<BoxFuture<'static, Resume>>,
    tally: Arc<Tally>,
    refusals: Arc<Refusals>,
}

/// What an actor is made of.
#[derive(Debug)]
pub struct Start {
    pub context: Arc<Context>,
    pub place: Place,
    pub clock: Clock,
    pub inbox: mpsc::Receiver<Letter>,
    pub door: mpsc::WeakSender<Letter>,
    pub tally: Arc<Tally>,
    pub refusals: Arc<Refusals>,
}

#[derive(Debug)]
struct Resume {
    connection: ConnectionId,
    arrival: Box<Arrival>,
    last_message_sequence: u32,
}

impl Actor {
    #[must_use]
    pub fn new(start: Start, request: &CreateRoomRequest) -> Self {
        let Start { context, place, clock, inbox, door, tally, refusals } = start;
        let mut mint = Mint::from_entropy();
        let room = opening::open(&context.config.now(), request, place.worker, clock.now(), &mut mint);
        let surroundings = surroundings(&context, &place, &room);
        let events = place.plane.watch_room(room.record.id);
        tracing::info!(room = room.record.name, sid = room.record.sid, worker = place.worker, "room opened");
        Self {
            context,
            room,
            mint,
            clock,
            place,
            surroundings,
            events,
            inbox,
            door,
            sinks: HashMap::new(),
            waiting: HashMap::new(),
            connections: 0,
            callers: HashMap::new(),
            calls: 0,
            queue: Queue::new(),
            resumes: FuturesUnordered::new(),
            tally,
            refusals,
        }
    }

    /// What every line of its log is about.
    #[must_use]
    pub fn span(&self) -> tracing::Span {
        tracing::info_span!("room", room = self.room.record.name, room_sid = self.room.record.sid)
    }

    pub async fn run(mut self) {
        while !(self.room.closed && self.queue.is_empty()) {
            self.turn().await;
            self.tally.set(&self.room);
        }
        self.place.plane.unwatch_room(self.room.record.id);
        tracing::info!(room = self.room.record.name, sid = self.room.record.sid, "room closed");
    }

    /// Waits for one thing and deals with it.
    async fn turn(&mut self) {
        let deadline = self.deadline();
        let open = !self.room.closed;
        tokio::select! {
            biased;
            answer = self.queue.outcome() => self.written(answer),
            event = self.events.recv(), if self.room.written => self.happened(event),
            Some(resume) = self.resumes.next() => self.resume(resume),
            letter = self.inbox.recv(), if open => self.open_letter(letter),
            () = sleep_until(deadline), if open => self.step(Request::Tick),
        }
    }

    /// The oldest write is through, or is not.
    fn written(&mut self, answer: Answer) {
        match answer {
            Ok(refusals) => {
                self.refused(&refusals);
                self.speak();
            }
            Err(PlaneLost) => self.lost(),
        }
    }

    /// What was refused is dealt with before anything is said that relies on it.
    fn refused(&mut self, refusals: &[Refusal]) {
        let Some(entry) = self.queue.front_mut() else { return };
        let named = |refusal: &Refusal| key(entry.writes.get(refusal.command)?);
        let keys: Vec<_> = refusals.iter().filter_map(|refusal| Some((named(refusal)?, refusal))).collect();
        for (key, refusal) in keys {
            tracing::warn!(?key, detail = refusal.detail, "refused by the media plane");
            self.update(Request::Refused { key, reason: refusal.reason });
        }
        let room = &self.room;
        if let Some(entry) = self.queue.front_mut().filter(|_| !refusals.is_empty()) {
            // Who was removed because of it hears only that.
            entry.says.retain(|say| match say {
                Say::Send { connection, .. } | Say::Token { connection, .. } => {
                    room.connections.contains_key(connection)
                }
                Say::Joined { .. }
                | Say::Denied { .. }
                | Say::TurnedAway { .. }
                | Say::Close { .. }
                | Say::Answered { .. } => true,
            });
            // What was called for did not come about, or not all of it.
            for say in &mut entry.says {
                if let Say::Answered { answer, .. } = say
                    && answer.is_ok()
                {
                    **answer = Err(CallError::Unavailable);
                }
            }
        }
    }

    fn open_letter(&mut self, letter: Option<Letter>) {
        match letter {
            Some(Letter::Join { join, reply }) => self.arrive(*join, reply),
            Some(Letter::Signal { connection, message }) => {
                self.step(Request::Signal { connection, message })
            }
            Some(Letter::Disconnected { connection }) => {
                self.sinks.remove(&connection);
                self.step(Request::Disconnected { connection });
            }
            Some(Letter::Call { call, reply }) => self.call(call, reply),
            Some(Letter::Close { reason }) => self.step(Request::Close { reason }),
            // The registry and every handle are gone: so is the server.
            None => self.step(Request::Close { reason: DisconnectReason::ServerShutdown }),
        }
    }

    fn call(&mut self, call: Box<Call>, reply: oneshot::Sender<Result<call::Answer, CallError>>) {
        if !self.room.written && !self.settle() {
            let _ = reply.send(Err(CallError::Unavailable));
            return;
        }
        self.calls += 1;
        let id = CallId(self.calls);
        self.callers.retain(|_, caller| !caller.is_closed());
        self.callers.insert(id, reply);
        self.step(Request::Call { id, call });
    }

    fn arrive(&mut self, join: Join, reply: oneshot::Sender<Result<Joined, JoinError>>) {
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        let Join { arrival, sink } = join;
        if !self.room.written && !self.settle() {
            self.refusals.count(Refused::Join);
            let _ = reply.send(Err(JoinError::Unavailable));
            return;
        }
        // Again: it may have been revoked since the door was found.
        if self.context.revocations.concern(SystemTime::now(), &arrival.room, &arrival.claims) {
            self.refusals.count(Refused::Revoked);
            let _ = reply.send(Err(JoinError::Revoked));
            return;
        }
        self.sinks.insert(connection, sink);
        self.waiting.insert(connection, reply);
        let arrival = Box::new(arrival);
        match self.route(&arrival) {
            Some(route) => self.ask_for_data_progress(connection, arrival, route),
            None => self.join(connection, arrival, 0),
        }
    }

    /// The data plane's place of the participant that resumes.
    fn route(&self, arrival: &Arrival) -> Option<u64> {
        let who = self.room.of_identity(&admission::identity(arrival)).filter(|_| arrival.reconnect)?;
        Some(self.room.participants.get(&who)?.profile.route)
    }

    /// A client that resumes learns which of its reliable packets arrived. 0 is safe: it sends again, and what arrives
    /// twice is dropped.
    fn ask_for_data_progress(&self, connection: ConnectionId, arrival: Box<Arrival>, route: u64) {
        let plane = self.place.plane.clone();
        self.resumes.push(Box::pin(async move {
            let progress = timeout(DATA_PROGRESS_TIMEOUT, plane.data_progress(route)).await;
            let last_message_sequence = progress.ok().and_then(Result::ok).flatten().unwrap_or_default();
            Resume { connection, arrival, last_message_sequence }
        }));
    }

    fn resume(&mut self, resume: Resume) {
        let Resume { connection, arrival, last_message_sequence } = resume;
        self.join(connection, arrival, last_message_sequence);
    }

    /// Who comes new is placed by what is so now.
    fn join(&mut self, connection: ConnectionId, arrival: Box<Arrival>, last_message_sequence: u32) {
        let spread_above = self.surroundings.config.media.spread_above;
        let load = self.place.plane.load();
        self.surroundings.next_worker = spreading::worker(&self.room, &load, spread_above);
        self.step(Request::Join { connection, arrival, last_message_sequence });
    }

    fn happened(&mut self, event: Option<Event>) {
        match event {
            Some(Event::Media(event)) => self.step(Request::Media(event)),
            Some(Event::PlaneReset) | None => self.lost(),
        }
    }

    /// Everything that the media plane had of the room is gone, or out of reach for too long.
    fn lost(&mut self) {
        tracing::warn!(room = self.room.record.name, "the media plane lost the room: clients join anew");
        // What was not written is not said, and who waits for a join or a resume does not come in.
        let unsaid = self.queue.abandon();
        self.resumes.clear();
        for (connection, reply) in self.waiting.drain() {
            self.sinks.remove(&connection);
            let _ = reply.send(Err(JoinError::Unavailable));
        }
        for (_, caller) in self.callers.drain() {
            let _ = caller.send(Err(CallError::Unavailable));
        }
        // Who has left already is not in the room any more: nobody else would say it.
        unsaid.into_iter().filter(is_farewell).for_each(|say| self.say(say));
        self.step(Request::MediaLost);
    }

    /// Finds a place for a room that has none (any more).
    fn settle(&mut self) -> bool {
        let (name, id) = (&self.room.record.name, self.room.record.id);
        let Some(place) = Place::find(&self.context.planes, name, &self.surroundings.config) else {
            return false;
        };
        self.place.plane.unwatch_room(id);
        self.events = place.plane.watch_room(id);
        self.room.record.worker = place.worker;
        self.surroundings = surroundings(&self.context, &place, &self.room);
        self.place = place;
        true
    }

    fn step(&mut self, request: Request) {
        self.update(request);
        self.speak();
    }

    fn update(&mut self, request: Request) {
        let now = self.clock.now();
        self.surroundings.config = self.context.config.now();
        let Effects { writes, says, notices, refused } =
            step(&mut self.room, &mut self.mint, &self.surroundings, now, request);
        for refused in refused {
            self.refusals.count(refused);
        }
        let submission = (!writes.is_empty()).then(|| self.place.plane.submit(writes.clone()));
        let keeping = self.context.listeners.tell(&notices);
        self.queue.push(through(submission, keeping), writes, says);
    }

    /// Says what waits for nothing.
    fn speak(&mut self) {
        for say in self.queue.sayable() {
            self.say(say);
        }
    }

    fn say(&mut self, say: Say) {
        match say {
            Say::Send { connection, message } => self.send(connection, *message),
            Say::Token { connection, claims, time_to_live } => {
                let token = self.context.keys.sign(SystemTime::now(), &claims.api_key, &claims, time_to_live);
                // Absent: the key was taken out of the configuration, and the client keeps the token that it has.
                if let Some(token) = token {
                    self.send(connection, signal_response::Message::RefreshToken(token));
                }
            }
            Say::Close { connection } => {
                // Removed by what came with its own join, as an offer that is none: it comes in to hear why.
                if self.waiting.contains_key(&connection) {
                    self.let_in(connection);
                }
                if let Some(sink) = self.sinks.remove(&connection) {
                    sink.close();
                }
            }
            Say::Joined { connection, participant } => {
                self.log_let_in(&participant);
                self.let_in(connection);
            }
            Say::TurnedAway { connection } => self.let_in(connection),
            Say::Denied { connection, error } => {
                self.sinks.remove(&connection);
                self.reply(connection, Err(error));
            }
            Say::Answered { call, answer } => {
                if let Some(caller) = self.callers.remove(&call) {
                    // Whoever called may have given up.
                    let _ = caller.send(*answer);
                }
            }
        }
    }

    fn send(&self, connection: ConnectionId, message: signal_response::Message) {
        if let Some(sink) = self.sinks.get(&connection) {
            sink.send(message);
        }
    }

    fn log_let_in(&self, sid: &ParticipantSid) {
        if let Some(participant) = self.room.participants.get(sid) {
            let participant = &participant.profile.identity;
            tracing::info!(participant, participant_sid = %sid, "client let in");
        }
    }

    fn let_in(&mut self, connection: ConnectionId) {
        let (Some(sink), Some(door)) = (self.sinks.get(&connection), self.door.upgrade()) else {
            return self.reply(connection, Err(JoinError::Unavailable));
        };
        let participant = ParticipantHandle::new(connection, door, sink.clone(), self.clock);
        self.reply(connection, Ok(Joined { participant }));
    }

    fn reply(&mut self, connection: ConnectionId, answer: Result<Joined, JoinError>) {
        if let Some(reply) = self.waiting.remove(&connection) {
            // Nobody waits any more: dropping the handle tells the room.
            let _ = reply.send(answer);
        }
    }

    fn deadline(&self) -> Instant {
        let wait = self.room.next_deadline().map_or(IDLE_MAX, |deadline| deadline.since(self.clock.now()));
        Instant::now() + wait.min(IDLE_MAX)
    }
}

/// What words to clients wait for. `None`: nothing.
fn through(submission: Option<Submission>, keeping: Vec<Kept>) -> Option<BoxFuture<'static, Answer>> {
    match (submission, keeping.is_empty()) {
        (None, true) => None,
        (Some(submission), true) => Some(submission.boxed()),
        (None, false) => Some(notice::kept(keeping).map(|()| Ok(Vec::new())).boxed()),
        (Some(submission), false) => {
            Some(join(submission, notice::kept(keeping)).map(|(answer, ())| answer).boxed())
        }
    }
}

fn surroundings(context: &Context, place: &Place, room: &Room) -> Surroundings {
    Surroundings {
        config: context.config.now(),
        server_info: context.server_info.clone(),
        next_worker: place.worker,
        candidates: Arc::clone(&place.candidates),
        setup: Setup { playout_delay: room.record.playout_delay.is_some(), ..place.setup.clone() },
    }
}

/// The last that a connection hears.
fn is_farewell(say: &Say) -> bool {
    match say {
        Say::Send { message, .. } => matches!(**message, signal_response::Message::Leave(_)),
        Say::Close { .. } => true,
        Say::Token { .. }
        | Say::Joined { .. }
        | Say::TurnedAway { .. }
        | Say::Denied { .. }
        | Say::Answered { .. } => false,
    }
}

/// Which resource a command is about.
fn key(command: &Command) -> Option<resource_key::Key> {
    match command {
        Command::Upsert(resource) => Key::of(resource.spec.as_ref()?).message().key,
        Command::Delete(_) | Command::SendData(_) | Command::ReplayData(_) | Command::RequestKeyFrame(_) => {
            None
        }
    }
}

/// A local round trip takes a millisecond; a client's resume cannot wait longer.
const DATA_PROGRESS_TIMEOUT: Duration = Duration::from_millis(500);
const IDLE_MAX: Duration = Duration::from_secs(3_600);
