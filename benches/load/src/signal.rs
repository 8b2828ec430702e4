//! LiveKit's signalling connection: protobuf over a WebSocket.

use futures_util::{SinkExt, StreamExt};
use livekit_protocol::{SignalRequest, SignalResponse, signal_request, signal_response};
use prost::Message as _;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use url::Url;

pub struct Signalling(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("the server's WebSocket: {0}")]
    WebSocket(Box<tungstenite::Error>),
    #[error("the server said what is no SignalResponse")]
    Malformed,
    #[error("the server closed the connection")]
    Closed,
}

impl Signalling {
    /// Joins as livekit-client does with two peer connections.
    pub async fn connect(server: &Url, token: &str, auto_subscribe: bool) -> Result<Self, Failure> {
        let mut url = server.clone();
        url.set_path("/rtc");
        url.query_pairs_mut()
            .append_pair("access_token", token)
            .append_pair("auto_subscribe", if auto_subscribe { "1" } else { "0" })
            .append_pair("adaptive_stream", "0")
            .append_pair("sdk", "js")
            .append_pair("version", "2.15.0")
            .append_pair("protocol", "16");
        let (stream, _) = connect_async(url.as_str()).await.map_err(web_socket)?;
        Ok(Self(stream))
    }

    pub async fn send(&mut self, message: signal_request::Message) -> Result<(), Failure> {
        let request = SignalRequest { message: Some(message) };
        self.0.send(Message::Binary(request.encode_to_vec().into())).await.map_err(web_socket)
    }

    /// The next message. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Result<signal_response::Message, Failure> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Binary(bytes))) => {
                    let response = SignalResponse::decode(bytes).map_err(|_| Failure::Malformed)?;
                    // A message of a later protocol is empty here.
                    if let Some(message) = response.message {
                        return Ok(message);
                    }
                }
                Some(Ok(Message::Close(_))) | None => return Err(Failure::Closed),
                // The library answers pings.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(web_socket(error)),
            }
        }
    }

    pub async fn close(mut self) {
        // The server closes as well, now or when it notices.
        let _ = self.0.close(None).await;
    }
}

impl std::fmt::Debug for Signalling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signalling")
    }
}

fn web_socket(error: tungstenite::Error) -> Failure {
    Failure::WebSocket(Box::new(error))
}
