//! A media plane as rooms see it: a handle to the task that keeps attached to it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use proto::media::v1::media_plane_client::MediaPlaneClient;
use proto::media::v1::{
    Attached, CountersRequest, CountersResponse, DataProgressRequest, Resource, SnapshotRequest, command,
};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use crate::media::address::{Address, Bearer};
use crate::media::busy::{self, Busy};
use crate::media::event::Event;
use crate::media::in_flight::{Answer, Refusal};
use crate::media::link::{Link, Order};
use crate::media::reconcile::Orphans;
use crate::media::table::Load;

/// Cheap to clone. The task behind it ends with the last clone.
#[derive(Clone, Debug)]
pub struct Plane {
    orders: mpsc::UnboundedSender<Order>,
    /// Commands that wait for their acknowledgement.
    waiting: Arc<AtomicUsize>,
    session: watch::Receiver<Option<Session>>,
    load: watch::Receiver<Vec<Load>>,
    busy: watch::Receiver<Busy>,
}

#[derive(Clone, Debug)]
pub struct Options {
    pub address: Address,
    /// Shown to a media plane on TCP.
    pub bearer: Bearer,
    /// Our name in the media plane's log.
    pub node: String,
    pub orphans: Orphans,
}

pub type Client = MediaPlaneClient<InterceptedService<Channel, Bearer>>;

/// While attached.
#[derive(Clone, Debug)]
pub struct Session {
    pub attached: Arc<Attached>,
    pub client: Client,
}

/// The media plane is gone, and what was asked of it may or may not have happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the media plane is gone")]
pub struct PlaneLost;

impl Plane {
    /// Starts the task; it attaches as soon as the media plane answers, and again whenever it must.
    #[must_use]
    pub fn start(options: Options) -> Self {
        let (orders, inbox) = mpsc::unbounded_channel();
        let (session_sender, session) = watch::channel(None);
        let (load_sender, load) = watch::channel(Vec::new());
        let waiting = Arc::new(AtomicUsize::new(0));
        let link = Link::new(options, inbox, session_sender, load_sender, Arc::clone(&waiting));
        tokio::spawn(link.run());
        let (busy_sender, busy) = watch::channel(Busy::default());
        tokio::spawn(busy::watch(session.clone(), busy_sender));
        Self { orders, waiting, session, load, busy }
    }

    /// What the media plane says of itself, while it is there.
    #[must_use]
    pub fn attached(&self) -> Option<Arc<Attached>> {
        self.session.borrow().as_ref().map(|session| Arc::clone(&session.attached))
    }

    /// Resolves when the plane is attached, at once if it is already.
    ///
    /// # Errors
    /// When its task has ended.
    pub async fn ready(&self) -> Result<Arc<Attached>, PlaneLost> {
        let mut session = self.session.clone();
        let found = session.wait_for(Option::is_some).await.map_err(|_| PlaneLost)?;
        found.as_ref().map(|session| Arc::clone(&session.attached)).ok_or(PlaneLost)
    }

    /// Resolves when [`Self::attached`] may have another answer than at the time of the call.
    pub async fn changed(&self) {
        // An error means that it will never change again.
        if self.session.clone().changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Sends commands; they are applied in the order of calls. The answer comes when the media plane has applied them.
    ///
    /// While the media plane is away for a moment, submissions wait for it.
    pub fn submit(&self, commands: Vec<command::Command>) -> Submission {
        let (answer, answered) = oneshot::channel();
        let waiting = self.waiting.fetch_add(commands.len(), Ordering::Relaxed);
        if waiting > WAITING_MAX {
            // Dropping `answer` is the answer.
            self.waiting.fetch_sub(commands.len(), Ordering::Relaxed);
        } else {
            // A task that has ended drops `answer`, too.
            let _ = self.orders.send(Order::Submit { commands, answer });
        }
        Submission(answered)
    }

    /// The room's events from now on. A room that lets [`EVENTS`] pile up loses the stream: it ends then.
    #[must_use]
    pub fn watch_room(&self, room: u64) -> mpsc::Receiver<Event> {
        let (events, stream) = mpsc::channel(EVENTS);
        let _ = self.orders.send(Order::Watch { room, events });
        stream
    }

    pub fn unwatch_room(&self, room: u64) {
        let _ = self.orders.send(Order::Unwatch { room });
    }

    /// The sequence number of the last reliable data packet that a participant sent; `None` for an unknown route.
    ///
    /// # Errors
    /// When the media plane is not there.
    pub async fn data_progress(&self, route: u64) -> Result<Option<u32>, PlaneLost> {
        match self.client()?.data_progress(DataProgressRequest { route }).await {
            Ok(answer) => Ok(Some(answer.into_inner().last_sequence)),
            Err(status) if status.code() == tonic::Code::NotFound => Ok(None),
            Err(_) => Err(PlaneLost),
        }
    }

    /// # Errors
    /// When the media plane is not there.
    pub async fn counters(&self) -> Result<CountersResponse, PlaneLost> {
        Ok(self.client()?.counters(CountersRequest {}).await.map_err(|_| PlaneLost)?.into_inner())
    }

    /// Everything that the media plane has, with the bytes of whoever put it there.
    ///
    /// # Errors
    /// When the media plane is not there.
    pub async fn snapshot(&self) -> Result<Vec<Resource>, PlaneLost> {
        snapshot(&mut self.client()?).await.map_err(|_| PlaneLost)
    }

    /// Of each worker, by index; what was submitted counts. Empty while not attached.
    #[must_use]
    pub fn load(&self) -> Vec<Load> {
        if self.session.borrow().is_none() {
            return Vec::new();
        }
        let mut load = self.load.borrow().clone();
        for (load, busy) in load.iter_mut().zip(self.busy.borrow().permille.iter()) {
            load.busy_permille = *busy;
        }
        load
    }

    /// What it receives and sends, as of the last few seconds.
    #[must_use]
    pub fn bytes_per_second(&self) -> f64 {
        self.busy.borrow().bytes_per_second
    }

    fn client(&self) -> Result<Client, PlaneLost> {
        self.session.borrow().as_ref().map(|session| session.client.clone()).ok_or(PlaneLost)
    }
}

pub(crate) async fn snapshot(client: &mut Client) -> Result<Vec<Resource>, tonic::Status> {
    let mut stream = client.snapshot(SnapshotRequest {}).await?.into_inner();
    let mut resources = Vec::new();
    while let Some(resource) = stream.message().await? {
        resources.push(resource);
    }
    Ok(resources)
}

/// Resolves when the media plane has applied the commands: to those that it refused.
#[derive(Debug)]
#[must_use = "nothing may be told to a client before the answer"]
pub struct Submission(oneshot::Receiver<Answer>);

impl Future for Submission {
    type Output = Result<Vec<Refusal>, PlaneLost>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or(Err(PlaneLost)))
    }
}

/// Commands that may wait for a media plane.
const WAITING_MAX: usize = 65_536;
/// Events that may wait for a room.
pub const EVENTS: usize = 1024;
