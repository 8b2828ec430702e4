//! The task that keeps attached to a media plane: it sends what rooms want, and after a break says everything again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use proto::key::Key;
use proto::media::v1::media_plane_client::MediaPlaneClient;
use proto::media::v1::{
    Acknowledgement, Attached, Batch, Command, ControlMessage, Hello, MediaMessage, RefusalReason, command,
    control_message, media_message,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Status, Streaming};

use crate::media::event::Event;
use crate::media::in_flight::{Answer, InFlight};
use crate::media::plane::{Options, PlaneLost, Session, snapshot};
use crate::media::reconcile::reconcile;
use crate::media::table::{Load, Table};

/// What the handle asks of the task.
#[derive(Debug)]
pub enum Order {
    Submit { commands: Vec<command::Command>, answer: oneshot::Sender<Answer> },
    Watch { room: u64, events: mpsc::Sender<Event> },
    Unwatch { room: u64 },
}

#[derive(Debug)]
pub struct Link {
    options: Options,
    orders: mpsc::UnboundedReceiver<Order>,
    session: watch::Sender<Option<Session>>,
    load: watch::Sender<Vec<Load>>,
    waiting: Arc<AtomicUsize>,
    rooms: HashMap<u64, mpsc::Sender<Event>>,
    table: Table,
    in_flight: InFlight,
    /// Of the media plane's process that the table is for.
    incarnation: Option<u64>,
    workers: usize,
    revision: u64,
    /// Under which we were attached to this incarnation; the last one is the present one.
    epochs: BTreeSet<u64>,
    event_sequence: u64,
}

/// A stream in both directions.
struct Stream {
    outgoing: mpsc::UnboundedSender<ControlMessage>,
    incoming: Streaming<MediaMessage>,
}

/// Why a session ended.
#[derive(Debug)]
enum Ended {
    /// Nobody has a handle any more.
    Unwanted,
    Broken(String),
}

impl From<Status> for Ended {
    fn from(status: Status) -> Self {
        Self::Broken(format!("{:?}: {}", status.code(), status.message()))
    }
}

impl Link {
    #[must_use]
    pub fn new(
        options: Options,
        orders: mpsc::UnboundedReceiver<Order>,
        session: watch::Sender<Option<Session>>,
        load: watch::Sender<Vec<Load>>,
        waiting: Arc<AtomicUsize>,
    ) -> Self {
        Self {
            options,
            orders,
            session,
            load,
            waiting,
            rooms: HashMap::new(),
            table: Table::default(),
            in_flight: InFlight::default(),
            incarnation: None,
            workers: 0,
            revision: 0,
            epochs: BTreeSet::new(),
            event_sequence: 0,
        }
    }

    /// Runs until the last handle is gone.
    pub async fn run(mut self) {
        let mut pause = PAUSE_MIN;
        let mut away_since = Instant::now();
        let mut lost = false;
        loop {
            let reason = match self.attach().await {
                Ended::Unwanted => return,
                Ended::Broken(reason) => reason,
            };
            let address = &self.options.address;
            if self.session.send_replace(None).is_some() {
                tracing::warn!(%address, reason, "the media plane is away");
                (pause, away_since, lost) = (PAUSE_MIN, Instant::now(), false);
            } else {
                tracing::debug!(%address, reason, "not attached to the media plane");
            }
            if !lost && away_since.elapsed() > AWAY_MAX {
                tracing::error!(%address, reason, "the media plane does not come back");
                lost = true;
            }
            if lost {
                self.lose();
            }
            if self.orders.is_closed() && self.orders.is_empty() {
                return;
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// One session, from the connection to its end.
    async fn attach(&mut self) -> Ended {
        match timeout(SYNC_WITHIN, self.begin()).await {
            Ok(Ok(mut stream)) => loop {
                match self.turn(&mut stream).await {
                    Ok(()) => {}
                    Err(ended) => return ended,
                }
            },
            Ok(Err(ended)) => ended,
            Err(_) => Ended::Broken("no answer in time".into()),
        }
    }

    async fn begin(&mut self) -> Result<Stream, Ended> {
        let channel = self.options.address.connect().await;
        let channel = channel.map_err(|error| Ended::Broken(describe(&error)))?;
        let mut client = MediaPlaneClient::with_interceptor(channel, self.options.bearer.clone())
            .max_decoding_message_size(MESSAGE_LEN_MAX);
        let (outgoing, messages) = mpsc::unbounded_channel();
        let incoming = client.attach(UnboundedReceiverStream::new(messages)).await?.into_inner();
        let mut stream = Stream { outgoing, incoming };
        let media_message::Message::Attached(attached) = stream.next().await? else {
            return Err(Ended::Broken("the media plane did not say who it is".into()));
        };
        self.greet(&stream, &attached)?;
        self.say_again(&mut stream, &mut client.clone(), &attached).await?;
        tracing::info!(
            address = %self.options.address,
            incarnation = attached.incarnation,
            workers = attached.workers.len(),
            "attached to the media plane"
        );
        self.session.send_replace(Some(Session { attached: Arc::new(attached), client }));
        self.publish_load();
        Ok(stream)
    }

    fn greet(&mut self, stream: &Stream, attached: &Attached) -> Result<(), Ended> {
        if attached.contract != CONTRACT {
            return Err(Ended::Broken(format!("the media plane speaks contract {}", attached.contract)));
        }
        if self.incarnation != Some(attached.incarnation) {
            // Nothing of what was told before is left, and nothing of before is to be told to us.
            if self.incarnation.is_some() {
                self.lose();
            }
            self.incarnation = Some(attached.incarnation);
            self.epochs.clear();
            self.event_sequence = attached.event_sequence;
        }
        self.workers = attached.workers.len();
        self.revision = self.revision.max(attached.revision_max);
        let lease_epoch = attached.lease_epoch_max + 1;
        self.epochs.insert(lease_epoch);
        stream.send(control_message::Message::Hello(Hello {
            contract: CONTRACT,
            node: self.options.node.clone(),
            lease_epoch,
            event_sequence_seen: self.event_sequence,
        }))
    }

    /// Takes our rooms under the new lease, then makes everything else as the table says.
    async fn say_again(
        &mut self,
        stream: &mut Stream,
        client: &mut crate::media::plane::Client,
        attached: &Attached,
    ) -> Result<(), Ended> {
        let rooms = self.table.iter().take_while(|(key, ..)| matches!(key, Key::Room(_)));
        let rooms: Vec<_> = rooms.map(|(_, _, room)| command::Command::Upsert(room.clone())).collect();
        let mut refused = self.say(stream, rooms).await?;
        // From here on, nothing that an earlier stream of ours still carries can change them.
        let there = snapshot(client).await?;
        let others: BTreeSet<u64> = attached.lease_epochs_attached.iter().copied().collect();
        let others = others.difference(&self.epochs).copied().collect();
        let missing = reconcile(&self.table, &there, &others, self.options.orphans);
        refused.extend(self.say(stream, missing).await?);
        self.waiting.fetch_sub(self.in_flight.commands(), Ordering::Relaxed);
        let deeds = self.in_flight.said_again(attached.revision_max, |key| refused.get(&key).cloned());
        self.say(stream, deeds).await?;
        Ok(())
    }

    /// Sends commands of our own and waits until they are answered; gives what was refused.
    async fn say(
        &mut self,
        stream: &mut Stream,
        commands: Vec<command::Command>,
    ) -> Result<BTreeMap<Key, (RefusalReason, String)>, Ended> {
        let mut keys = BTreeMap::new();
        let commands: Vec<Command> = commands.into_iter().map(|command| self.numbered(command)).collect();
        for command in &commands {
            if let Some(command::Command::Upsert(resource)) = &command.command
                && let Some(spec) = &resource.spec
            {
                self.table.renumber(Key::of(spec), command.revision);
                keys.insert(command.revision, Key::of(spec));
            }
        }
        let Some(last) = commands.last().map(|command| command.revision) else { return Ok(BTreeMap::new()) };
        stream.send_batches(commands)?;
        let mut refused = BTreeMap::new();
        loop {
            match stream.next().await? {
                media_message::Message::Acknowledgement(acknowledgement) => {
                    for refusal in acknowledgement.refusals {
                        let Some(key) = keys.get(&refusal.revision) else { continue };
                        self.table.refused(*key, refusal.revision);
                        let reason = refusal.reason();
                        refused.insert(*key, (reason, refusal.detail));
                    }
                    if acknowledgement.revision >= last {
                        return Ok(refused);
                    }
                }
                media_message::Message::Event(event) => self.event(event),
                media_message::Message::Attached(_) => {}
            }
        }
    }

    /// Takes one order or one message.
    async fn turn(&mut self, stream: &mut Stream) -> Result<(), Ended> {
        tokio::select! {
            order = self.orders.recv() => match order {
                None => Err(Ended::Unwanted),
                Some(Order::Submit { commands, answer }) => self.submit(stream, commands, answer),
                Some(Order::Watch { room, events }) => {
                    self.rooms.insert(room, events);
                    Ok(())
                }
                Some(Order::Unwatch { room }) => {
                    self.rooms.remove(&room);
                    Ok(())
                }
            },
            message = stream.next() => {
                match message? {
                    media_message::Message::Acknowledgement(acknowledgement) => self.acknowledged(acknowledgement),
                    media_message::Message::Event(event) => self.event(event),
                    media_message::Message::Attached(_) => {}
                }
                Ok(())
            }
        }
    }

    fn submit(
        &mut self,
        stream: &Stream,
        commands: Vec<command::Command>,
        answer: oneshot::Sender<Answer>,
    ) -> Result<(), Ended> {
        let mut changes_load = false;
        let commands: Vec<Command> = commands.into_iter().map(|command| self.numbered(command)).collect();
        for Command { revision, command } in &commands {
            if let Some(command) = command {
                self.table.note(*revision, command);
                changes_load |= concerns_load(command);
            }
        }
        self.in_flight.push(&commands, answer);
        if changes_load {
            self.publish_load();
        }
        stream.send_batches(commands)
    }

    fn acknowledged(&mut self, acknowledgement: Acknowledgement) {
        let before = self.in_flight.commands();
        for settled in self.in_flight.acknowledged(acknowledgement.revision, acknowledgement.refusals) {
            if settled.refused {
                self.table.refused(settled.key, settled.revision);
            } else {
                self.table.acknowledged(settled.key, settled.revision);
            }
        }
        self.waiting.fetch_sub(before - self.in_flight.commands(), Ordering::Relaxed);
    }

    fn event(&mut self, event: proto::media::v1::Event) {
        self.event_sequence = self.event_sequence.max(event.sequence);
        let Some(what) = event.event else { return };
        self.tell(event.room, Event::Media(what));
    }

    fn tell(&mut self, room: u64, event: Event) {
        let Some(events) = self.rooms.get(&room) else { return };
        if event.is_repeated() && events.capacity() < events.max_capacity() / 2 {
            return;
        }
        if let Err(error) = events.try_send(event) {
            if matches!(error, mpsc::error::TrySendError::Full(_)) {
                tracing::error!(room, "a room does not take its events; its stream ends");
            }
            self.rooms.remove(&room);
        }
    }

    /// Nothing of what was asked for exists any more.
    fn lose(&mut self) {
        let mut forgotten = self.in_flight.commands();
        self.in_flight.lose();
        self.table.clear();
        let mut orders = Vec::new();
        while let Ok(order) = self.orders.try_recv() {
            orders.push(order);
        }
        for order in orders {
            match order {
                Order::Submit { commands, answer } => {
                    forgotten += commands.len();
                    // Whoever submitted may have gone.
                    let _ = answer.send(Err(PlaneLost));
                }
                Order::Watch { room, events } => {
                    self.rooms.insert(room, events);
                }
                Order::Unwatch { room } => {
                    self.rooms.remove(&room);
                }
            }
        }
        self.waiting.fetch_sub(forgotten, Ordering::Relaxed);
        let rooms: Vec<u64> = self.rooms.keys().copied().collect();
        for room in rooms {
            self.tell(room, Event::PlaneReset);
        }
    }

    fn numbered(&mut self, command: command::Command) -> Command {
        self.revision += 1;
        Command { revision: self.revision, command: Some(command) }
    }

    fn publish_load(&self) {
        self.load.send_replace(self.table.load(self.workers));
    }
}

impl Stream {
    fn send(&self, message: control_message::Message) -> Result<(), Ended> {
        let message = ControlMessage { message: Some(message) };
        self.outgoing.send(message).map_err(|_| Ended::Broken("the stream is closed".into()))
    }

    fn send_batches(&self, commands: Vec<Command>) -> Result<(), Ended> {
        let mut batch = Batch::default();
        let mut len = 0;
        for command in commands {
            let command_len = prost::Message::encoded_len(&command);
            if !batch.commands.is_empty()
                && (len + command_len > BATCH_LEN || batch.commands.len() >= BATCH_COMMANDS)
            {
                self.send(control_message::Message::Batch(std::mem::take(&mut batch)))?;
                len = 0;
            }
            len += command_len;
            batch.commands.push(command);
        }
        if batch.commands.is_empty() { Ok(()) } else { self.send(control_message::Message::Batch(batch)) }
    }

    async fn next(&mut self) -> Result<media_message::Message, Ended> {
        let message = self.incoming.message().await?;
        message
            .and_then(|message| message.message)
            .ok_or_else(|| Ended::Broken("the media plane hung up".into()))
    }
}

/// Whether the command makes or ends a room or a peer.
fn concerns_load(command: &command::Command) -> bool {
    let key = match command {
        command::Command::Upsert(resource) => resource.spec.as_ref().map(Key::of),
        command::Command::Delete(named) => Key::named_by(named),
        _ => None,
    };
    matches!(key, Some(Key::Room(_) | Key::Peer(_)))
}

/// An error with its causes: tonic's own text says only "transport error".
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// What this control plane speaks.
const CONTRACT: u32 = 1;
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// After this long, rooms are told that their media plane is gone.
const AWAY_MAX: Duration = Duration::from_secs(10);
const SYNC_WITHIN: Duration = Duration::from_secs(10);
/// A resource has at most 1 MiB of state.
const MESSAGE_LEN_MAX: usize = 4 * 1024 * 1024;
const BATCH_LEN: usize = 4 * 1024 * 1024;
const BATCH_COMMANDS: usize = 1024;
