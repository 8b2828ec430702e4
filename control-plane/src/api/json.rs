//! JSON as LiveKit's server writes it: the names of the protocol files, and what is not set, too. It reads both spellings.
//!
//! The protocol's own serde writes lowerCamelCase and leaves out what is not set, so answers go through a [`Shape`].
//! <https://protobuf.dev/programming-guides/json/>

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::api::error::{Code, Error};
use crate::api::shape::{Kind, Shape, Shaped};

/// Reads a request. What it says that we do not know is nothing; a `null` is a field that is not set.
pub fn decode<Q: DeserializeOwned>(body: &[u8]) -> Result<Q, Error> {
    let mut value: Value = serde_json::from_slice(body).map_err(|_| Error::MALFORMED_JSON)?;
    forget_nulls(&mut value);
    Q::deserialize(value).map_err(|_| Error::MALFORMED_JSON)
}

pub fn encode<A: Serialize + Shaped>(answer: &A) -> Result<Bytes, Error> {
    let value = serde_json::to_value(answer).ok().map(|value| complete(value, A::SHAPE));
    let text = value.and_then(|value| serde_json::to_vec(&value).ok());
    text.map(Bytes::from).ok_or(Error::plain(Code::Internal, "the answer could not be written"))
}

fn forget_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(forget_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_nulls),
        _ => {}
    }
}

/// A message with all of its fields, by the names of the protocol file.
fn complete(value: Value, shape: &Shape) -> Value {
    let mut set = match value {
        Value::Object(set) => set,
        _ => Map::new(),
    };
    let mut fields = Map::new();
    for (name, kind) in shape.0 {
        let found = set.remove(&camel(name));
        if let Some(value) = field(found, kind) {
            fields.insert((*name).to_owned(), value);
        }
    }
    Value::Object(fields)
}

fn field(found: Option<Value>, kind: &Kind) -> Option<Value> {
    match (found, kind) {
        (Some(value), Kind::Message(shape) | Kind::OptionalMessage(shape)) => Some(complete(value, shape)),
        (Some(Value::Array(items)), Kind::Messages(shape)) => {
            Some(items.into_iter().map(|item| complete(item, shape)).collect())
        }
        (Some(value), _) => Some(value),
        (None, kind) => kind.unset(),
    }
}

/// The name in the JSON of the protocol's own serde.
fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

#[cfg(test)]
mod tests {
    use livekit_protocol::{
        Codec, CreateRoomRequest, DeleteRoomResponse, ListRoomsResponse, Room, SendDataRequest,
    };
    use serde_json::json;

    use super::*;

    fn shown<A: Serialize + Shaped>(answer: &A) -> Value {
        serde_json::from_slice(&encode(answer).unwrap()).unwrap()
    }

    #[test]
    fn what_is_not_set_is_written_in_the_protocols_own_names() {
        let empty = json!({
            "sid": "", "name": "", "empty_timeout": 0, "departure_timeout": 0, "max_participants": 0,
            "creation_time": "0", "creation_time_ms": "0", "turn_password": "", "enabled_codecs": [], "metadata": "",
            "num_participants": 0, "num_publishers": 0, "active_recording": false, "version": null
        });
        assert_eq!(shown(&Room::default()), empty);
        assert_eq!(shown(&ListRoomsResponse::default()), json!({ "rooms": [] }));
        assert_eq!(shown(&DeleteRoomResponse::default()), json!({}));
        let room = Room {
            name: "r".to_owned(),
            creation_time: 7,
            enabled_codecs: vec![Codec { mime: "audio/opus".to_owned(), fmtp_line: String::new() }],
            ..Room::default()
        };
        let rooms = shown(&ListRoomsResponse { rooms: vec![room] });
        let room = &rooms["rooms"][0];
        assert_eq!(room["creation_time"], json!("7"), "64 bits are text");
        assert_eq!(room["enabled_codecs"], json!([{ "mime": "audio/opus", "fmtp_line": "" }]));
    }

    #[test]
    fn requests_are_read_in_both_spellings() {
        let read = |value: Value| decode::<CreateRoomRequest>(value.to_string().as_bytes());
        let expected = CreateRoomRequest { name: "r".to_owned(), empty_timeout: 7, ..Default::default() };
        for (name, value) in [
            ("the protocol's", json!({ "name": "r", "empty_timeout": 7 })),
            ("JSON's", json!({ "name": "r", "emptyTimeout": 7 })),
            ("a number as text", json!({ "name": "r", "emptyTimeout": "7" })),
            ("unknown fields", json!({ "name": "r", "emptyTimeout": 7, "color": { "blue": 1 } })),
            (
                "nulls",
                json!({ "name": "r", "emptyTimeout": 7, "metadata": null, "egress": null, "agents": null }),
            ),
        ] {
            assert_eq!(read(value), Ok(expected.clone()), "{name}");
        }
        let data =
            decode::<SendDataRequest>(br#"{"data":"aGk=","kind":"LOSSY","destination_sids":["PA_1"]}"#);
        let data = data.unwrap();
        assert_eq!((data.data.as_slice(), data.kind), (&b"hi"[..], 1));
    }

    #[test]
    fn what_is_no_request_is_malformed() {
        for (name, text) in [
            ("nothing", ""),
            ("no JSON", "{"),
            ("another type", "[]"),
            ("a text", r#""x""#),
            ("a number where a text is", r#"{"name":7}"#),
            ("a text where a number is", r#"{"name":"r","emptyTimeout":"soon"}"#),
            ("a negative number", r#"{"name":"r","emptyTimeout":-1}"#),
            ("a field twice", r#"{"emptyTimeout":1,"empty_timeout":2}"#),
        ] {
            let read = decode::<CreateRoomRequest>(text.as_bytes());
            assert_eq!(read, Err(Error::MALFORMED_JSON), "{name}");
        }
    }

    #[test]
    fn names_are_spelled_as_the_protocols_serde_does() {
        for (name, expected) in [("sid", "sid"), ("num_publishers", "numPublishers"), ("a_b_1", "aB1")] {
            assert_eq!(camel(name), expected);
        }
    }
}
