//! The media plane's side of the contract, played by hand: what is written is seen, and acknowledged when the test
//! says so.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use proto::command::Command;
use proto::media::v1 as proto;
use proto::media_message::Message;
use proto::media_plane_server::{MediaPlane, MediaPlaneServer};
use proto::{control_message, resource::Spec};
use tokio::net::UnixListener;
use tokio::sync::{Mutex, mpsc};
use tokio_stream::wrappers::{UnboundedReceiverStream, UnixListenerStream};
use tonic::{Request, Response, Status, Streaming};

use crate::media::address::{Address, Bearer};
use crate::media::plane::{Options, Plane};
use crate::media::reconcile::Orphans;

type Tell = mpsc::UnboundedSender<Result<proto::MediaMessage, Status>>;

/// The test's end.
pub(super) struct Stage {
    pub(super) plane: Plane,
    batches: mpsc::UnboundedReceiver<Vec<proto::Command>>,
    tell: Arc<Mutex<Option<Tell>>>,
    events: u64,
    _directory: tempfile::TempDir,
}

struct Service {
    batches: mpsc::UnboundedSender<Vec<proto::Command>>,
    tell: Arc<Mutex<Option<Tell>>>,
    asked: AtomicU64,
}

impl Stage {
    pub(super) async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("media.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let (sender, batches) = mpsc::unbounded_channel();
        let tell = Arc::default();
        let service = Service { batches: sender, tell: Arc::clone(&tell), asked: AtomicU64::new(0) };
        let server = tonic::transport::Server::builder().add_service(MediaPlaneServer::new(service));
        tokio::spawn(server.serve_with_incoming(UnixListenerStream::new(listener)));
        let plane = Plane::start(Options {
            address: Address::Unix(path),
            bearer: Bearer::new(None).unwrap(),
            node: "test".into(),
            orphans: Orphans::Drop,
        });
        plane.ready().await.unwrap();
        Self { plane, batches, tell, events: 0, _directory: directory }
    }

    /// What was written next.
    pub(super) async fn written(&mut self) -> Vec<proto::Command> {
        let batch = tokio::time::timeout(Duration::from_secs(5), self.batches.recv()).await;
        batch.expect("something is written").expect("the plane is attached")
    }

    pub(super) async fn acknowledge(&self, commands: &[proto::Command], refusals: Vec<proto::Refusal>) {
        let revision = commands.last().unwrap().revision;
        self.say(Message::Acknowledgement(proto::Acknowledgement { revision, refusals })).await;
    }

    /// Acknowledges what is written until nothing more comes.
    pub(super) async fn acknowledge_all(&mut self) -> Vec<proto::Command> {
        let mut all = Vec::new();
        while let Ok(Some(batch)) =
            tokio::time::timeout(Duration::from_millis(200), self.batches.recv()).await
        {
            self.acknowledge(&batch, Vec::new()).await;
            all.extend(batch);
        }
        all
    }

    pub(super) async fn event(&mut self, room: u64, event: proto::event::Event) {
        self.events += 1;
        self.say(Message::Event(proto::Event { sequence: self.events, room, event: Some(event) })).await;
    }

    /// Ends the stream, as a media plane does that is killed.
    pub(super) async fn hang_up(&self) {
        self.tell.lock().await.take();
    }

    async fn say(&self, message: Message) {
        let message = Ok(proto::MediaMessage { message: Some(message) });
        self.tell.lock().await.as_ref().expect("somebody is attached").send(message).unwrap();
    }
}

#[tonic::async_trait]
impl MediaPlane for Service {
    type AttachStream = Pin<Box<dyn Stream<Item = Result<proto::MediaMessage, Status>> + Send>>;
    type SnapshotStream = Pin<Box<dyn Stream<Item = Result<proto::Resource, Status>> + Send>>;

    async fn attach(
        &self,
        request: Request<Streaming<proto::ControlMessage>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let (tell, messages) = mpsc::unbounded_channel();
        tell.send(Ok(proto::MediaMessage { message: Some(Message::Attached(attached())) })).unwrap();
        *self.tell.lock().await = Some(tell);
        let batches = self.batches.clone();
        let mut commands = request.into_inner();
        tokio::spawn(async move {
            while let Some(Ok(message)) = commands.next().await {
                if let Some(control_message::Message::Batch(batch)) = message.message {
                    let _ = batches.send(batch.commands);
                }
            }
        });
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(messages))))
    }

    async fn snapshot(
        &self,
        _: Request<proto::SnapshotRequest>,
    ) -> Result<Response<Self::SnapshotStream>, Status> {
        Ok(Response::new(Box::pin(tokio_stream::empty())))
    }

    async fn counters(
        &self,
        _: Request<proto::CountersRequest>,
    ) -> Result<Response<proto::CountersResponse>, Status> {
        // A megabyte more each time.
        let value = self.asked.fetch_add(1_000_000, Ordering::Relaxed);
        let counter = proto::Counter { name: "io_bytes_sent".into(), value };
        let worker = proto::WorkerCounters { counters: vec![counter], ..proto::WorkerCounters::default() };
        Ok(Response::new(proto::CountersResponse { workers: vec![worker], ..Default::default() }))
    }

    async fn data_progress(
        &self,
        _: Request<proto::DataProgressRequest>,
    ) -> Result<Response<proto::DataProgressResponse>, Status> {
        Ok(Response::new(proto::DataProgressResponse { last_sequence: 77 }))
    }
}

/// Another incarnation each time: what was there is gone.
fn attached() -> proto::Attached {
    let candidate =
        proto::Candidate { address: "127.0.0.1".into(), port: 7882, ..proto::Candidate::default() };
    proto::Attached {
        contract: 1,
        certificate_sha256: vec![7; 32],
        workers: vec![proto::Worker { index: 0, candidates: vec![candidate], peers: 0 }],
        incarnation: rand::random(),
        ..proto::Attached::default()
    }
}

/// What a batch of commands is about.
pub(super) fn kinds(commands: &[proto::Command]) -> Vec<&'static str> {
    let kinds = commands.iter().map(|command| match &command.command {
        Some(Command::Upsert(resource)) => match &resource.spec {
            Some(Spec::Room(_)) => "room",
            Some(Spec::Peer(_)) => "peer",
            Some(Spec::Publication(_)) => "publication",
            Some(Spec::Subscription(_)) => "subscription",
            Some(Spec::Route(_)) => "route",
            None => "nothing",
        },
        Some(Command::Delete(_)) => "delete",
        _ => "order",
    });
    kinds.collect()
}
