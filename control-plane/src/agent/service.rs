//! The agents of this server: carries out what the rules want done, and tells the rules what happened.
//!
//! Rooms, workers and API calls all come here from tasks of their own. Each change is short and waits for nothing, so a
//! lock around the rules is enough, and what is said to a worker keeps the order in which it was decided.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use axum::extract::ws;
use livekit_protocol::{JobAssignment, server_message};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::agent::dispatcher::{Dispatcher, Settings};
use crate::agent::effect::{Effect, Errand};
use crate::agent::tally::{self, Counted, Snapshot};
use crate::agent::worker::WorkerId;
use crate::agent::{frame, registering, token};
use crate::auth::token::Keys;
use crate::room::clock::{Clock, Time};
use crate::signal::connection::{Frame, Party};
use crate::signal::counters::Counters;
use crate::signal::frame::{Format, FrameError};
use crate::signal::sink::{Outbound, Sink};

/// Clones are one.
#[derive(Clone)]
pub struct Agents(Arc<Inner>);

struct Inner {
    desk: Mutex<Desk>,
    keys: Arc<Keys>,
    clock: Clock,
    errands: mpsc::Sender<Errand>,
    /// Something is due earlier than what the timers wait for.
    sooner: Notify,
    /// What happened to the connections of workers.
    counters: Counters,
    connections: TaskTracker,
}

#[derive(Debug)]
struct Desk {
    dispatcher: Dispatcher,
    sinks: HashMap<WorkerId, Sink<server_message::Message>>,
}

impl Agents {
    /// And what there is to ask of rooms.
    #[must_use]
    pub fn new(settings: Settings, keys: Arc<Keys>) -> (Self, mpsc::Receiver<Errand>) {
        let (errands, queue) = mpsc::channel(ERRANDS_MAX);
        let desk = Desk { dispatcher: Dispatcher::new(settings), sinks: HashMap::new() };
        let inner = Inner {
            desk: Mutex::new(desk),
            keys,
            clock: Clock::start(),
            errands,
            sooner: Notify::new(),
            counters: Counters::default(),
            connections: TaskTracker::new(),
        };
        (Self(Arc::new(inner)), queue)
    }

    /// A worker's connection. `None`: there are too many.
    #[must_use]
    pub fn connect(&self, api_key: &str, sink: Sink<server_message::Message>) -> Option<WorkerHandle> {
        let mut desk = self.lock();
        let worker = registering::connect(&mut desk.dispatcher, self.0.clock.now(), api_key)?;
        desk.sinks.insert(worker, sink);
        drop(desk);
        // For the deadline of its registration.
        self.0.sooner.notify_one();
        Some(WorkerHandle { agents: self.clone(), worker })
    }

    /// Changes something by the rules, and does what they want done about it.
    pub fn change<T>(&self, change: impl FnOnce(&mut Dispatcher, Time) -> T) -> T {
        let mut desk = self.lock();
        let before = desk.dispatcher.next_deadline();
        let outcome = change(&mut desk.dispatcher, self.0.clock.now());
        for effect in desk.dispatcher.take_effects() {
            self.perform(&mut desk, effect);
        }
        let after = desk.dispatcher.next_deadline();
        if after.is_some_and(|after| before.is_none_or(|before| after < before)) {
            self.0.sooner.notify_one();
        }
        outcome
    }

    /// Does what is due, until it is told to stop.
    pub async fn run_timers(self, stop: CancellationToken) {
        loop {
            let due = self.lock().dispatcher.next_deadline();
            let wait = due.map_or(IDLE_MAX, |due| due.since(self.0.clock.now()));
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.sooner.notified() => {}
                () = sleep_until(Instant::now() + wait.min(IDLE_MAX)) => {
                    self.change(|dispatcher, now| dispatcher.tick(now));
                }
            }
        }
    }

    /// Closes the connections of all workers, which go on elsewhere, and waits until they are closed.
    pub async fn close(&self) {
        for sink in self.lock().sinks.values() {
            sink.close();
        }
        self.0.connections.close();
        self.0.connections.wait().await;
    }

    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        tally::snapshot(&self.lock().dispatcher)
    }

    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }

    #[must_use]
    pub fn connections(&self) -> &TaskTracker {
        &self.0.connections
    }

    fn perform(&self, desk: &mut Desk, effect: Effect) {
        match effect {
            Effect::Send { worker, message } => desk.send(worker, *message),
            Effect::Assign { worker, api_key, claims, job } => {
                let token = self.0.keys.sign(SystemTime::now(), &api_key, &claims, token::LIFETIME);
                match token {
                    Some(token) => {
                        let assignment = JobAssignment { job: Some(*job), url: None, token };
                        desk.send(worker, server_message::Message::Assignment(assignment));
                    }
                    // The key was taken out of the configuration: the worker may not come in again, either.
                    None => {
                        desk.dispatcher.count(Counted::NoTokenKey);
                        desk.close(worker);
                    }
                }
            }
            Effect::Close { worker } => desk.close(worker),
            Effect::Errand(errand) => {
                if self.0.errands.try_send(errand).is_err() {
                    desk.dispatcher.count(Counted::ErrandLimit);
                }
            }
        }
    }

    /// A panic in a rule leaves at worst one job undecided; its timers see to that.
    fn lock(&self) -> MutexGuard<'_, Desk> {
        self.0.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    fn send(&self, worker: WorkerId, message: server_message::Message) {
        if let Some(sink) = self.sinks.get(&worker) {
            sink.send(message);
        }
    }

    fn close(&self, worker: WorkerId) {
        if let Some(sink) = self.sinks.get(&worker) {
            sink.close();
        }
    }
}

impl fmt::Debug for Agents {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Agents")
    }
}

/// A connection's way to the agents. Dropped, it says that the connection is gone.
#[derive(Debug)]
pub struct WorkerHandle {
    agents: Agents,
    worker: WorkerId,
}

impl Party for WorkerHandle {
    type Response = server_message::Message;

    fn take(&self, frame: Frame<'_>) -> Result<bool, FrameError> {
        let Some(message) = frame::read(frame)? else { return Ok(false) };
        self.agents.change(|dispatcher, now| registering::hear(dispatcher, now, self.worker, message));
        Ok(true)
    }

    fn encode(format: Format, response: Self::Response) -> Option<ws::Message> {
        frame::encode(format, response)
    }
}

impl Drop for WorkerHandle {
    fn drop(&mut self) {
        self.agents.change(|dispatcher, now| registering::disconnect(dispatcher, now, self.worker));
        self.agents.lock().sinks.remove(&self.worker);
    }
}

impl Outbound for server_message::Message {
    fn encoded_len(&self) -> usize {
        Self::encoded_len(self)
    }
}

/// A survey for each room of a large server, when its first worker comes.
const ERRANDS_MAX: usize = 16 * 1024;
const IDLE_MAX: Duration = Duration::from_secs(3_600);
