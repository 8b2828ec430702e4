//! How long a connection may take its time: for a request's head, and between two requests.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// A connection whose reads fail when its client is too slow.
#[derive(Debug)]
pub struct Patient<S> {
    stream: S,
    turn: Turn,
    /// The last turn that was seen.
    seen: u64,
    waiting: Waiting,
    deadline: Pin<Box<Sleep>>,
}

/// Whose turn it is to speak: whoever answers requests tells the connection.
#[derive(Clone, Debug, Default)]
pub struct Turn {
    /// Even: the client's.
    count: Arc<AtomicU64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    /// It is our turn, or the wait has not begun.
    No,
    BetweenRequests,
    /// For the rest of a head. A connection begins like this: nobody connects in order to wait.
    InHead,
}

impl Turn {
    /// The head is there. From here on, reads take what time they need.
    pub fn answer(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// The request is answered: what is read next belongs to another one.
    pub fn listen(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }
}

impl<S> Patient<S> {
    pub fn new(stream: S, turn: Turn) -> Self {
        Self { stream, turn, seen: 0, waiting: Waiting::InHead, deadline: Box::pin(sleep(HEAD_MAX)) }
    }

    fn wait(&mut self, waiting: Waiting, time: Duration) {
        self.waiting = waiting;
        self.deadline.as_mut().reset(Instant::now() + time);
    }

    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        self.deadline.as_mut().poll(context).map(|()| io::ErrorKind::TimedOut.into())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let turn = self.turn.count.load(Ordering::Relaxed);
        if turn != self.seen {
            self.seen = turn;
            self.waiting = Waiting::No;
        }
        if !turn.is_multiple_of(2) {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        // First, or a client whose bytes never end would never be late.
        if self.waiting == Waiting::InHead
            && let Poll::Ready(late) = self.poll_deadline(context)
        {
            return Poll::Ready(Err(late));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_pending() {
            if self.waiting == Waiting::No {
                self.wait(Waiting::BetweenRequests, IDLE_MAX);
            }
            return self.poll_deadline(context).map(Err);
        }
        if buffer.filled().len() > before && self.waiting != Waiting::InHead {
            self.wait(Waiting::InHead, HEAD_MAX);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.written(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S> Patient<S> {
    /// A client that takes its answer is not idle.
    fn written(&mut self, written: &Poll<io::Result<usize>>) {
        if written.is_ready() && self.waiting == Waiting::BetweenRequests {
            self.waiting = Waiting::No;
        }
    }
}

const HEAD_MAX: Duration = Duration::from_secs(10);
/// Load balancers keep connections open to reuse them, most of them for about this long.
const IDLE_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::timeout;

    use super::*;

    fn connected() -> (DuplexStream, Patient<DuplexStream>, Turn) {
        let (client, served) = duplex(1024);
        let turn = Turn::default();
        (client, Patient::new(served, turn.clone()), turn)
    }

    /// Reads until the connection is given up; how long that took, in seconds.
    async fn given_up(served: &mut Patient<DuplexStream>) -> u64 {
        let start = Instant::now();
        let mut byte = [0];
        loop {
            match served.read(&mut byte).await {
                Ok(len) => assert_ne!(len, 0, "the client is still there"),
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                    return start.elapsed().as_secs();
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_ten_seconds() {
        let (_silent, mut served, _) = connected();
        assert_eq!(given_up(&mut served).await, 10, "from the start");

        let (mut slow, mut served, _) = connected();
        let drip = async {
            while slow.write_all(b"x").await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::select! {
            seconds = given_up(&mut served) => assert_eq!(seconds, 10, "however it comes"),
            () = drip => panic!("the server closed"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn between_requests_there_is_a_minute() {
        let (mut client, mut served, turn) = connected();
        for _ in 0..3 {
            client.write_all(b"head").await.unwrap();
            served.read_exact(&mut [0; 4]).await.unwrap();
            turn.answer();
            sleep(Duration::from_secs(30)).await;
            served.write_all(b"answer").await.unwrap();
            turn.listen();
            let pause = timeout(Duration::from_secs(55), served.read_u8()).await;
            assert!(pause.is_err(), "still open");
            client.read_exact(&mut [0; 6]).await.unwrap();
        }
        assert_eq!(given_up(&mut served).await, 5, "the wait had begun");

        let (mut client, mut served, turn) = connected();
        turn.answer();
        assert!(
            timeout(Duration::from_secs(600), served.read_u8()).await.is_err(),
            "our turn has no deadline"
        );
        turn.listen();
        assert!(timeout(Duration::from_secs(59), served.read_u8()).await.is_err());
        client.write_all(b"h").await.unwrap();
        assert_eq!(given_up(&mut served).await, 10, "a head that began late has its ten seconds");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_its_answer_is_not_idle() {
        let (mut client, mut served, turn) = connected();
        turn.answer();
        turn.listen();
        for _ in 0..10 {
            assert!(timeout(Duration::from_secs(50), served.read_u8()).await.is_err());
            served.write_all(b"part of an answer").await.unwrap();
            client.read_exact(&mut [0; 17]).await.unwrap();
        }
        assert_eq!(given_up(&mut served).await, 60);
    }
}
