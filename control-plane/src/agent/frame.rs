//! Messages of agent workers as WebSocket frames: protobuf in binary ones, protobuf's JSON in text ones.

use axum::extract::ws;
use livekit_protocol::{ServerMessage, WorkerMessage, server_message, worker_message};
use prost::Message as _;

use crate::signal::connection::Frame;
use crate::signal::field_count::{self, Kind};
use crate::signal::frame::{self, Format, FrameError};

/// `None` is a message that a newer worker knows and we do not.
pub fn read(frame: Frame<'_>) -> Result<Option<worker_message::Message>, FrameError> {
    let read = match frame {
        Frame::Binary(bytes) => {
            field_count::check(Kind::WorkerMessage, bytes)?;
            WorkerMessage::decode(bytes).map_err(|_| FrameError::Malformed)?
        }
        Frame::Text(text) => {
            frame::check_json(text)?;
            serde_json::from_str(text).map_err(|_| FrameError::Malformed)?
        }
    };
    Ok(read.message)
}

/// `None`: an enum's value in it has no name, so that it cannot be said in JSON.
pub fn encode(format: Format, message: server_message::Message) -> Option<ws::Message> {
    frame::write(format, &ServerMessage { message: Some(message) })
}

#[cfg(test)]
mod tests {
    use livekit_protocol::worker_message::Message;
    use livekit_protocol::{MigrateJobRequest, WorkerPing, WorkerPong};

    use super::*;

    #[test]
    fn both_forms_are_read_and_bounded() {
        let ping = || Some(Message::Ping(WorkerPing { timestamp: 7 }));
        let encode = |message| WorkerMessage { message }.encode_to_vec();
        let many = Message::MigrateJob(MigrateJobRequest { job_ids: vec![String::new(); 5_000] });
        let (ping_bytes, many) = (encode(ping()), encode(Some(many)));
        for (name, frame, expected) in [
            ("binary", Frame::Binary(&ping_bytes), Ok(ping())),
            ("text", Frame::Text(r#"{"ping":{"timestamp":"7"}}"#), Ok(ping())),
            ("from a newer worker", Frame::Text(r#"{"dance":{}}"#), Ok(None)),
            ("nothing", Frame::Binary(&[]), Ok(None)),
            ("garbage", Frame::Binary(&[0xff; 8]), Err(FrameError::Malformed)),
            ("no JSON", Frame::Text("hello"), Err(FrameError::Malformed)),
            ("too many elements", Frame::Binary(&many), Err(FrameError::TooManyFields)),
        ] {
            assert_eq!(read(frame), expected, "{name}");
        }
    }

    #[test]
    fn answers_take_the_workers_form() {
        let pong = || server_message::Message::Pong(WorkerPong { last_timestamp: 1, timestamp: 2 });
        let text = encode(Format::Json, pong());
        assert_eq!(text, Some(ws::Message::Text(r#"{"pong":{"lastTimestamp":"1","timestamp":"2"}}"#.into())));
        let Some(ws::Message::Binary(bytes)) = encode(Format::Protobuf, pong()) else { panic!("not binary") };
        assert_eq!(ServerMessage::decode(bytes).unwrap().message, Some(pong()));
    }
}
