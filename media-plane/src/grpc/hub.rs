//! The hub: one task that owns the table, feeds workers and helper, and tells control planes what happens.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use engine::command::Command as MediaCommand;
use engine::event::{Event as MediaEvent, FailureReason, TransportState};
use proto::key::{Key, Kind};
use proto::media::v1::{
    Attached, Batch, Command, Hello, RefusalReason, Worker, command, event, media_message,
};
use tokio::sync::{mpsc, oneshot};
use tonic::Status;
use units::handle::{PeerId, PublicationId, RouteId, WorkerIndex};

use crate::grpc::attachment::Attachment;
use crate::grpc::event_log::EventLog;
use crate::grpc::gathering::Gathering;
use crate::grpc::links::{HelperLink, Ticket, WorkerLink};
use crate::grpc::request::{CountersWanted, Outgoing, Request, Snapshot};
use crate::grpc::shares::Shares;
use crate::grpc::tell::{self, Told};
use crate::helper::input::Input;
use crate::helper::output::Output;
use crate::mailbox::TaskBell;
use crate::resource::refusal::Refused;
use crate::resource::status::Secured;
use crate::resource::{Change, Table, translate};
use crate::worker::mail::{Link, Outcome, Report};

/// What a media plane says of itself.
#[derive(Clone, Debug)]
pub struct Identity {
    pub certificate_sha256: Vec<u8>,
    pub incarnation: u64,
    /// By worker index.
    pub candidates: Vec<Vec<proto::media::v1::Candidate>>,
}

#[derive(Debug)]
pub struct Hub {
    identity: Identity,
    table: Table,
    workers: Vec<WorkerLink>,
    helper: HelperLink,
    /// Rung by workers and helper.
    bell: TaskBell,
    requests: mpsc::Receiver<Request>,
    attachments: BTreeMap<u64, Attachment>,
    attachment_last: u64,
    events: EventLog,
    gathering: Gathering,
    shares: Shares,
    /// Pairs of workers, the lower index first.
    connected: BTreeSet<(WorkerIndex, WorkerIndex)>,
    lease_epoch_max: u64,
    revision_max: u64,
    /// Received and not yet looked at; no request is taken before this is empty.
    commands: VecDeque<(u64, u64, Command)>,
    /// Looked at and not yet handed on: workers or helper are busy.
    steps: VecDeque<Step>,
    /// Wanted before workers had answered everything.
    snapshots: Vec<WantedSnapshot>,
}

/// What was under way when it was asked for may still be refused, and whoever asked would not hear of it.
#[derive(Debug)]
struct WantedSnapshot {
    /// By worker: how many answers must have come.
    answers: Vec<u64>,
    reply: oneshot::Sender<Snapshot>,
}

#[derive(Debug)]
enum Step {
    Link(WorkerIndex, Box<Link>),
    Media(WorkerIndex, MediaCommand, Option<Ticket>),
    Data(Input, Option<Ticket>),
}

impl Hub {
    #[must_use]
    pub fn new(
        identity: Identity,
        table: Table,
        workers: Vec<WorkerLink>,
        helper: HelperLink,
        bell: TaskBell,
        requests: mpsc::Receiver<Request>,
    ) -> Self {
        Self {
            identity,
            table,
            workers,
            helper,
            bell,
            requests,
            attachments: BTreeMap::new(),
            attachment_last: 0,
            events: EventLog::default(),
            gathering: Gathering::default(),
            shares: Shares::default(),
            connected: BTreeSet::new(),
            lease_epoch_max: 0,
            revision_max: 0,
            commands: VecDeque::new(),
            steps: VecDeque::new(),
            snapshots: Vec::new(),
        }
    }

    /// Runs until it is asked to stop, and gives its links back.
    pub async fn run(mut self) -> (Vec<WorkerLink>, HelperLink) {
        loop {
            self.take_reports();
            self.hand_on();
            self.attachments.retain(|_, attachment| !attachment.cut_off());
            self.bell.arm();
            if self.workers.iter().any(WorkerLink::has_report) || self.helper.has_output() {
                self.bell.disarm();
                // So that a flood of events does not keep other tasks from their turn.
                tokio::task::yield_now().await;
                continue;
            }
            let (idle, stalled) = (self.commands.is_empty() && self.steps.is_empty(), !self.steps.is_empty());
            tokio::select! {
                () = self.bell.rung() => {}
                request = self.requests.recv(), if idle => match request {
                    Some(Request::Stop) | None => return (self.workers, self.helper),
                    Some(request) => self.handle(request),
                },
                // The helper has no bell for "there is room again".
                () = tokio::time::sleep(RETRY), if stalled => {}
            }
            self.bell.disarm();
        }
    }

    fn handle(&mut self, request: Request) {
        match request {
            Request::Open { outgoing, reply } => {
                // Whoever is gone before the answer closes again.
                let _ = reply.send(self.open(outgoing));
            }
            Request::Hello { attachment, hello } => self.hello(attachment, &hello),
            Request::Batch { attachment, batch } => self.batch(attachment, batch),
            Request::Close { attachment, because } => {
                if let Some(mut attachment) = self.attachments.remove(&attachment)
                    && let Some(because) = because
                {
                    attachment.send(Err(because));
                }
            }
            Request::Snapshot { reply } => {
                let answers = self.workers.iter().map(WorkerLink::commanded_count).collect();
                self.snapshots.push(WantedSnapshot { answers, reply });
                self.take_snapshots();
            }
            Request::Counters { reply } => {
                let _ = reply.send(self.counters());
            }
            Request::Progress { route, reply } => self.helper.progress(RouteId(route), reply),
            Request::Stop => {}
        }
    }

    fn open(&mut self, outgoing: Outgoing) -> u64 {
        self.attachment_last += 1;
        let mut attachment = Attachment::new(outgoing, self.revision_max);
        attachment.send(Ok(media_message::Message::Attached(self.attached())));
        self.attachments.insert(self.attachment_last, attachment);
        self.attachment_last
    }

    fn attached(&self) -> Attached {
        let worker = |(index, candidates): (u16, &Vec<_>)| Worker {
            index: index.into(),
            candidates: candidates.clone(),
            peers: self.table.peers_on_worker(WorkerIndex(index)),
        };
        Attached {
            contract: CONTRACT,
            certificate_sha256: self.identity.certificate_sha256.clone(),
            workers: (0..).zip(&self.identity.candidates).map(worker).collect(),
            lease_epoch_max: self.lease_epoch_max,
            revision_max: self.revision_max,
            event_sequence: self.events.last_sequence(),
            incarnation: self.identity.incarnation,
            lease_epochs_attached: self.attachments.values().filter_map(Attachment::lease_epoch).collect(),
        }
    }

    fn hello(&mut self, id: u64, hello: &Hello) {
        let Some(attachment) = self.attachments.get_mut(&id) else { return };
        let refused = if attachment.lease_epoch().is_some() {
            Some("hello is said once".into())
        } else if hello.contract != CONTRACT {
            Some(format!("contract {} is not spoken here, {CONTRACT} is", hello.contract))
        } else if hello.lease_epoch <= self.lease_epoch_max {
            Some(format!("lease epoch {} is not greater than {}", hello.lease_epoch, self.lease_epoch_max))
        } else {
            None
        };
        if let Some(sentence) = refused {
            return attachment.send(Err(Status::failed_precondition(sentence)));
        }
        self.lease_epoch_max = hello.lease_epoch;
        attachment.begin(hello.lease_epoch);
        for event in self.events.after(hello.event_sequence_seen) {
            attachment.tell(event);
        }
        tracing::info!(node = %hello.node.escape_debug(), lease_epoch = hello.lease_epoch, "control plane attached");
    }

    fn batch(&mut self, id: u64, batch: Batch) {
        let Some(attachment) = self.attachments.get_mut(&id) else { return };
        if attachment.lease_epoch().is_none() {
            return attachment.send(Err(Status::failed_precondition("hello comes first")));
        }
        if batch.commands.len() > COMMANDS_MAX {
            let sentence = format!("a batch of {} commands is too large", batch.commands.len());
            return attachment.send(Err(Status::resource_exhausted(sentence)));
        }
        match attachment.open_batch(batch.commands.iter().map(|command| command.revision)) {
            Ok(number) => {
                self.revision_max = self.revision_max.max(attachment.revision_last());
                self.commands.extend(batch.commands.into_iter().map(|command| (id, number, command)));
            }
            Err(status) => attachment.send(Err(status)),
        }
    }

    /// Hands commands on to helper and workers, as far as they take them.
    fn hand_on(&mut self) {
        loop {
            while let Some(step) = self.steps.pop_front() {
                if let Err(step) = self.try_step(step) {
                    self.steps.push_front(step);
                    self.ring_workers();
                    return;
                }
            }
            let Some((attachment, batch, command)) = self.commands.pop_front() else { break };
            let ticket = Ticket { attachment, batch, revision: command.revision, key: None };
            // A stream that closed meanwhile has commanded under its epoch.
            let epoch = self.attachments.get(&attachment).and_then(Attachment::lease_epoch);
            let outcome = epoch.map_or_else(
                || Err(Refused::new(RefusalReason::Stale, "the stream has ended".into())),
                |epoch| self.command(epoch, command, ticket),
            );
            if let Err(refused) = outcome {
                self.settle(ticket, Some(refused));
            }
        }
        self.ring_workers();
    }

    /// Checks a command against the table and queues the steps that it means.
    fn command(&mut self, epoch: u64, command: Command, ticket: Ticket) -> Result<(), Refused> {
        let Some(order) = command.command else {
            return Err(Refused::invalid("the command is empty".into()));
        };
        match order {
            command::Command::Upsert(resource) => {
                let (key, change) = self.table.upsert(epoch, ticket.revision, resource)?;
                self.queue(Ticket { key: Some(key), ..ticket }, change);
            }
            command::Command::Delete(named) => {
                let key = Key::from(named.key.ok_or_else(|| Refused::invalid("the key is empty".into()))?);
                match self.table.delete(epoch, key)? {
                    Some(change) => self.queue(ticket, change),
                    None => self.settle(ticket, None),
                }
                if let Key::Room(room) = key {
                    self.events.forget_room(room);
                    self.gathering.forget_room(room);
                }
            }
            command::Command::SendData(data) => {
                let data = translate::send_data(data).map_err(Refused::invalid)?;
                self.table.claim(epoch, Key::Room(data.room.0))?;
                self.steps.push_back(Step::Data(Input::SendData(Box::new(data)), Some(ticket)));
            }
            command::Command::ReplayData(replay) => {
                let replay = translate::replay_data(replay).map_err(Refused::invalid)?;
                self.table.claim(epoch, Key::Route(replay.route.0))?;
                self.steps.push_back(Step::Data(Input::ReplayData(replay), Some(ticket)));
            }
            command::Command::RequestKeyFrame(request) => {
                let worker = self.table.claim(epoch, Key::Publication(request.publication))?;
                let command = MediaCommand::RequestKeyFrame(PublicationId(request.publication));
                self.steps.push_back(Step::Media(worker, command, Some(ticket)));
            }
        }
        Ok(())
    }

    /// The helper hears first: a datagram of a peer must find it known.
    fn queue(&mut self, ticket: Ticket, change: Change) {
        let Change { media, data } = change;
        let for_data = media.is_empty().then_some(ticket);
        self.shares.begin(ticket, media.len());
        self.connect(&media);
        self.steps.extend(data.into_iter().map(|input| Step::Data(input, for_data)));
        self.steps
            .extend(media.into_iter().map(|(worker, command)| Step::Media(worker, command, Some(ticket))));
    }

    /// Workers are connected when a publication of one has its first subscriber on the other.
    fn connect(&mut self, media: &[(WorkerIndex, MediaCommand)]) {
        for (worker, command) in media {
            let MediaCommand::UpsertPublication(spec) = command else { continue };
            let Some(home) = spec.home.map(|home| home.worker) else { continue };
            self.connect_two(home, *worker);
        }
    }

    /// All of them at once: where they share a port, each may receive what is another one's.
    pub fn connect_all(&mut self) {
        let workers = (0..).zip(&self.workers).map(|(index, _)| WorkerIndex(index));
        let workers: Vec<WorkerIndex> = workers.collect();
        for one in &workers {
            for other in workers.iter().filter(|other| *other > one) {
                self.connect_two(*one, *other);
            }
        }
    }

    fn connect_two(&mut self, one: WorkerIndex, other: WorkerIndex) {
        let link = |index: WorkerIndex| Some((index, self.workers.get(usize::from(index.0))?));
        let pair = (one.min(other), one.max(other));
        if !self.connected.contains(&pair)
            && let (Some(one), Some(other)) = (link(one), link(other))
        {
            let links = WorkerLink::links(one, other);
            self.steps.extend(links.map(|(worker, link)| Step::Link(worker, link)));
            self.connected.insert(pair);
        }
    }

    /// What follows from something else than a command: nobody waits for it.
    fn follow(&mut self, change: Change) {
        let Change { media, data } = change;
        self.steps.extend(data.into_iter().map(|input| Step::Data(input, None)));
        self.steps.extend(media.into_iter().map(|(worker, command)| Step::Media(worker, command, None)));
    }

    fn try_step(&mut self, step: Step) -> Result<(), Step> {
        match step {
            Step::Link(worker, link) => {
                let Some(to) = self.workers.get_mut(usize::from(worker.0)) else { return Ok(()) };
                to.connect(link).map_err(|link| Step::Link(worker, link))
            }
            Step::Media(worker, command, ticket) => {
                let Some(link) = self.workers.get_mut(usize::from(worker.0)) else {
                    debug_assert!(false, "the table checked the worker");
                    return Ok(());
                };
                link.command(command, ticket).map_err(|command| Step::Media(worker, command, ticket))
            }
            Step::Data(input, ticket) => {
                self.helper.order(input).map_err(|input| Step::Data(input, ticket))?;
                if let Some(ticket) = ticket {
                    self.settle(ticket, None);
                }
                Ok(())
            }
        }
    }

    fn settle(&mut self, ticket: Ticket, refused: Option<Refused>) {
        if let Some(refused) = &refused {
            tracing::warn!(revision = ticket.revision, reason = ?refused.reason, detail = %refused.detail, "command refused");
        }
        if let Some(attachment) = self.attachments.get_mut(&ticket.attachment) {
            attachment.settle(ticket.batch, refused.map(|refused| refused.into_message(ticket.revision)));
        }
    }

    fn take_reports(&mut self) {
        let mut reports = Vec::new();
        for (index, link) in (0..).zip(&mut self.workers) {
            while let Some(report) = link.report() {
                reports.push((WorkerIndex(index), report));
            }
        }
        // After the workers' rings: what the helper said of a peer before its worker said "connected" is there now.
        while let Some(output) = self.helper.output() {
            self.helper_output(output);
        }
        for (worker, report) in reports {
            match report {
                Report::Done(outcome) => self.done(worker, outcome),
                Report::Event(event) => self.worker_event(worker, event),
                Report::Rebuilt => self.rebuilt(worker),
            }
        }
        self.take_snapshots();
    }

    fn take_snapshots(&mut self) {
        let workers = &self.workers;
        let is_settled = |wanted: &mut WantedSnapshot| {
            workers.iter().zip(&wanted.answers).all(|(link, answers)| link.answered_count() >= *answers)
        };
        for wanted in self.snapshots.extract_if(.., is_settled) {
            // Whoever asked may have gone.
            let _ = wanted.reply.send(self.table.snapshot());
        }
    }

    fn done(&mut self, worker: WorkerIndex, outcome: Outcome) {
        let answered = self.workers.get_mut(usize::from(worker.0)).and_then(WorkerLink::answered);
        let Some(ticket) = answered else { return };
        let refused = match outcome {
            Outcome::Applied => None,
            Outcome::Refused(refusal) => Some(Refused::by_engine(refusal)),
            Outcome::Panicked => Some(Refused::by_panic()),
        };
        let Some(refused) = self.shares.answered(ticket, refused) else { return };
        if let Some(key) = ticket.key {
            if refused.is_some() {
                let change = self.table.refused(key, ticket.revision);
                self.follow(change);
            } else {
                self.table.applied(key, ticket.revision);
            }
        }
        self.settle(ticket, refused);
    }

    fn worker_event(&mut self, worker: WorkerIndex, event: MediaEvent) {
        let Some(event) = self.gathering.take(&self.table, worker, event) else { return };
        let mut gone = None;
        if let MediaEvent::Transport { peer, state } = &event {
            match state {
                // As a DTLS client we may speak now.
                TransportState::Connecting { .. } => {
                    self.steps.push_back(Step::Data(Input::PathValid(*peer), None));
                }
                TransportState::Failed(FailureReason::Panic) => gone = Some(*peer),
                _ => {}
            }
        }
        if let Some(told) = tell::worker_event(&mut self.table, event) {
            self.tell(told);
        }
        if let Some(peer) = gone {
            self.forget_peer(peer);
        }
    }

    fn helper_output(&mut self, output: Output) {
        match output {
            Output::Secured { peer, profile, version, .. } => {
                tell::secured(&mut self.table, peer.0, Secured { profile, version });
            }
            Output::DataReady { route, .. } => {
                if let Some(told) = tell::data_ready(&self.table, route.0) {
                    self.tell(told);
                }
            }
            Output::DataReplied { route, packet, .. } => {
                if let Some(told) = tell::data_replied(&self.table, route.0, &packet) {
                    self.tell(told);
                }
            }
            Output::Keys { .. } | Output::Datagram { .. } | Output::DtlsEnded { .. } => {
                debug_assert!(false, "the sink sends it to the worker");
            }
        }
    }

    /// The worker's engine was replaced: its rooms are described again, its peers are gone.
    fn rebuilt(&mut self, worker: WorkerIndex) {
        tracing::error!(worker = worker.0, "engine replaced after repeated panics; its peers are dropped");
        for (key, _) in self.table.on_worker(worker, Kind::Peer) {
            let Some(room) = self.table.room_of(key) else { continue };
            self.tell(Told { room, event: tell::lost_by_panic(key.id()) });
            self.forget_peer(PeerId(key.id()));
        }
        for (_, resource) in self.table.on_worker(worker, Kind::Room) {
            if let Some(proto::media::v1::resource::Spec::Room(room)) = &resource.spec
                && let Ok(spec) = translate::room(room)
            {
                self.steps.push_back(Step::Media(worker, MediaCommand::UpsertRoom(spec), None));
            }
        }
    }

    /// Its engine has dropped it, but may have heard of it again before we knew.
    fn forget_peer(&mut self, peer: PeerId) {
        let change = self.table.remove(Key::Peer(peer.0));
        self.follow(change);
    }

    /// To the control plane that has the room; to all, if that one is not attached.
    fn tell(&mut self, Told { room, event }: Told) {
        if let event::Event::Transport(changed) = &event {
            tracing::debug!(room, peer = changed.peer, state = ?changed.state(), reason = ?changed.reason(), "transport");
        }
        let event = self.events.record(room, event);
        let lease = self.table.lease_of(room);
        let owner = self.attachments.values_mut().find(|one| lease.is_some() && one.lease_epoch() == lease);
        if let Some(owner) = owner {
            return owner.tell(event);
        }
        for attachment in self.attachments.values_mut().filter(|one| one.lease_epoch().is_some()) {
            attachment.tell(event.clone());
        }
    }

    fn ring_workers(&mut self) {
        for worker in &mut self.workers {
            worker.ring();
        }
    }

    fn counters(&mut self) -> CountersWanted {
        let mut process: Vec<(String, u64)> = Kind::ALL
            .iter()
            .map(|kind| (format!("resources_{}", kind.name()), self.table.count(*kind) as u64))
            .collect();
        process.extend([
            ("state_bytes".into(), self.table.state_len() as u64),
            ("control_planes".into(), self.attachments.len() as u64),
            ("events".into(), self.events.last_sequence()),
            ("helper_dropped_worker_ring_full".into(), self.helper.dropped()),
        ]);
        CountersWanted {
            process,
            workers: self.workers.iter_mut().map(WorkerLink::counters).collect(),
            helper: self.helper.counters(),
        }
    }
}

/// What this file speaks; `Hello.contract` and `Attached.contract`.
pub const CONTRACT: u32 = 1;
const COMMANDS_MAX: usize = 16_384;
const RETRY: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests;
