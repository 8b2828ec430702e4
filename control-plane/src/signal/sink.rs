//! The way to a client: signal responses queue here until the connection writes them, never more than 4 MiB.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use livekit_protocol::signal_response::Message;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The room's end. Clones share one queue; sending never waits and never fails visibly: a client that is
/// gone or too slow is told to the room as a disconnection.
#[derive(Clone, Debug)]
pub struct Sink {
    queue: mpsc::UnboundedSender<Item>,
    load: Arc<Load>,
}

/// The connection's end.
#[derive(Debug)]
pub struct Outgoing {
    queue: mpsc::UnboundedReceiver<Item>,
    load: Arc<Load>,
}

/// What the connection has to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    Write(Message),
    /// Everything sent before was handed out: close the WebSocket.
    Close,
}

/// A queue between a room and one connection.
pub fn channel() -> (Sink, Outgoing) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let load = Arc::new(Load::default());
    (Sink { queue: sender, load: Arc::clone(&load) }, Outgoing { queue: receiver, load })
}

impl Sink {
    /// Queues a message. One is always admitted; beyond the bound the connection is given up.
    pub fn send(&self, message: Message) {
        // The oneof's own encoding: its field's tag, length and value.
        let len = message.encoded_len();
        if self.load.queued_bytes.fetch_add(len, Ordering::Relaxed) > QUEUED_BYTES_MAX {
            self.load.overflow.cancel();
            return;
        }
        // A closed receiver means that the connection has ended, which the room learns by `disconnected`.
        let _ = self.queue.send(Item::Message(message, len));
    }

    /// Closes the WebSocket once everything sent so far is written.
    pub fn close(&self) {
        let _ = self.queue.send(Item::Close);
    }

    pub fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }
}

impl Outgoing {
    /// Waits for the next thing to do. The room dropping every sink is a close too.
    pub async fn next(&mut self) -> Next {
        match self.queue.recv().await {
            Some(item) => self.take(item),
            None => Next::Close,
        }
    }

    /// The next thing to do, if there is one already.
    pub fn try_next(&mut self) -> Option<Next> {
        let item = self.queue.try_recv().ok()?;
        Some(self.take(item))
    }

    /// Cancelled when the client reads so slowly that the queue is full: to be watched while writing.
    pub fn overflow(&self) -> CancellationToken {
        self.load.overflow.clone()
    }

    fn take(&self, item: Item) -> Next {
        match item {
            Item::Message(message, len) => {
                self.load.queued_bytes.fetch_sub(len, Ordering::Relaxed);
                Next::Write(message)
            }
            Item::Close => Next::Close,
        }
    }
}

#[derive(Debug)]
enum Item {
    Message(Message, usize),
    Close,
}

#[derive(Debug, Default)]
struct Load {
    queued_bytes: AtomicUsize,
    overflow: CancellationToken,
}

const QUEUED_BYTES_MAX: usize = 4 * 1024 * 1024;
