//! Signal messages as WebSocket frames: protobuf in binary ones, protobuf's JSON in text ones.

use axum::body::Bytes;
use axum::extract::ws;
use livekit_protocol::{SignalRequest, SignalResponse, signal_request, signal_response};
use prost::Message as _;

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

pub fn encode(format: Format, message: signal_response::Message) -> ws::Message {
    let response = SignalResponse { message: Some(message) };
    match format {
        Format::Protobuf => ws::Message::Binary(Bytes::from(response.encode_to_vec())),
        Format::Json => {
            let text = serde_json::to_string(&response).expect("every signal response has a JSON form");
            ws::Message::Text(text.into())
        }
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
fn check_json(text: &str) -> Result<(), FrameError> {
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
