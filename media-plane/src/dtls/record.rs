//! A look at DTLS records in the clear: enough to tell a ClientHello, and an alert that nobody vouches for.
//!
//! ```text
//!  plaintext record (RFC 6347 §4.1, RFC 9147 §4)    handshake header (RFC 6347 §4.2.2)
//!  type(1) version(2) epoch(2) sequence(6) length(2) | type(1) length(3) message(2) offset(3) length(3) | body
//! ```
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::borrow::Cow;

const RECORD_HEADER: usize = 13;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
/// Of a ClientHello's body: the version, then the random.
const RANDOM: std::ops::Range<usize> = 2..34;

/// The random of a ClientHello: what tells one handshake from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    pub random: [u8; 32],
    /// The first ClientHello of a handshake, not the one that returns a cookie.
    pub first: bool,
}

/// The ClientHello that starts in this datagram, if one does; its other fragments may be in another one.
#[must_use]
pub fn hello(datagram: &[u8]) -> Option<Hello> {
    let record = records(datagram).next()?;
    if record.kind() != HANDSHAKE || record.epoch() != 0 {
        return None;
    }
    let (header, body) = record.body().split_first_chunk::<12>()?;
    let [CLIENT_HELLO, _, _, _, message_high, message_low, 0, 0, 0, ..] = *header else {
        return None;
    };
    let random = body.get(RANDOM)?.try_into().ok()?;
    Some(Hello { random, first: message_high == 0 && message_low == 0 })
}

/// A piece of a ClientHello, as one record carries it.
#[derive(Clone, Copy, Debug)]
pub struct Fragment<'a> {
    pub message_len: usize,
    pub offset: usize,
    pub body: &'a [u8],
}

/// The fragments of a first ClientHello that stand in this datagram in the clear.
pub fn hello_fragments(datagram: &[u8]) -> impl Iterator<Item = Fragment<'_>> {
    records(datagram).filter(|record| record.kind() == HANDSHAKE && record.epoch() == 0).filter_map(
        |record| {
            let (header, body) = record.body().split_first_chunk::<12>()?;
            let [CLIENT_HELLO, l2, l1, l0, 0, 0, o2, o1, o0, f2, f1, f0] = *header else { return None };
            let number = |bytes: [u8; 3]| bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            let body = body.get(..number([f2, f1, f0]))?;
            Some(Fragment { message_len: number([l2, l1, l0]), offset: number([o2, o1, o0]), body })
        },
    )
}

/// Whether the first record is a handshake message in the clear.
#[must_use]
pub fn is_plain_handshake(datagram: &[u8]) -> bool {
    records(datagram).next().is_some_and(|record| record.kind() == HANDSHAKE && record.epoch() == 0)
}

/// The datagram without its unprotected alerts: anybody who guesses addresses can send those.
#[must_use]
pub fn without_plain_alerts(datagram: &[u8]) -> Cow<'_, [u8]> {
    let is_alert = |record: &Record<'_>| record.kind() == ALERT && record.epoch() == 0;
    if !records(datagram).any(|record| is_alert(&record)) {
        return Cow::Borrowed(datagram);
    }
    Cow::Owned(
        records(datagram).filter(|record| !is_alert(record)).flat_map(|record| record.0).copied().collect(),
    )
}

/// Adds to the sequence numbers of the records in the clear.
pub fn renumber(datagram: &mut [u8], by: u32) {
    let mut rest = datagram;
    while !rest.is_empty() {
        let len = record_len(rest).min(rest.len());
        let (record, after) = std::mem::take(&mut rest).split_at_mut(len);
        // The upper 16 of the 48 bits stay 0: a handshake has no 2^32 records.
        if let [20..=26, _, _, 0, 0, _, _, number @ .., _, _] =
            record.get_mut(..RECORD_HEADER).unwrap_or_default()
            && let Ok(bytes) = <[u8; 4]>::try_from(&*number)
        {
            number.copy_from_slice(&u32::from_be_bytes(bytes).wrapping_add(by).to_be_bytes());
        }
        rest = after;
    }
}

/// A record with its header, or whatever the rest of a datagram is once it is not a plaintext record.
struct Record<'a>(&'a [u8]);

impl<'a> Record<'a> {
    fn kind(&self) -> u8 {
        self.0.first().copied().unwrap_or_default()
    }

    fn epoch(&self) -> u16 {
        match *self.0 {
            [_, _, _, high, low, ..] => u16::from_be_bytes([high, low]),
            _ => 0,
        }
    }

    fn body(&self) -> &'a [u8] {
        self.0.get(RECORD_HEADER..).unwrap_or_default()
    }
}

fn records(datagram: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (record, after) = rest.split_at_checked(record_len(rest)).unwrap_or((rest, &[]));
        rest = after;
        Some(Record(record))
    })
}

/// Of a ciphertext record of DTLS 1.3, whose header is another one, this is the rest of the datagram.
fn record_len(bytes: &[u8]) -> usize {
    match *bytes {
        [20..=26, _, _, _, _, _, _, _, _, _, _, high, low, ..] => {
            RECORD_HEADER + usize::from(u16::from_be_bytes([high, low]))
        }
        _ => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(kind: u8, epoch: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 0];
        bytes.extend_from_slice(&u16::try_from(body.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    fn handshake(kind: u8, message: u8, offset: u8, body: &[u8]) -> Vec<u8> {
        let len = u8::try_from(body.len()).unwrap();
        let mut bytes = vec![kind, 0, 0, 200, 0, message, 0, 0, offset, 0, 0, len];
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn a_hello_is_told_by_its_random() {
        let mut body = vec![0xfe, 0xfd];
        body.extend([7; 32]);
        let rows: [(&str, Vec<u8>, Option<bool>); 7] = [
            ("first", record(22, 0, &handshake(1, 0, 0, &body)), Some(true)),
            ("with a cookie", record(22, 0, &handshake(1, 1, 0, &body)), Some(false)),
            ("later fragment", record(22, 0, &handshake(1, 0, 34, &body)), None),
            ("fragment without the whole random", record(22, 0, &handshake(1, 0, 0, &body[..20])), None),
            ("another message", record(22, 0, &handshake(11, 0, 0, &body)), None),
            ("protected", record(22, 1, &handshake(1, 0, 0, &body)), None),
            ("empty", vec![], None),
        ];
        for (name, datagram, first) in rows {
            assert_eq!(hello(&datagram), first.map(|first| Hello { random: [7; 32], first }), "{name}");
        }
    }

    #[test]
    fn only_unprotected_alerts_are_taken_out() {
        let (alert, sealed) = (record(21, 0, &[2, 40]), record(21, 1, &[1; 30]));
        let message = record(22, 0, &[9; 12]);
        let unified = vec![0x2f, 21, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 21];
        for (name, parts, left) in [
            ("alert alone", vec![&alert], vec![]),
            ("alert between", vec![&message, &alert, &message], vec![&message, &message]),
            ("protected alert", vec![&sealed], vec![&sealed]),
            ("before a DTLS 1.3 record", vec![&alert, &unified], vec![&unified]),
        ] {
            let datagram: Vec<u8> = parts.into_iter().flatten().copied().collect();
            let left: Vec<u8> = left.into_iter().flatten().copied().collect();
            assert_eq!(without_plain_alerts(&datagram), left, "{name}");
        }
    }

    #[test]
    fn only_records_in_the_clear_are_renumbered() {
        let mut datagram = [record(22, 0, &[1; 4]), record(21, 0, &[2; 3]), record(22, 1, &[3; 9])].concat();
        datagram[10] = 0xff;
        renumber(&mut datagram, 2);
        assert_eq!(datagram[5..11], [0, 0, 0, 0, 1, 1]);
        assert_eq!(datagram[17 + 5..17 + 11], [0, 0, 0, 0, 0, 2]);
        assert_eq!(datagram[33 + 5..33 + 11], [0; 6]);
    }

    proptest! {
        #[test]
        fn nothing_but_alerts_is_ever_taken(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = hello(&bytes);
            let mut renumbered = bytes.clone();
            renumber(&mut renumbered, 1);
            let once = without_plain_alerts(&bytes).into_owned();
            prop_assert!(once.len() <= bytes.len());
            prop_assert_eq!(without_plain_alerts(&once).len(), once.len());
        }
    }
}
