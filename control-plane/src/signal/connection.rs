//! One client's WebSocket: frames in to the room, the sink's messages out, until either side ends it.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::room::join::ParticipantHandle;
use crate::signal::counters::Counters;
use crate::signal::frame::{self, Format, FrameError};
use crate::signal::rate::Rate;
use crate::signal::sink::{Next, Outgoing};

/// A participant that hears that its WebSocket is gone, whatever way that happens: the upgrade may fail and the
/// task may be dropped.
#[derive(Debug)]
pub struct Seat {
    participant: Option<ParticipantHandle>,
}

impl Seat {
    pub fn new(participant: ParticipantHandle) -> Self {
        Self { participant: Some(participant) }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(participant) = self.participant.take() {
            participant.disconnected();
        }
    }
}

/// Serves the connection to its end.
pub async fn run(socket: WebSocket, seat: Seat, mut outgoing: Outgoing, counters: &Counters) {
    counters.opened.increment();
    let (mut writer, mut reader) = socket.split();
    // The answer's format is that of the client's last frame; both halves run in this one task.
    let json = AtomicBool::new(false);
    let end = tokio::select! {
        end = read(&mut reader, &seat, &json, counters) => end,
        end = write(&mut writer, &mut outgoing, &json) => end,
    };
    drop(seat);
    end.count(counters);
    tracing::debug!(?end, "signalling connection ended");
    close(&mut writer, &mut reader, end).await;
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    ClosedByClient,
    ClosedByRoom,
    Lost,
    Silent,
    Slow,
    Malformed(FrameError),
    BrokenFraming,
    TooLarge,
    TooFast,
}

impl End {
    /// RFC 6455 §7.4.1. None when there is nobody to tell.
    fn frame(self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            Self::ClosedByClient | Self::ClosedByRoom => (close_code::NORMAL, ""),
            Self::Malformed(FrameError::Malformed) => (close_code::INVALID, "not a signal request"),
            Self::Malformed(FrameError::TooManyFields) => (close_code::POLICY, "too many repeated fields"),
            Self::Malformed(FrameError::TooDeep) => (close_code::POLICY, "nested too deep"),
            Self::BrokenFraming => (close_code::PROTOCOL, "broken framing"),
            Self::TooLarge => (close_code::SIZE, "message too large"),
            Self::TooFast => (close_code::POLICY, "too many messages"),
            Self::Lost | Self::Silent | Self::Slow => return None,
        };
        Some(CloseFrame { code, reason: reason.into() })
    }

    fn count(self, counters: &Counters) {
        let counter = match self {
            Self::ClosedByClient => &counters.closed_by_client,
            Self::ClosedByRoom => &counters.closed_by_server,
            Self::Lost => &counters.lost,
            Self::Silent => &counters.silent,
            Self::Slow => &counters.slow,
            Self::Malformed(_) | Self::BrokenFraming => &counters.malformed,
            Self::TooLarge => &counters.too_large,
            Self::TooFast => &counters.too_fast,
        };
        counter.increment();
    }
}

/// Every frame counts as a sign of life, the pongs to our pings too.
async fn read(reader: &mut SplitStream<WebSocket>, seat: &Seat, json: &AtomicBool, counters: &Counters) -> End {
    let mut rate = Rate::new(Instant::now());
    loop {
        let message = match timeout(SILENCE_MAX, reader.next()).await {
            Err(_) => return End::Silent,
            Ok(None) => return End::Lost,
            Ok(Some(Err(error))) => return reason(error),
            Ok(Some(Ok(message))) => message,
        };
        if !rate.admit(Instant::now()) {
            return End::TooFast;
        }
        if let ControlFlow::Break(end) = take(message, seat, json, counters) {
            return end;
        }
    }
}

fn take(message: Message, seat: &Seat, json: &AtomicBool, counters: &Counters) -> ControlFlow<End> {
    let request = match message {
        Message::Binary(bytes) => {
            json.store(false, Ordering::Relaxed);
            frame::from_binary(&bytes)
        }
        Message::Text(text) => {
            json.store(true, Ordering::Relaxed);
            frame::from_text(text.as_str())
        }
        Message::Ping(_) | Message::Pong(_) => return ControlFlow::Continue(()),
        Message::Close(_) => return ControlFlow::Break(End::ClosedByClient),
    };
    match (request, &seat.participant) {
        (Err(error), _) => return ControlFlow::Break(End::Malformed(error)),
        (Ok(Some(request)), Some(participant)) => participant.request(request),
        (Ok(_), _) => counters.unknown_messages.increment(),
    }
    ControlFlow::Continue(())
}

async fn write(writer: &mut SplitSink<WebSocket, Message>, outgoing: &mut Outgoing, json: &AtomicBool) -> End {
    let overflow = outgoing.overflow();
    let mut ping = interval(PING_INTERVAL);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ping.reset();
    loop {
        let message = tokio::select! {
            biased;
            next = outgoing.next() => match next {
                Next::Write(message) => {
                    let format = if json.load(Ordering::Relaxed) { Format::Json } else { Format::Protobuf };
                    frame::encode(format, message)
                }
                Next::Close => return End::ClosedByRoom,
            },
            _ = ping.tick() => Message::Ping(Bytes::new()),
        };
        if let ControlFlow::Break(end) = send(writer, message, &overflow).await {
            return end;
        }
    }
}

/// A client that does not read is given up when the queue behind this message is full, or after a while.
async fn send(
    writer: &mut SplitSink<WebSocket, Message>,
    message: Message,
    overflow: &CancellationToken,
) -> ControlFlow<End> {
    let sent = tokio::select! {
        biased;
        () = overflow.cancelled() => return ControlFlow::Break(End::Slow),
        sent = timeout(WRITE_MAX, writer.send(message)) => sent,
    };
    match sent {
        Ok(Ok(())) => ControlFlow::Continue(()),
        Ok(Err(_)) => ControlFlow::Break(End::Lost),
        Err(_) => ControlFlow::Break(End::Slow),
    }
}

/// RFC 6455 §7.1.1: says why, and lets the client close first, for a moment.
async fn close(writer: &mut SplitSink<WebSocket, Message>, reader: &mut SplitStream<WebSocket>, end: End) {
    let Some(frame) = end.frame() else { return };
    let handshake = async {
        if writer.send(Message::Close(Some(frame))).await.is_ok() {
            while let Some(Ok(_)) = reader.next().await {}
        }
    };
    let _ = timeout(CLOSE_MAX, handshake).await;
}

fn reason(error: axum::Error) -> End {
    use tungstenite::Error;
    use tungstenite::error::ProtocolError;
    match error.into_inner().downcast_ref::<Error>() {
        Some(Error::Capacity(_)) => End::TooLarge,
        Some(Error::Utf8(_)) => End::Malformed(FrameError::Malformed),
        Some(Error::ConnectionClosed) => End::ClosedByClient,
        Some(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => End::Lost,
        Some(Error::Protocol(_)) => End::BrokenFraming,
        _ => End::Lost,
    }
}

const PING_INTERVAL: Duration = Duration::from_secs(10);
/// LiveKit's `ping_timeout`, which clients are told in the join response.
const SILENCE_MAX: Duration = Duration::from_secs(15);
const WRITE_MAX: Duration = Duration::from_secs(10);
const CLOSE_MAX: Duration = Duration::from_secs(1);
