//! A view of `livekit.DataPacket`: who sent it, to whom, and the patch that makes the sender true.
//!
//! The packet is never decoded as a whole: fields are copied as they came but for the few that the server vouches for,
//! so that kinds of packets that we do not know (encrypted ones, later ones) pass unharmed.
//! The encoding is protobuf's: each field a key (number << 3 | wire type) and a value.
#![deny(clippy::arithmetic_side_effects)]

use crate::data::channel::Kind;

// Field numbers of `DataPacket`.
const KIND: u32 = 1;
const USER: u32 = 2;
const SPEAKER: u32 = 3;
const IDENTITY: u32 = 4;
const DESTINATIONS: u32 = 5;
const SIP_DTMF: u32 = 6;
const TRANSCRIPTION: u32 = 7;
const METRICS: u32 = 8;
const CHAT: u32 = 9;
const RPC: [u32; 3] = [10, 11, 12];
const STREAM: [u32; 3] = [13, 14, 15];
const SEQUENCE: u32 = 16;
const SID: u32 = 17;
const ENCRYPTED: u32 = 18;

// Field numbers of `UserPacket`, all deprecated, still read by old clients.
const USER_SID: u32 = 1;
const USER_DESTINATION_SIDS: u32 = 3;
const USER_IDENTITY: u32 = 5;
const USER_DESTINATIONS: u32 = 6;

/// By how much a stamp lengthens most packets.
const STAMP_LEN: usize = 256;
/// Destinations of one packet.
const DESTINATIONS_MAX: usize = 4096;

/// What a packet is for; each has its own rule for who may send it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    User,
    /// Who speaks: only a server may say.
    Speaker,
    Transcription,
    Chat,
    Stream,
    Metrics,
    /// RPC, DTMF, encrypted packets, and whatever comes later.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    bytes: &'a [u8],
    pub value: Option<Value>,
    user: Option<&'a [u8]>,
    /// What the sender says it is.
    pub identity: &'a str,
    pub sequence: u32,
    /// Identities and (deprecated) sids of the receivers; both empty: everyone.
    pub destinations: Vec<&'a str>,
    pub destination_sids: Vec<&'a str>,
}

/// What the server writes over a packet's claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp<'a> {
    /// Empty for a hidden participant.
    pub identity: &'a str,
    pub sid: &'a str,
    /// In the deprecated fields of a user packet; empty for a hidden participant.
    pub user_sid: &'a str,
    pub kind: Kind,
}

impl<'a> Packet<'a> {
    /// # Errors
    /// If it is not a well-formed packet, or says two things at once.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut packet = Self {
            bytes,
            value: None,
            user: None,
            identity: "",
            sequence: 0,
            destinations: Vec::new(),
            destination_sids: Vec::new(),
        };
        let mut user_destinations = Vec::new();
        for field in fields(bytes) {
            let field = field?;
            match field.number {
                IDENTITY => packet.identity = field.text()?,
                DESTINATIONS => add(&mut packet.destinations, field.text()?)?,
                // Longer than 32 bits is cut, as every decoder of protobuf does.
                #[expect(clippy::cast_possible_truncation, reason = "what protobuf prescribes")]
                SEQUENCE => packet.sequence = field.varint()? as u32,
                SID => drop(field.text()?),
                KIND => drop(field.varint()?),
                _ => packet.take_value(&field, &mut user_destinations)?,
            }
        }
        if packet.destinations.is_empty() {
            packet.destinations = user_destinations;
        }
        Ok(packet)
    }

    fn take_value(
        &mut self,
        field: &Field<'a>,
        user_destinations: &mut Vec<&'a str>,
    ) -> Result<(), Malformed> {
        let value = match field.number {
            USER => Value::User,
            SPEAKER => Value::Speaker,
            TRANSCRIPTION => Value::Transcription,
            METRICS => Value::Metrics,
            CHAT => Value::Chat,
            number if STREAM.contains(&number) => Value::Stream,
            number if RPC.contains(&number) || matches!(number, SIP_DTMF | ENCRYPTED) => Value::Other,
            // A field of a later version beside the value is no second value.
            _ if matches!(field.value, Wire::Bytes(_)) && self.value.is_none() => Value::Other,
            _ => return Ok(()),
        };
        let known = field.number <= ENCRYPTED;
        let bytes = field.bytes();
        match (self.value, known) {
            (None, _) => {}
            // One `oneof` can't have two values; who takes the first and who the last would disagree.
            (Some(_), true) if self.value != Some(Value::Other) || value != Value::Other => {
                return Err(Malformed);
            }
            (Some(_), _) => return Ok(()),
        }
        self.value = Some(value);
        if value == Value::User {
            let user = bytes.ok_or(Malformed)?;
            for field in fields(user) {
                let field = field?;
                match field.number {
                    USER_DESTINATION_SIDS => add(&mut self.destination_sids, field.text()?)?,
                    USER_DESTINATIONS => add(user_destinations, field.text()?)?,
                    _ => {}
                }
            }
            self.user = Some(user);
        }
        Ok(())
    }

    /// Whether the participant is among those to whom the packet is addressed.
    #[must_use]
    pub fn is_for(&self, identity: &str, sid: &str) -> bool {
        (self.destinations.is_empty() && self.destination_sids.is_empty())
            || self.destinations.contains(&identity)
            || self.destination_sids.contains(&sid)
    }

    /// The packet with the server's word in place of the sender's.
    #[must_use]
    pub fn stamped(&self, stamp: &Stamp<'_>) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes.len().saturating_add(STAMP_LEN));
        if stamp.kind == Kind::Lossy {
            key(&mut out, KIND, 0);
            varint(&mut out, 1);
        }
        for field in fields(self.bytes).flatten() {
            match field.number {
                KIND | IDENTITY | DESTINATIONS | SID => {}
                USER => bytes(&mut out, USER, &self.stamped_user(stamp)),
                _ => out.extend_from_slice(field.raw),
            }
        }
        text(&mut out, IDENTITY, stamp.identity);
        for destination in &self.destinations {
            bytes(&mut out, DESTINATIONS, destination.as_bytes());
        }
        text(&mut out, SID, stamp.sid);
        out
    }

    fn stamped_user(&self, stamp: &Stamp<'_>) -> Vec<u8> {
        let user = self.user.unwrap_or_default();
        let mut out = Vec::with_capacity(user.len().saturating_add(STAMP_LEN));
        for field in fields(user).flatten() {
            if !matches!(field.number, USER_SID | USER_IDENTITY | USER_DESTINATIONS) {
                out.extend_from_slice(field.raw);
            }
        }
        text(&mut out, USER_SID, stamp.user_sid);
        text(&mut out, USER_IDENTITY, stamp.identity);
        for destination in &self.destinations {
            bytes(&mut out, USER_DESTINATIONS, destination.as_bytes());
        }
        out
    }
}

fn add<'a>(destinations: &mut Vec<&'a str>, destination: &'a str) -> Result<(), Malformed> {
    if destinations.len() >= DESTINATIONS_MAX {
        return Err(Malformed);
    }
    destinations.push(destination);
    Ok(())
}

struct Field<'a> {
    number: u32,
    value: Wire<'a>,
    /// With its key.
    raw: &'a [u8],
}

enum Wire<'a> {
    Varint(u64),
    /// 4 or 8 bytes, of which we read none.
    Fixed,
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    const fn bytes(&self) -> Option<&'a [u8]> {
        match self.value {
            Wire::Bytes(bytes) => Some(bytes),
            Wire::Varint(_) | Wire::Fixed => None,
        }
    }

    fn text(&self) -> Result<&'a str, Malformed> {
        self.bytes().and_then(|bytes| std::str::from_utf8(bytes).ok()).ok_or(Malformed)
    }

    const fn varint(&self) -> Result<u64, Malformed> {
        match self.value {
            Wire::Varint(value) => Ok(value),
            Wire::Bytes(_) | Wire::Fixed => Err(Malformed),
        }
    }
}

/// Ends after the first error.
fn fields(bytes: &[u8]) -> impl Iterator<Item = Result<Field<'_>, Malformed>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = next_field(rest);
        rest = field.as_ref().map_or(&[][..], |field| rest.get(field.raw.len()..).unwrap_or_default());
        Some(field)
    })
}

fn next_field(bytes: &[u8]) -> Result<Field<'_>, Malformed> {
    let (key, rest) = read_varint(bytes)?;
    let number = u32::try_from(key >> 3).map_err(|_| Malformed)?;
    let (value, rest) = match key & 7 {
        0 => {
            let (value, rest) = read_varint(rest)?;
            (Wire::Varint(value), rest)
        }
        1 => (Wire::Fixed, rest.get(8..).ok_or(Malformed)?),
        2 => {
            let (len, rest) = read_varint(rest)?;
            let len = usize::try_from(len).map_err(|_| Malformed)?;
            let (value, rest) = rest.split_at_checked(len).ok_or(Malformed)?;
            (Wire::Bytes(value), rest)
        }
        5 => (Wire::Fixed, rest.get(4..).ok_or(Malformed)?),
        // Groups are gone since proto3.
        _ => return Err(Malformed),
    };
    if number == 0 {
        return Err(Malformed);
    }
    let raw = bytes.get(..bytes.len().saturating_sub(rest.len())).ok_or(Malformed)?;
    Ok(Field { number, value, raw })
}

fn read_varint(bytes: &[u8]) -> Result<(u64, &[u8]), Malformed> {
    let (mut value, mut rest) = (0, bytes);
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first().ok_or(Malformed)?;
        rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok((value, rest));
        }
    }
    Err(Malformed)
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or_default();
        value >>= 7;
        if value == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

fn key(out: &mut Vec<u8>, number: u32, wire_type: u8) {
    varint(out, u64::from(number) << 3 | u64::from(wire_type));
}

fn bytes(out: &mut Vec<u8>, number: u32, value: &[u8]) {
    key(out, number, 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// An empty text is not written, as proto3 has it.
fn text(out: &mut Vec<u8>, number: u32, value: &str) {
    if !value.is_empty() {
        bytes(out, number, value.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use livekit_protocol::data_packet::Value as Theirs;
    use livekit_protocol::{ChatMessage, DataPacket, EncryptedPacket, RpcAck, UserPacket, data_stream};
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    const STAMP: Stamp<'_> =
        Stamp { identity: "alice", sid: "PA_alice", user_sid: "PA_alice", kind: Kind::Reliable };

    #[expect(deprecated, reason = "old clients still fill and read these")]
    fn user(payload: &[u8]) -> UserPacket {
        UserPacket {
            participant_sid: "PA_mallory".into(),
            participant_identity: "mallory".into(),
            payload: payload.to_vec(),
            destination_sids: vec!["PA_bob".into()],
            destination_identities: vec!["carol".into()],
            topic: Some("topic".into()),
            id: Some("id".into()),
            start_time: Some(1),
            end_time: None,
            nonce: vec![1, 2, 3],
        }
    }

    #[expect(deprecated, reason = "old clients still fill and read these")]
    #[test]
    fn a_user_packet_gets_the_senders_true_name_everywhere() {
        let packet = DataPacket {
            kind: 1,
            participant_identity: "mallory".into(),
            participant_sid: "PA_mallory".into(),
            sequence: 7,
            destination_identities: vec![],
            value: Some(Theirs::User(user(b"hello"))),
        };
        let bytes = packet.encode_to_vec();
        let parsed = Packet::parse(&bytes).unwrap();
        assert_eq!(parsed.value, Some(Value::User));
        assert_eq!((parsed.identity, parsed.sequence), ("mallory", 7));
        for (identity, sid, expected) in [
            ("carol", "PA_carol", true),
            ("bob", "PA_bob", true),
            ("dave", "PA_dave", false),
            ("PA_bob", "x", false),
        ] {
            assert_eq!(parsed.is_for(identity, sid), expected, "{identity}");
        }

        let stamped = DataPacket::decode(&parsed.stamped(&STAMP)[..]).unwrap();
        let expected = DataPacket {
            kind: 0,
            participant_identity: "alice".into(),
            participant_sid: "PA_alice".into(),
            sequence: 7,
            destination_identities: vec!["carol".into()],
            value: Some(Theirs::User(UserPacket {
                participant_sid: "PA_alice".into(),
                participant_identity: "alice".into(),
                ..user(b"hello")
            })),
        };
        assert_eq!(stamped, expected);
    }

    #[expect(deprecated, reason = "old clients still read it")]
    #[test]
    fn a_hidden_sender_has_no_name() {
        let packet = DataPacket { value: Some(Theirs::User(user(b"x"))), ..DataPacket::default() };
        let bytes = packet.encode_to_vec();
        let hidden = Stamp { identity: "", user_sid: "", kind: Kind::Lossy, ..STAMP };
        let stamped = DataPacket::decode(&Packet::parse(&bytes).unwrap().stamped(&hidden)[..]).unwrap();
        assert_eq!((stamped.participant_identity.as_str(), stamped.kind), ("", 1));
        let Some(Theirs::User(user)) = stamped.value else { panic!("no user packet") };
        assert_eq!((user.participant_identity.as_str(), user.participant_sid.as_str()), ("", ""));
    }

    #[test]
    fn each_kind_is_told_apart_and_passes_unharmed() {
        let rows = [
            (
                "chat",
                Theirs::ChatMessage(ChatMessage { message: "m".into(), ..Default::default() }),
                Value::Chat,
            ),
            ("header", Theirs::StreamHeader(data_stream::Header::default()), Value::Stream),
            ("trailer", Theirs::StreamTrailer(data_stream::Trailer::default()), Value::Stream),
            ("rpc", Theirs::RpcAck(RpcAck { request_id: "r".into() }), Value::Other),
            ("encrypted", Theirs::EncryptedPacket(EncryptedPacket::default()), Value::Other),
            ("transcription", Theirs::Transcription(Default::default()), Value::Transcription),
            ("metrics", Theirs::Metrics(Default::default()), Value::Metrics),
        ];
        for (name, value, expected) in rows {
            let packet = DataPacket { value: Some(value.clone()), sequence: 3, ..DataPacket::default() };
            let bytes = packet.encode_to_vec();
            let parsed = Packet::parse(&bytes).unwrap();
            assert_eq!(parsed.value, Some(expected), "{name}");
            let stamped = DataPacket::decode(&parsed.stamped(&STAMP)[..]).unwrap();
            assert_eq!(stamped.value, Some(value), "{name}");
            assert_eq!(stamped.sequence, 3, "{name}");
        }
    }

    #[test]
    fn what_we_do_not_know_is_kept() {
        let mut packet = DataPacket { sequence: 9, ..DataPacket::default() }.encode_to_vec();
        let unknown = [&[0xa2, 0x06, 3][..], b"new", &[0xa8, 0x06, 5]].concat();
        packet.extend_from_slice(&unknown);
        let parsed = Packet::parse(&packet).unwrap();
        assert_eq!(parsed.value, Some(Value::Other));
        let stamped = parsed.stamped(&STAMP);
        assert!(stamped.windows(unknown.len()).any(|window| window == unknown));
    }

    #[test]
    fn what_is_malformed_is_refused() {
        let two = [&[0x12, 0][..], &[0x4a, 0]].concat();
        for (name, bytes) in [
            ("cut", &[0x12, 5, 0][..]),
            ("group", &[0x0b]),
            ("field zero", &[0x02, 0]),
            ("endless varint", &[0xff; 11]),
            ("identity not UTF-8", &[0x22, 1, 0xff]),
            ("identity a number", &[0x20, 1]),
            ("two values", &two),
        ] {
            assert_eq!(Packet::parse(bytes), Err(Malformed), "{name}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_prost_on_what_prost_accepts(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let (Ok(ours), Ok(theirs)) = (Packet::parse(&bytes), DataPacket::decode(&bytes[..])) {
                prop_assert_eq!(ours.sequence, theirs.sequence);
                prop_assert_eq!(ours.identity, theirs.participant_identity);
                let stamped = DataPacket::decode(&ours.stamped(&STAMP)[..]).unwrap();
                prop_assert_eq!(stamped.participant_identity, "alice");
                prop_assert_eq!(stamped.participant_sid, "PA_alice");
            }
        }
    }
}
