//! The Data Channel Establishment Protocol: OPEN and ACK (RFC 8832 §5).
//!
//! ```text
//!  OPEN: type(1)=3 channel type(1) priority(2) reliability(4) label length(2) protocol length(2) | label | protocol
//!  ACK:  type(1)=2
//! ```
#![deny(clippy::arithmetic_side_effects)]

const ACK: u8 = 2;
const OPEN: u8 = 3;
/// Set in the channel type if messages may come out of order.
const UNORDERED: u8 = 0x80;
/// RFC 8832 §8.2.2: "normal".
const PRIORITY: u16 = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    Open(Open<'a>),
    Ack,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open<'a> {
    pub ordered: bool,
    pub reliability: Reliability,
    pub label: &'a str,
    pub protocol: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reliability {
    Reliable,
    /// Retransmissions at most.
    Retransmits(u32),
    /// Milliseconds after which a message is given up.
    Lifetime(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError {
    TooShort,
    UnknownMessage,
    UnknownChannelType,
    /// Label or protocol is not UTF-8.
    Text,
}

impl<'a> Message<'a> {
    /// # Errors
    /// If it is neither a whole OPEN nor an ACK.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        match bytes.split_first().ok_or(ParseError::TooShort)? {
            (&ACK, _) => Ok(Self::Ack),
            (&OPEN, rest) => Open::parse(rest).map(Self::Open),
            _ => Err(ParseError::UnknownMessage),
        }
    }
}

impl<'a> Open<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let (&[kind, _, _, r0, r1, r2, r3, l0, l1, p0, p1], rest) =
            bytes.split_first_chunk().ok_or(ParseError::TooShort)?;
        let parameter = u32::from_be_bytes([r0, r1, r2, r3]);
        let reliability = match kind & !UNORDERED {
            0 => Reliability::Reliable,
            1 => Reliability::Retransmits(parameter),
            2 => Reliability::Lifetime(parameter),
            _ => return Err(ParseError::UnknownChannelType),
        };
        let (label, rest) = text(rest, u16::from_be_bytes([l0, l1]))?;
        let (protocol, _) = text(rest, u16::from_be_bytes([p0, p1]))?;
        Ok(Self { ordered: kind & UNORDERED == 0, reliability, label, protocol })
    }

    /// `None` if label or protocol are longer than their length fields can say.
    #[must_use]
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let (kind, parameter) = match self.reliability {
            Reliability::Reliable => (0, 0),
            Reliability::Retransmits(count) => (1, count),
            Reliability::Lifetime(milliseconds) => (2, milliseconds),
        };
        let mut bytes = vec![OPEN, if self.ordered { kind } else { kind | UNORDERED }];
        bytes.extend_from_slice(&PRIORITY.to_be_bytes());
        bytes.extend_from_slice(&parameter.to_be_bytes());
        bytes.extend_from_slice(&u16::try_from(self.label.len()).ok()?.to_be_bytes());
        bytes.extend_from_slice(&u16::try_from(self.protocol.len()).ok()?.to_be_bytes());
        bytes.extend_from_slice(self.label.as_bytes());
        bytes.extend_from_slice(self.protocol.as_bytes());
        Some(bytes)
    }
}

/// An ACK.
pub const ACKNOWLEDGEMENT: &[u8] = &[ACK];

fn text(bytes: &[u8], len: u16) -> Result<(&str, &[u8]), ParseError> {
    let (text, rest) = bytes.split_at_checked(usize::from(len)).ok_or(ParseError::TooShort)?;
    Ok((std::str::from_utf8(text).map_err(|_| ParseError::Text)?, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_browsers_send() {
        // RFC 8832 §5.1, as Chromium writes it for `_lossy`: unordered, no retransmission.
        let lossy = b"\x03\x81\x00\x00\x00\x00\x00\x00\x00\x06\x00\x00_lossy";
        let open =
            Open { ordered: false, reliability: Reliability::Retransmits(0), label: "_lossy", protocol: "" };
        assert_eq!(Message::parse(lossy), Ok(Message::Open(open)));
        assert_eq!(Message::parse(ACKNOWLEDGEMENT), Ok(Message::Ack));
    }

    #[test]
    fn refuses_what_is_not_whole() {
        for (name, bytes, error) in [
            ("empty", &b""[..], ParseError::TooShort),
            ("unknown message", b"\x01", ParseError::UnknownMessage),
            ("header cut", b"\x03\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00", ParseError::TooShort),
            ("label cut", b"\x03\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00a", ParseError::TooShort),
            ("protocol cut", b"\x03\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01a", ParseError::TooShort),
            (
                "channel type",
                b"\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
                ParseError::UnknownChannelType,
            ),
            ("label not UTF-8", b"\x03\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\xff", ParseError::Text),
        ] {
            assert_eq!(Message::parse(bytes), Err(error), "{name}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            ordered: bool,
            kind in 0..3u8,
            parameter: u32,
            label in ".{0,40}",
            protocol in ".{0,10}",
        ) {
            let reliability = match kind {
                0 => Reliability::Reliable,
                1 => Reliability::Retransmits(parameter),
                _ => Reliability::Lifetime(parameter),
            };
            let open = Open { ordered, reliability, label: &label, protocol: &protocol };
            let bytes = open.to_bytes().unwrap();
            prop_assert_eq!(Message::parse(&bytes), Ok(Message::Open(open)));
        }
    }
}
