//! The media plane's side of the contract in `proto`.

pub mod attachment;
pub mod event_log;
pub mod gathering;
pub mod hub;
pub mod links;
pub mod listen;
pub mod request;
pub mod shares;
pub mod tell;
pub mod token;

use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt};
use proto::media::v1::media_plane_server::MediaPlane;
use proto::media::v1::{
    ControlMessage, CountersRequest, CountersResponse, DataProgressRequest, DataProgressResponse,
    MediaMessage, Resource, SnapshotRequest, control_message,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use tracing_appender::non_blocking::ErrorCounter;

use crate::counters;
use crate::grpc::attachment::OUTGOING;
use crate::grpc::request::Request as HubRequest;

/// Translates calls into requests to the hub.
#[derive(Clone, Debug)]
pub struct Service {
    hub: mpsc::Sender<HubRequest>,
    log_lines_dropped: Option<ErrorCounter>,
}

impl Service {
    #[must_use]
    pub const fn new(hub: mpsc::Sender<HubRequest>, log_lines_dropped: Option<ErrorCounter>) -> Self {
        Self { hub, log_lines_dropped }
    }

    async fn ask<Answer>(
        &self,
        request: impl FnOnce(oneshot::Sender<Answer>) -> HubRequest + Send,
    ) -> Result<Answer, Status> {
        let (reply, answer) = oneshot::channel();
        let stopping = |()| Status::unavailable("the media plane is stopping");
        self.hub.send(request(reply)).await.map_err(|_| stopping(()))?;
        answer.await.map_err(|_| stopping(()))
    }
}

#[tonic::async_trait]
impl MediaPlane for Service {
    type AttachStream = ReceiverStream<Result<MediaMessage, Status>>;
    type SnapshotStream = BoxStream<'static, Result<Resource, Status>>;

    async fn attach(
        &self,
        request: Request<Streaming<ControlMessage>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let (outgoing, told) = mpsc::channel(OUTGOING);
        let attachment = self.ask(|reply| HubRequest::Open { outgoing, reply }).await?;
        let (hub, incoming) = (self.hub.clone(), request.into_inner());
        tokio::spawn(async move {
            let because = listen_to(incoming, attachment, &hub).await.err();
            // Fails only when the hub is gone, and with it the attachment.
            let _ = hub.send(HubRequest::Close { attachment, because }).await;
        });
        Ok(Response::new(ReceiverStream::new(told)))
    }

    async fn snapshot(
        &self,
        _request: Request<SnapshotRequest>,
    ) -> Result<Response<Self::SnapshotStream>, Status> {
        let resources = self.ask(|reply| HubRequest::Snapshot { reply }).await?;
        let messages = resources.into_iter().map(|(resource, status)| {
            Ok(Resource { status: status.message(), ..std::sync::Arc::unwrap_or_clone(resource) })
        });
        Ok(Response::new(stream::iter(messages).boxed()))
    }

    async fn counters(
        &self,
        _request: Request<CountersRequest>,
    ) -> Result<Response<CountersResponse>, Status> {
        let wanted = self.ask(|reply| HubRequest::Counters { reply }).await?;
        Ok(Response::new(counters::collect(wanted, self.log_lines_dropped.as_ref()).await))
    }

    async fn data_progress(
        &self,
        request: Request<DataProgressRequest>,
    ) -> Result<Response<DataProgressResponse>, Status> {
        let route = request.into_inner().route;
        match self.ask(|reply| HubRequest::Progress { route, reply }).await? {
            Some(last_sequence) => Ok(Response::new(DataProgressResponse { last_sequence })),
            None => Err(Status::not_found(format!("there is no route {route}"))),
        }
    }
}

/// Passes on what a control plane says, until it ends or says something that it must not.
async fn listen_to(
    mut incoming: Streaming<ControlMessage>,
    attachment: u64,
    hub: &mpsc::Sender<HubRequest>,
) -> Result<(), Status> {
    let first = timeout(HELLO_WITHIN, incoming.message())
        .await
        .map_err(|_| Status::deadline_exceeded("no hello within 10 s"))??;
    match first.and_then(|first| first.message) {
        Some(control_message::Message::Hello(hello)) => {
            pass(hub, HubRequest::Hello { attachment, hello }).await?;
        }
        Some(control_message::Message::Batch(_)) | None => {
            return Err(Status::failed_precondition("hello comes first"));
        }
    }
    // A control plane that went away without a word is not an error of its own.
    while let Ok(Some(message)) = incoming.message().await {
        match message.message {
            Some(control_message::Message::Batch(batch)) => {
                pass(hub, HubRequest::Batch { attachment, batch }).await?;
            }
            Some(control_message::Message::Hello(_)) | None => {
                return Err(Status::failed_precondition("only batches come after hello"));
            }
        }
    }
    Ok(())
}

async fn pass(hub: &mpsc::Sender<HubRequest>, request: HubRequest) -> Result<(), Status> {
    hub.send(request).await.map_err(|_| Status::unavailable("the media plane is stopping"))
}

const HELLO_WITHIN: Duration = Duration::from_secs(10);
