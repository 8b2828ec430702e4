//! VP8 in RTP, written and read apart from the code under test: a picture's payloads, and what they carry (RFC 7741 §4).

/// What the payload descriptor says of a picture.
#[derive(Clone, Copy, Debug)]
pub struct Label {
    /// 15 bits.
    pub picture_id: u16,
    pub tl0_index: u8,
    pub key_index: u8,
    pub temporal: u8,
    pub sync: bool,
    /// No other picture refers to it.
    pub non_reference: bool,
}

/// A picture in as few payloads as hold it, all about as long.
#[must_use]
pub fn packetise(picture: &[u8], label: Label) -> Vec<Vec<u8>> {
    let count = picture.len().div_ceil(CONTENT_LEN_MAX).max(1);
    let chunks = picture.chunks(picture.len().div_ceil(count).max(1)).enumerate();
    chunks
        .map(|(index, chunk)| {
            let [id_high, id_low] = label.picture_id.to_be_bytes();
            let start = if index == 0 { 0x10 } else { 0 };
            let mut payload = vec![
                0x80 | u8::from(label.non_reference) << 5 | start, // X, N, S, partition 0
                0xf0,                                              // I, L, T, K
                0x80 | id_high,                                    // M: 15 bits
                id_low,
                label.tl0_index,
                label.temporal << 6 | u8::from(label.sync) << 5 | label.key_index & 0x1f,
            ];
            payload.extend(chunk);
            payload
        })
        .collect()
}

/// What comes behind the descriptor, however long that is; `None` if it is cut off.
#[must_use]
pub fn content(payload: &[u8]) -> Option<&[u8]> {
    let (&first, mut rest) = payload.split_first()?;
    if first & 0x80 == 0 {
        return Some(rest);
    }
    let flags;
    (flags, rest) = rest.split_first().map(|(&flags, rest)| (flags, rest))?;
    if flags & 0x80 != 0 {
        rest = rest.get(if rest.first()? & 0x80 != 0 { 2 } else { 1 }..)?;
    }
    let others = usize::from(flags & 0x40 != 0) + usize::from(flags & 0x30 != 0);
    rest.get(others..)
}

/// With headers, a stamp and SRTP below 1,200 bytes, as browsers send.
const CONTENT_LEN_MAX: usize = 1_150;

#[cfg(test)]
mod tests {
    use wire::picture_id::PictureId;
    use wire::vp8::{Descriptor, Temporal};

    use super::*;

    const LABEL: Label =
        Label { picture_id: 300, tl0_index: 7, key_index: 30, temporal: 2, sync: true, non_reference: true };

    #[test]
    fn payloads_of_a_picture_are_read_as_what_they_are() {
        for (len, count) in [(1, 1), (CONTENT_LEN_MAX, 1), (CONTENT_LEN_MAX + 1, 2), (7_000, 7)] {
            let picture: Vec<u8> = (0..=250).cycle().take(len).collect();
            let payloads = packetise(&picture, LABEL);
            assert_eq!(payloads.len(), count, "{len}");
            let together: Vec<u8> =
                payloads.iter().flat_map(|payload| content(payload).unwrap()).copied().collect();
            assert_eq!(together, picture, "{len}");
            for (index, payload) in payloads.iter().enumerate() {
                let descriptor = Descriptor::parse(payload).unwrap();
                assert_eq!(descriptor.start_of_picture(), index == 0);
                assert_eq!(descriptor.picture_id, Some(PictureId::Fifteen(300)));
                assert_eq!(descriptor.tl0_picture_index, Some(7));
                assert_eq!(descriptor.temporal, Some(Temporal { id: 2, sync: true }));
                assert_eq!(descriptor.key_index, Some(30));
                assert!(descriptor.non_reference);
            }
        }
    }

    #[test]
    fn content_begins_behind_each_kind_of_descriptor() {
        for (name, payload, expected) in [
            ("no extension", &[0x10, 9][..], Some(&[9][..])),
            ("7-bit id", &[0x80, 0x80, 0x7f, 9], Some(&[9])),
            ("15-bit id", &[0x80, 0x80, 0x81, 1, 9], Some(&[9])),
            ("all, 7-bit id", &[0x80, 0xf0, 1, 2, 3, 9], Some(&[9])),
            ("key index only", &[0x80, 0x10, 3, 9], Some(&[9])),
            ("nothing behind", &[0x80, 0x80, 1], Some(&[])),
            ("cut off in the id", &[0x80, 0x80, 0x81], None),
            ("cut off before the layer", &[0x80, 0xf0, 1, 2], None),
            ("empty", &[], None),
        ] {
            assert_eq!(content(payload), expected, "{name}");
        }
    }
}
