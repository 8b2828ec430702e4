//! Most headers of copies: all elements fit the one-byte form (RFC 8285 §4.2), so that nothing has to be looked at twice.

use wire::rtp::{FIXED_LEN, Fields};

/// A header that is being written; too long an element makes it none.
//  0                   1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// |V=2|P|X|  CC   |M|     PT      |       sequence number         |
// |                           timestamp                           |
// |           synchronization source (SSRC) identifier            |
// |       0xBE    |    0xDE       |     words that follow         |
// |  ID   | len-1 | data ...
#[derive(Debug)]
pub struct Compact {
    bytes: [u8; LEN_MAX],
    len: usize,
    fits: bool,
}

impl Compact {
    #[must_use]
    pub fn new(fields: &Fields) -> Self {
        let mut bytes = [0; LEN_MAX];
        let [head, ..] = bytes.as_chunks_mut::<16>().0 else { return Self { bytes, len: 0, fits: false } };
        let [sequence_high, sequence_low] = fields.sequence.0.to_be_bytes();
        let [t0, t1, t2, t3] = fields.timestamp.to_be_bytes();
        let [s0, s1, s2, s3] = fields.ssrc.0.to_be_bytes();
        *head = [
            0x80 | u8::from(fields.padding) << 5,
            u8::from(fields.marker) << 7 | fields.payload_type.0 & 0x7f,
            sequence_high,
            sequence_low,
            t0,
            t1,
            t2,
            t3,
            s0,
            s1,
            s2,
            s3,
            0xbe,
            0xde,
            0,
            0,
        ];
        Self { bytes, len: ELEMENTS_AT, fits: true }
    }

    /// Adds an element, if it has an id.
    #[inline]
    pub fn add<const N: usize>(&mut self, id: Option<u8>, data: &[u8; N]) {
        let Some(id) = id else { return };
        let room = self.bytes.get_mut(self.len..self.len + 1 + N);
        let Some([first, room @ ..]) = room.filter(|_| matches!(id, 1..=14) && matches!(N, 1..=16)) else {
            self.fits = false;
            return;
        };
        #[expect(clippy::cast_possible_truncation, reason = "at most 16")]
        let len = N as u8;
        *first = id << 4 | len.wrapping_sub(1);
        room.copy_from_slice(data);
        self.len += 1 + N;
    }

    /// The same of any length.
    pub fn add_slice(&mut self, id: Option<u8>, data: &[u8]) {
        if let Ok(one) = <&[u8; 1]>::try_from(data) {
            return self.add(id, one); // A MID, mostly.
        }
        let Some(id) = id else { return };
        let room = self.bytes.get_mut(self.len..self.len + 1 + data.len());
        let len = u8::try_from(data.len()).unwrap_or(u8::MAX);
        let Some([first, room @ ..]) = room.filter(|_| matches!(id, 1..=14) && matches!(len, 1..=16)) else {
            self.fits = false;
            return;
        };
        *first = id << 4 | len.wrapping_sub(1);
        room.copy_from_slice(data);
        self.len += 1 + data.len();
    }

    /// Ends the extension with padding. `None` if the header needs another form.
    pub fn finish(&mut self) -> Option<&[u8]> {
        if !self.fits {
            return None;
        }
        if self.len == ELEMENTS_AT {
            return self.bytes.get(..FIXED_LEN);
        }
        // What is behind the elements are zeros, which are padding.
        let len = self.len.next_multiple_of(4);
        self.bytes[0] |= 0x10;
        self.bytes[ELEMENTS_AT - 1] = u8::try_from((len - ELEMENTS_AT) / 4).ok()?;
        self.bytes.get(..len)
    }
}

const ELEMENTS_AT: usize = FIXED_LEN + 4;
/// MID, time of sending, transport-wide number, playout delay, and three of up to 16 bytes.
const LEN_MAX: usize = 96;

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;
    use units::rtp::{PayloadType, Ssrc};
    use units::sequence::Seq16;
    use wire::rtp::write_header;

    use super::*;

    fn compact(fields: &Fields, elements: &[(u8, &[u8])]) -> Option<Vec<u8>> {
        let mut header = Compact::new(fields);
        for (id, data) in elements {
            match data {
                [a, b, c] => header.add(Some(*id), &[*a, *b, *c]),
                data => header.add_slice(Some(*id), data),
            }
            header.add(None, b"not negotiated");
            header.add_slice(None, b"neither");
        }
        header.finish().map(<[u8]>::to_vec)
    }

    proptest! {
        #[test]
        fn bytes_are_those_of_the_general_writer(
            marker: bool,
            padding: bool,
            payload_type in 0_u8..128,
            sequence: u16,
            timestamp: u32,
            ssrc: u32,
            elements in prop::collection::vec((0_u8..17, prop::collection::vec(any::<u8>(), 0..18)), 0..7),
        ) {
            let payload_type = PayloadType(payload_type);
            let (sequence, ssrc) = (Seq16(sequence), Ssrc(ssrc));
            let fields = Fields { marker, payload_type, sequence, timestamp, ssrc, padding };
            let elements: Vec<(u8, &[u8])> = elements.iter().map(|(id, data)| (*id, &data[..])).collect();
            let mut general = [0xa5; 256];
            let len = write_header(&mut general, &fields, &elements);
            let len_max: usize = elements.iter().map(|(_, data)| data.len() + 1).sum::<usize>() + ELEMENTS_AT;
            let short = elements.iter().all(|(id, data)| (1..=14).contains(id) && (1..=16).contains(&data.len()));
            let expected = len.ok().filter(|_| short && len_max <= LEN_MAX).map(|len| general[..len].to_vec());
            prop_assert_eq!(compact(&fields, &elements), expected);
        }
    }
}
