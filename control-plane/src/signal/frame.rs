//! Signal messages as WebSocket frames: protobuf in binary ones, protobuf's JSON in text ones.

use axum::body::Bytes;
use axum::extract::ws;
use livekit_protocol::{SignalRequest, SignalResponse, signal_request, signal_response};
use prost::Message as _;
use serde::Serialize;

use crate::signal::field_count::{self, Kind};

/// How this client writes, and so how it is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Protobuf,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("not a signal request")]
    Malformed,
    #[error("too many repeated fields")]
    TooManyFields,
    #[error("nested too deep")]
    TooDeep,
}

/// Reads a binary frame. `None` is a message that a newer client knows and we do not.
pub fn from_binary(frame: &[u8]) -> Result<Option<signal_request::Message>, FrameError> {
    field_count::check(Kind::SignalRequest, frame)?;
    let request = SignalRequest::decode(frame).map_err(|_| FrameError::Malformed)?;
    Ok(request.message)
}

/// Reads a text frame.
pub fn from_text(frame: &str) -> Result<Option<signal_request::Message>, FrameError> {
    check_json(frame)?;
    let request: SignalRequest = serde_json::from_str(frame).map_err(|_| FrameError::Malformed)?;
    Ok(request.message)
}

/// `None`: an enum's value in it has no name, so that it cannot be said in JSON.
pub fn encode(format: Format, message: signal_response::Message) -> Option<ws::Message> {
    write(format, &SignalResponse { message: Some(message) })
}

/// Any message, in either form.
pub fn write(format: Format, message: &(impl prost::Message + Serialize)) -> Option<ws::Message> {
    match format {
        Format::Protobuf => Some(ws::Message::Binary(Bytes::from(message.encode_to_vec()))),
        Format::Json => serde_json::to_string(message).ok().map(|text| ws::Message::Text(text.into())),
    }
}

impl From<field_count::FieldCountError> for FrameError {
    fn from(error: field_count::FieldCountError) -> Self {
        match error {
            field_count::FieldCountError::TooMany => Self::TooManyFields,
            field_count::FieldCountError::Malformed => Self::Malformed,
        }
    }
}

/// Bounds depth and size of what the decoder will build, without building it.
pub fn check_json(text: &str) -> Result<(), FrameError> {
    let mut depth: usize = 0;
    let mut fields: usize = 0;
    let mut in_string = false;
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if in_string => _ = bytes.next(),
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => fields += 1,
            _ => {}
        }
        if depth > JSON_DEPTH_MAX {
            return Err(FrameError::TooDeep);
        }
        if fields > JSON_FIELDS_MAX {
            return Err(FrameError::TooManyFields);
        }
    }
    Ok(())
}

const JSON_DEPTH_MAX: usize = 32;
/// Every element has a few named fields of its own, so this allows for the 4,096 of the binary form.
const JSON_FIELDS_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use livekit_protocol as proto;
    use livekit_protocol::signal_request::Message as Request;
    use livekit_protocol::signal_response::Message as Response;

    use super::*;

    fn mute() -> Request {
        Request::Mute(proto::MuteTrackRequest { sid: "TR_1".to_owned(), muted: true })
    }

    #[test]
    fn text_frames_are_protobufs_json() {
        let deep = |depth: usize| format!("{}{{}}{}", "{\"a\":".repeat(depth - 1), "}".repeat(depth - 1));
        let many = format!("{{\"subscription\":{{\"trackSids\":[{}\"\"]}}}}", "\"\",".repeat(20_000));
        for (name, frame, expected) in [
            ("camel case", r#"{"mute":{"sid":"TR_1","muted":true}}"#.to_owned(), Ok(Some(mute()))),
            ("ping as text", r#"{"ping":"7"}"#.to_owned(), Ok(Some(Request::Ping(7)))),
            ("ping as number", r#"{"ping":7}"#.to_owned(), Ok(Some(Request::Ping(7)))),
            (
                "snake case",
                r#"{"ping_req":{"timestamp":"1"}}"#.to_owned(),
                Ok(Some(Request::PingReq(proto::Ping { timestamp: 1, rtt: 0 }))),
            ),
            (
                "brackets in a text",
                format!(r#"{{"mute":{{"sid":"{}"}}}}"#, "[{\\\"".repeat(100)),
                Ok(Some(Request::Mute(proto::MuteTrackRequest { sid: "[{\"".repeat(100), muted: false }))),
            ),
            ("empty", "{}".to_owned(), Ok(None)),
            ("unknown message", r#"{"fromTheFuture":{}}"#.to_owned(), Ok(None)),
            ("no JSON", "mute".to_owned(), Err(FrameError::Malformed)),
            ("nothing", String::new(), Err(FrameError::Malformed)),
            ("a list", "[]".to_owned(), Err(FrameError::Malformed)),
            ("wrong type", r#"{"mute":7}"#.to_owned(), Err(FrameError::Malformed)),
            ("unfinished", r#"{"mute":{"#.to_owned(), Err(FrameError::Malformed)),
            ("deep enough", deep(32), Ok(None)),
            ("too deep", deep(33), Err(FrameError::TooDeep)),
            ("too many", many, Err(FrameError::TooManyFields)),
        ] {
            assert_eq!(from_text(&frame), expected, "{name}");
        }
    }

    #[test]
    fn binary_frames_are_protobuf() {
        let encoded = SignalRequest { message: Some(mute()) }.encode_to_vec();
        for (name, frame, expected) in [
            ("message", encoded.clone(), Ok(Some(mute()))),
            ("empty", Vec::new(), Ok(None)),
            ("unknown field", vec![0xfa, 0x3f, 0], Ok(None)),
            ("cut", encoded[..encoded.len() - 1].to_vec(), Err(FrameError::Malformed)),
            ("garbage", vec![0xff; 16], Err(FrameError::Malformed)),
            ("text that is not UTF-8", vec![0x2a, 3, 0x0a, 1, 0xff], Err(FrameError::Malformed)),
        ] {
            assert_eq!(from_binary(&frame), expected, "{name}");
        }
    }

    #[test]
    fn answers_take_the_clients_form() {
        let pong = || Response::Pong(7);
        assert_eq!(encode(Format::Json, pong()), Some(ws::Message::Text(r#"{"pong":"7"}"#.into())));
        let Some(ws::Message::Binary(bytes)) = encode(Format::Protobuf, pong()) else { panic!("not binary") };
        assert_eq!(SignalResponse::decode(bytes).unwrap().message, Some(pong()));
    }

    #[test]
    fn values_without_a_name_are_no_reason_to_panic() {
        let track = proto::TrackInfo { source: 99, ..proto::TrackInfo::default() };
        let published = proto::TrackPublishedResponse { cid: String::new(), track: Some(track) };
        let message = || Response::TrackPublished(published.clone());
        assert_eq!(encode(Format::Json, message()), None);
        assert!(encode(Format::Protobuf, message()).is_some());
    }
}
