//! One `Attach` stream, message by message, for what the control plane's own client never does.

use proto::media::v1::media_message::Message;
use proto::media::v1::media_plane_client::MediaPlaneClient;
use proto::media::v1::{
    Acknowledgement, Attached, Batch, Command, ControlMessage, Event, Hello, MediaMessage, command,
    control_message,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use crate::media::within;

#[derive(Debug)]
pub struct Stream {
    pub attached: Attached,
    outgoing: mpsc::UnboundedSender<ControlMessage>,
    incoming: Streaming<MediaMessage>,
    revision: u64,
}

impl Stream {
    /// Opens the stream and hears who the media plane is.
    pub async fn open(channel: Channel) -> Self {
        let (outgoing, messages) = mpsc::unbounded_channel();
        let mut client = MediaPlaneClient::new(channel);
        let stream = UnboundedReceiverStream::new(messages);
        let mut incoming = within(client.attach(stream)).await.expect("a stream").into_inner();
        let first = within(incoming.message()).await.expect("no error").expect("a message");
        let Some(Message::Attached(attached)) = first.message else { panic!("{first:?} comes first") };
        Self { revision: attached.revision_max, attached, outgoing, incoming }
    }

    /// Opens the stream and says hello as the next control plane.
    pub async fn attach(channel: Channel, event_sequence_seen: u64) -> Self {
        let stream = Self::open(channel).await;
        stream.hello(stream.attached.lease_epoch_max + 1, event_sequence_seen);
        stream
    }

    pub fn hello(&self, lease_epoch: u64, event_sequence_seen: u64) {
        let hello = Hello { contract: 1, node: "test".into(), lease_epoch, event_sequence_seen };
        self.send(control_message::Message::Hello(hello));
    }

    /// Sends commands as one batch, with revisions of our choice.
    pub fn send_numbered(&self, commands: Vec<(u64, command::Command)>) {
        let numbered = |(revision, command)| Command { revision, command: Some(command) };
        let commands = commands.into_iter().map(numbered).collect();
        self.send(control_message::Message::Batch(Batch { commands }));
    }

    /// Sends commands as one batch; tells the last revision.
    pub fn send_commands(&mut self, commands: Vec<command::Command>) -> u64 {
        let first = self.revision + 1;
        self.revision += commands.len() as u64;
        self.send_numbered((first..).zip(commands).collect());
        self.revision
    }

    /// Sends a batch and waits for its acknowledgement.
    pub async fn submit(&mut self, commands: Vec<command::Command>) -> Acknowledgement {
        let last = self.send_commands(commands);
        loop {
            if let Message::Acknowledgement(acknowledgement) = self.next().await.expect("an acknowledgement")
            {
                assert_eq!(acknowledgement.revision, last);
                return acknowledgement;
            }
        }
    }

    /// The next event; acknowledgements are passed over.
    pub async fn event(&mut self) -> Event {
        loop {
            if let Message::Event(event) = self.next().await.expect("an event") {
                return event;
            }
        }
    }

    pub async fn next(&mut self) -> Result<Message, Status> {
        let message = within(self.incoming.message()).await?;
        message.and_then(|message| message.message).ok_or_else(|| Status::aborted("the stream ended"))
    }

    fn send(&self, message: control_message::Message) {
        // A stream that the media plane has ended shows in `next`.
        let _ = self.outgoing.send(ControlMessage { message: Some(message) });
    }
}
