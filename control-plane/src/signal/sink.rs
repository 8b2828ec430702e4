//! The way to a client: messages queue here until the connection writes them, never more than 4 MiB.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use livekit_protocol::signal_response::Message;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The room's end. Clones share one queue; sending never waits and never fails visibly: a client that is
/// gone or too slow is told to the room as a disconnection.
#[derive(Clone, Debug)]
pub struct Sink<M = Message> {
    queue: mpsc::UnboundedSender<Item<M>>,
    load: Arc<Load>,
}

/// The connection's end.
#[derive(Debug)]
pub struct Outgoing<M = Message> {
    queue: mpsc::UnboundedReceiver<Item<M>>,
    load: Arc<Load>,
}

/// What waits in the queue: signal responses to clients, and what agent workers are told.
pub trait Outbound {
    /// What it takes on the wire.
    fn encoded_len(&self) -> usize;
}

impl Outbound for Message {
    /// The oneof's own encoding: its field's tag, length and value.
    fn encoded_len(&self) -> usize {
        Self::encoded_len(self)
    }
}

/// What the connection has to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next<M = Message> {
    Write(M),
    /// Everything sent before was handed out: close the WebSocket.
    Close,
}

/// A queue between a room and one connection.
pub fn channel<M>() -> (Sink<M>, Outgoing<M>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let load = Arc::new(Load::default());
    (Sink { queue: sender, load: Arc::clone(&load) }, Outgoing { queue: receiver, load })
}

impl<M: Outbound> Sink<M> {
    /// Queues a message. One is always admitted; beyond the bound the connection is given up.
    pub fn send(&self, message: M) {
        let len = message.encoded_len();
        if self.load.queued_bytes.fetch_add(len, Ordering::Relaxed) > QUEUED_BYTES_MAX {
            self.load.overflow.cancel();
            return;
        }
        // A closed receiver means that the connection has ended, which the room learns by `disconnected`.
        let _ = self.queue.send(Item::Message(Box::new(message), len));
    }

    /// Closes the WebSocket once everything sent so far is written.
    pub fn close(&self) {
        let _ = self.queue.send(Item::Close);
    }

    pub fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }
}

impl<M> Outgoing<M> {
    /// Waits for the next thing to do. The room dropping every sink is a close too.
    pub async fn next(&mut self) -> Next<M> {
        match self.queue.recv().await {
            Some(item) => self.take(item),
            None => Next::Close,
        }
    }

    /// The next thing to do, if there is one already.
    pub fn try_next(&mut self) -> Option<Next<M>> {
        let item = self.queue.try_recv().ok()?;
        Some(self.take(item))
    }

    /// Cancelled when the client reads so slowly that the queue is full: to be watched while writing.
    pub fn overflow(&self) -> CancellationToken {
        self.load.overflow.clone()
    }

    fn take(&self, item: Item<M>) -> Next<M> {
        match item {
            Item::Message(message, len) => {
                self.load.queued_bytes.fetch_sub(len, Ordering::Relaxed);
                Next::Write(*message)
            }
            Item::Close => Next::Close,
        }
    }
}

#[derive(Debug)]
enum Item<M> {
    Message(Box<M>, usize),
    Close,
}

#[derive(Debug, Default)]
struct Load {
    queued_bytes: AtomicUsize,
    overflow: CancellationToken,
}

const QUEUED_BYTES_MAX: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn large() -> Message {
        Message::RefreshToken("x".repeat(1024 * 1024))
    }

    #[tokio::test]
    async fn order_is_kept_and_close_comes_last() {
        let (sink, mut outgoing) = channel();
        sink.send(Message::Pong(1));
        sink.clone().send(Message::Pong(2));
        sink.close();
        assert_eq!(outgoing.next().await, Next::Write(Message::Pong(1)));
        assert_eq!(outgoing.next().await, Next::Write(Message::Pong(2)));
        assert_eq!(outgoing.next().await, Next::Close);
    }

    #[tokio::test]
    async fn a_room_that_let_go_closes_too() {
        let (sink, mut outgoing) = channel();
        sink.send(Message::Pong(1));
        drop(sink);
        assert_eq!(outgoing.next().await, Next::Write(Message::Pong(1)));
        assert_eq!(outgoing.next().await, Next::Close);
    }

    #[test]
    fn what_was_taken_makes_room() {
        let (sink, mut outgoing) = channel();
        for _ in 0..20 {
            sink.send(large());
            assert_eq!(outgoing.try_next(), Some(Next::Write(large())));
        }
        assert!(!outgoing.overflow().is_cancelled());
    }

    #[test]
    fn four_mebibytes_and_one_message_may_wait() {
        let (sink, mut outgoing) = channel();
        for _ in 0..4 {
            sink.send(large());
        }
        assert!(!outgoing.overflow().is_cancelled());
        sink.send(large());
        assert!(outgoing.overflow().is_cancelled());
        assert_eq!(std::iter::from_fn(|| outgoing.try_next()).count(), 4);
    }

    #[test]
    fn a_message_larger_than_the_bound_is_admitted_alone() {
        let (sink, outgoing) = channel();
        sink.send(Message::RefreshToken("x".repeat(8 * 1024 * 1024)));
        assert!(!outgoing.overflow().is_cancelled());
    }

    #[test]
    fn sending_to_a_connection_that_ended_is_no_error() {
        let (sink, outgoing) = channel();
        drop(outgoing);
        sink.send(Message::Pong(1));
        sink.close();
        assert!(sink.is_closed());
    }
}
