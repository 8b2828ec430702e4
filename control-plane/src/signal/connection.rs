//! One client's WebSocket: frames in to whom they are for, the sink's messages out, until either side ends it.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use livekit_protocol::signal_response;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::room::join::ParticipantHandle;
use crate::signal::counters::Counters;
use crate::signal::frame::{self, Format, FrameError};
use crate::signal::rate::{Excess, Rate};
use crate::signal::sink::{Next, Outgoing};

/// Whose connection it is: a participant, or a worker of agents.
pub trait Party {
    type Response;

    /// Takes what the client says. False: it is of a kind that we do not know.
    fn take(&self, frame: Frame<'_>) -> Result<bool, FrameError>;

    /// `None`: it has no form in that format.
    fn encode(format: Format, response: Self::Response) -> Option<Message>;
}

/// A message of the client, in its form.
#[derive(Clone, Copy, Debug)]
pub enum Frame<'a> {
    Binary(&'a [u8]),
    Text(&'a str),
}

impl Party for ParticipantHandle {
    type Response = signal_response::Message;

    fn take(&self, frame: Frame<'_>) -> Result<bool, FrameError> {
        let request = match frame {
            Frame::Binary(bytes) => frame::from_binary(bytes)?,
            Frame::Text(text) => frame::from_text(text)?,
        };
        Ok(request.map(|request| self.request(request)).is_some())
    }

    fn encode(format: Format, response: Self::Response) -> Option<Message> {
        frame::encode(format, response)
    }
}

/// Serves the connection to its end. The party hears of the end when it is dropped, whatever way that happens: the
/// upgrade may fail, and the task may be cancelled.
pub async fn run<P: Party>(
    socket: WebSocket,
    party: P,
    mut outgoing: Outgoing<P::Response>,
    counters: &Counters,
) {
    counters.opened.increment();
    let (mut writer, mut reader) = socket.split();
    // The answer's format is that of the client's last frame; both halves run in this one task.
    let json = AtomicBool::new(false);
    let end = tokio::select! {
        end = read(&mut reader, &party, &json, counters) => end,
        end = write::<P>(&mut writer, &mut outgoing, &json, counters) => end,
    };
    drop(party);
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
    TooFast(Excess),
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
            Self::TooFast(Excess::Messages) => (close_code::POLICY, "too many messages"),
            Self::TooFast(Excess::Bytes) => (close_code::POLICY, "too many bytes"),
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
            Self::TooFast(Excess::Messages) => &counters.too_fast,
            Self::TooFast(Excess::Bytes) => &counters.too_many_bytes,
        };
        counter.increment();
    }
}

/// Every frame counts as a sign of life, the pongs to our pings too.
async fn read(
    reader: &mut SplitStream<WebSocket>,
    party: &impl Party,
    json: &AtomicBool,
    counters: &Counters,
) -> End {
    let mut rate = Rate::new(Instant::now());
    loop {
        let message = match timeout(SILENCE_MAX, reader.next()).await {
            Err(_) => return End::Silent,
            Ok(None) => return End::Lost,
            Ok(Some(Err(error))) => return reason(error),
            Ok(Some(Ok(message))) => message,
        };
        if let Err(excess) = rate.admit(Instant::now(), len(&message)) {
            return End::TooFast(excess);
        }
        if let ControlFlow::Break(end) = take(message, party, json, counters) {
            return end;
        }
    }
}

fn len(message: &Message) -> usize {
    match message {
        Message::Text(text) => text.as_str().len(),
        Message::Binary(bytes) | Message::Ping(bytes) | Message::Pong(bytes) => bytes.len(),
        Message::Close(_) => 0,
    }
}

fn take(message: Message, party: &impl Party, json: &AtomicBool, counters: &Counters) -> ControlFlow<End> {
    let taken = match &message {
        Message::Binary(bytes) => {
            json.store(false, Ordering::Relaxed);
            party.take(Frame::Binary(bytes))
        }
        Message::Text(text) => {
            json.store(true, Ordering::Relaxed);
            party.take(Frame::Text(text.as_str()))
        }
        Message::Ping(_) | Message::Pong(_) => return ControlFlow::Continue(()),
        Message::Close(_) => return ControlFlow::Break(End::ClosedByClient),
    };
    match taken {
        Err(error) => return ControlFlow::Break(End::Malformed(error)),
        Ok(true) => {}
        Ok(false) => counters.unknown_messages.increment(),
    }
    ControlFlow::Continue(())
}

async fn write<P: Party>(
    writer: &mut SplitSink<WebSocket, Message>,
    outgoing: &mut Outgoing<P::Response>,
    json: &AtomicBool,
    counters: &Counters,
) -> End {
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
                    let Some(frame) = P::encode(format, message) else {
                        counters.unwritable.increment();
                        continue;
                    };
                    frame
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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use axum::Router;
    use axum::extract::WebSocketUpgrade;
    use axum::routing::any;
    use axum::serve::Listener;
    use livekit_protocol::signal_response::Message as Response;
    use livekit_protocol::{SignalRequest, SignalResponse, signal_request};
    use prost::Message as _;
    use tokio::net::TcpStream;
    use tokio::sync::{Mutex, mpsc};
    use tokio_tungstenite::tungstenite::Message as ClientFrame;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
    use tokio_tungstenite::tungstenite::protocol::frame::{Frame as RawFrame, FrameHeader};
    use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

    use super::*;
    use crate::http::gate::Gate;
    use crate::http::lingering::Lingering;
    use crate::room::clock::Clock;
    use crate::room::effect::ConnectionId;
    use crate::room::inbox::Letter;
    use crate::signal::sink::{self, Sink};

    type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

    /// A real client at a real connection, whose room is this test.
    struct Line {
        client: Client,
        sink: Sink,
        letters: mpsc::Receiver<Letter>,
        counters: Arc<Counters>,
    }

    /// Connections that linger, as the server's do.
    struct Street(tokio::net::TcpListener, Gate);

    impl Listener for Street {
        type Io = Lingering;
        type Addr = SocketAddr;

        async fn accept(&mut self) -> (Lingering, SocketAddr) {
            let (stream, address) = self.0.accept().await.unwrap();
            let pass = self.1.admit(Instant::now(), address.ip()).unwrap();
            (Lingering::new(stream, Arc::new(pass)), address)
        }

        fn local_addr(&self) -> std::io::Result<SocketAddr> {
            self.0.local_addr()
        }
    }

    async fn line() -> Line {
        let (sink, outgoing) = sink::channel();
        let (room, letters) = mpsc::channel(1024);
        let counters = Arc::new(Counters::default());
        let participant = ParticipantHandle::new(ConnectionId(7), room, sink.clone(), Clock::start());
        let seat = Arc::new(Mutex::new(Some((participant, outgoing))));
        let counted = Arc::clone(&counters);
        let serve = move |upgrade: WebSocketUpgrade| async move {
            let (participant, outgoing) = seat.lock().await.take().expect("one client");
            upgrade
                .max_message_size(2 * 1024 * 1024)
                .max_frame_size(2 * 1024 * 1024)
                .on_upgrade(async move |socket| run(socket, participant, outgoing, &counted).await)
        };
        let listener = Street(tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap(), Gate::default());
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/", any(serve))).await });
        let (client, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        Line { client, sink, letters, counters }
    }

    impl Line {
        async fn close_code(&mut self) -> Option<u16> {
            loop {
                match self.client.next().await {
                    Some(Ok(ClientFrame::Close(frame))) => return frame.map(|frame| frame.code.into()),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return None,
                }
            }
        }

        async fn heard(&mut self) -> String {
            match self.letters.recv().await {
                Some(Letter::Signal { message, .. }) => format!("{message:?}"),
                Some(Letter::Disconnected { connection }) => format!("disconnected {}", connection.0),
                Some(_) => "something else".to_owned(),
                None => "nothing".to_owned(),
            }
        }
    }

    fn mute() -> signal_request::Message {
        signal_request::Message::Mute(livekit_protocol::MuteTrackRequest {
            sid: "TR_1".to_owned(),
            muted: true,
        })
    }

    fn binary(message: signal_request::Message) -> ClientFrame {
        ClientFrame::binary(SignalRequest { message: Some(message) }.encode_to_vec())
    }

    #[tokio::test]
    async fn the_answer_takes_the_form_of_the_clients_last_frame() {
        let mut line = line().await;
        let binary_response = |frame: ClientFrame| SignalResponse::decode(frame.into_data()).unwrap().message;
        line.sink.send(Response::Pong(1));
        assert_eq!(binary_response(line.client.next().await.unwrap().unwrap()), Some(Response::Pong(1)));
        line.client.send(ClientFrame::text(r#"{"mute":{"sid":"TR_1","muted":true}}"#)).await.unwrap();
        assert_eq!(line.heard().await, format!("{:?}", mute()));
        line.sink.send(Response::Pong(2));
        assert_eq!(line.client.next().await.unwrap().unwrap(), ClientFrame::text(r#"{"pong":"2"}"#));
        line.client.send(binary(mute())).await.unwrap();
        assert_eq!(line.heard().await, format!("{:?}", mute()));
        line.sink.send(Response::Pong(3));
        assert_eq!(binary_response(line.client.next().await.unwrap().unwrap()), Some(Response::Pong(3)));
    }

    #[tokio::test]
    async fn signal_pings_are_answered() {
        let mut line = line().await;
        line.client.send(ClientFrame::text(r#"{"pingReq":{"timestamp":"5","rtt":"1"}}"#)).await.unwrap();
        let answer = line.client.next().await.unwrap().unwrap().into_text().unwrap();
        assert!(answer.starts_with(r#"{"pongResp":{"lastPingTimestamp":"5","timestamp":""#), "{answer}");
    }

    #[tokio::test]
    async fn fragments_are_one_message() {
        let mut line = line().await;
        let encoded = SignalRequest { message: Some(mute()) }.encode_to_vec();
        let (first, second) = encoded.split_at(3);
        for (opcode, is_final, part) in [(Data::Binary, false, first), (Data::Continue, true, second)] {
            let header = FrameHeader { is_final, opcode: OpCode::Data(opcode), ..FrameHeader::default() };
            line.client
                .send(ClientFrame::Frame(RawFrame::from_payload(header, part.to_vec().into())))
                .await
                .unwrap();
        }
        assert_eq!(line.heard().await, format!("{:?}", mute()));
    }

    #[tokio::test]
    async fn fragments_of_a_message_that_is_too_large_are_not_collected() {
        let mut line = line().await;
        for opcode in [Data::Binary, Data::Continue, Data::Continue] {
            let header =
                FrameHeader { is_final: false, opcode: OpCode::Data(opcode), ..FrameHeader::default() };
            let part = RawFrame::from_payload(header, vec![0; 1024 * 1024].into());
            line.client.send(ClientFrame::Frame(part)).await.unwrap();
        }
        assert_eq!(line.close_code().await, Some(close_code::SIZE));
        assert_eq!(line.counters.too_large.value(), 1);
    }

    #[tokio::test]
    async fn bad_frames_close_with_a_reason_and_the_room_hears() {
        let many = ClientFrame::text(format!("[{}]", ",".repeat(20_000)));
        let unmasked_text = vec![0xff, 0xfe];
        for (name, frame, code) in [
            ("garbage", ClientFrame::binary(vec![0xff; 8]), close_code::INVALID),
            ("text that is no JSON", ClientFrame::text("hello"), close_code::INVALID),
            ("deep", ClientFrame::text("[".repeat(40)), close_code::POLICY),
            ("many fields", many, close_code::POLICY),
            ("too large", ClientFrame::binary(vec![0; 2 * 1024 * 1024 + 1]), close_code::SIZE),
            ("far too large", ClientFrame::binary(vec![0; 8 * 1024 * 1024]), close_code::SIZE),
            ("binary text", ClientFrame::binary(unmasked_text), close_code::INVALID),
        ] {
            let mut line = line().await;
            line.client.send(frame).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(line.close_code().await, Some(code), "{name}");
            assert_eq!(line.heard().await, "disconnected 7", "{name}");
            let counted = line.counters.malformed.value() + line.counters.too_large.value();
            assert_eq!(counted, 1, "{name}");
        }
    }

    #[tokio::test]
    async fn a_flood_is_cut_off() {
        let mut line = line().await;
        for _ in 0..700 {
            if line.client.feed(ClientFrame::text("{}")).await.is_err() {
                break;
            }
        }
        let _ = line.client.flush().await;
        assert_eq!(line.close_code().await, Some(close_code::POLICY));
        assert_eq!(line.counters.too_fast.value(), 1);
        assert!(line.counters.unknown_messages.value() >= 500);
    }

    #[tokio::test]
    async fn large_messages_without_end_are_cut_off() {
        let mut line = line().await;
        let large = ClientFrame::text(format!("{{\"x\":\"{}\"}}", "x".repeat(1024 * 1024)));
        for _ in 0..60 {
            if line.client.send(large.clone()).await.is_err() {
                break;
            }
        }
        assert_eq!(line.close_code().await, Some(close_code::POLICY));
        assert_eq!((line.counters.too_many_bytes.value(), line.counters.too_fast.value()), (1, 0));
        assert!(line.counters.unknown_messages.value() >= 7, "a few of them are fine");
    }

    #[tokio::test]
    async fn both_sides_may_end_it() {
        let mut by_room = line().await;
        by_room.sink.send(Response::Pong(1));
        by_room.sink.close();
        assert!(by_room.client.next().await.unwrap().unwrap().is_binary(), "what was sent before arrives");
        assert_eq!(by_room.close_code().await, Some(close_code::NORMAL));
        assert_eq!(by_room.heard().await, "disconnected 7");

        let mut by_client = line().await;
        by_client.client.close(None).await.unwrap();
        assert_eq!(by_client.heard().await, "disconnected 7");

        let mut cut = line().await;
        drop(cut.client);
        assert_eq!(
            cut.letters.recv().await.map(|letter| matches!(letter, Letter::Disconnected { .. })),
            Some(true)
        );
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_is_given_up() {
        let mut line = line().await;
        for _ in 0..64 {
            line.sink.send(Response::RefreshToken("x".repeat(512 * 1024)));
        }
        assert_eq!(line.heard().await, "disconnected 7");
        assert_eq!(line.counters.slow.value(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_is_given_up_after_fifteen_seconds() {
        let mut line = line().await;
        let start = tokio::time::Instant::now();
        // The client answers pings only while it is polled, which it is not.
        assert_eq!(line.heard().await, "disconnected 7");
        assert!(start.elapsed() >= SILENCE_MAX && start.elapsed() < SILENCE_MAX + Duration::from_secs(2));
        assert_eq!(line.counters.silent.value(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_answers_pings_stays() {
        let mut line = line().await;
        let idle = async { while line.client.next().await.is_some() {} };
        assert!(timeout(Duration::from_secs(120), idle).await.is_err());
        assert_eq!(line.counters.silent.value(), 0);
    }
}
