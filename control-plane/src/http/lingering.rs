//! A connection that outlives its last word: what the client still sends is taken and thrown away for a moment.
//!
//! A socket that is closed with unread bytes in it resets the connection (RFC 9293 §3.10.4, RFC 2525 §2.17), and a reset
//! discards what the client has not read yet: the status of a request whose head was too long, the close code of a
//! WebSocket whose message was too large. So the sending half ends first, and the rest follows when the client ends too.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::http::gate::Pass;

/// A client's TCP connection. It keeps its place at the gate until the socket is closed.
#[derive(Debug)]
pub struct Lingering {
    /// None only while it is dropped.
    stream: Option<TcpStream>,
    pass: Arc<Pass>,
    /// The client has ended its half, or the connection is lost: nothing more comes.
    ended: bool,
}

impl Lingering {
    pub fn new(stream: TcpStream, pass: Arc<Pass>) -> Self {
        Self { stream: Some(stream), pass, ended: false }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl AsyncRead for Lingering {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let room = buffer.remaining();
        let read = ready!(self.stream()?.poll_read(context, buffer));
        self.ended |= read.is_err() || (room > 0 && buffer.filled().len() == before);
        Poll::Ready(read)
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(context)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let Some(stream) = self.stream.take().filter(|_| !self.ended) else { return };
        // Without a runtime the process ends, and nobody is left to wait.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(linger(stream, Arc::clone(&self.pass)));
        }
    }
}

async fn linger(mut stream: TcpStream, pass: Arc<Pass>) {
    let farewell = async {
        let mut left = LINGER_LEN_MAX;
        let mut scrap = vec![0; SCRAP_LEN];
        if stream.shutdown().await.is_err() {
            return;
        }
        while let Ok(len) = stream.read(&mut scrap).await {
            left = left.saturating_sub(len);
            if len == 0 || left == 0 {
                return;
            }
        }
    };
    let _ = timeout(LINGER_MAX, farewell).await;
    drop(stream);
    drop(pass);
}

/// Time for a round trip or two: what we said last is at the client before a reset can be.
const LINGER_MAX: Duration = Duration::from_secs(2);
const LINGER_LEN_MAX: usize = 16 * 1024 * 1024; // eight messages of the largest size that a client may send
const SCRAP_LEN: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::net::TcpListener;

    use super::*;
    use crate::http::gate::Gate;

    /// A client, what the server has of it, and the gate that counts it.
    async fn connected() -> (TcpStream, Lingering, Gate) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, address) = listener.accept().await.unwrap();
        let gate = Gate::default();
        let pass = gate.admit(Instant::now(), address.ip()).unwrap();
        (client, Lingering::new(stream, Arc::new(pass)), gate)
    }

    async fn closed(gate: &Gate) {
        while gate.connections() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn the_last_word_arrives_although_the_client_is_still_sending() {
        for (name, len) in
            [("less than is buffered", 1024), ("a large frame", 3 << 20), ("several", 12 << 20)]
        {
            let (mut client, mut served, gate) = connected().await;
            let (mut reading, mut writing) = client.split();
            let answer = async {
                let mut first = [0; 10];
                served.read_exact(&mut first).await.unwrap();
                served.write_all(b"too large").await.unwrap();
                drop(served);
            };
            let frame = vec![0; len];
            let send = async { writing.write_all(&frame).await.map_err(|error| error.kind()) };
            assert_eq!(tokio::join!(answer, send), ((), Ok(())), "{name}");
            let mut heard = String::new();
            reading.read_to_string(&mut heard).await.unwrap();
            assert_eq!(heard, "too large", "{name}");
            writing.shutdown().await.unwrap();
            timeout(LINGER_MAX, closed(&gate)).await.expect(name);
        }
    }

    #[tokio::test]
    async fn a_client_that_never_ends_is_not_waited_for() {
        let (client, served, gate) = connected().await;
        drop(served);
        assert_eq!(gate.connections(), 1, "it still has its place");
        timeout(LINGER_MAX + Duration::from_secs(2), closed(&gate)).await.expect("closed for good");
        drop(client);

        let (mut client, served, gate) = connected().await;
        drop(served);
        let flood = vec![0; LINGER_LEN_MAX * 2];
        assert!(client.write_all(&flood).await.is_err(), "what is too much is cut off");
        closed(&gate).await;
    }

    #[tokio::test]
    async fn a_client_that_has_ended_leaves_nothing_behind() {
        let (client, mut served, gate) = connected().await;
        drop(client);
        assert_eq!(served.read(&mut [0; 8]).await.unwrap(), 0);
        drop(served);
        assert_eq!(gate.connections(), 0);
    }
}
