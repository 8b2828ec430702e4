//! The trailer that LiveKit's SDKs may put behind an encoded video frame: timestamps and numbers of the application.
//!
//! A client that does not know of it would hand it to its decoder.
//!
//! ```text
//! elements ... | length of the whole trailer, XOR 0xff | "LKTS"
//! ```

/// Bytes of the trailer at the end of `payload`, which is the last one of its frame; 0 if there is none.
#[must_use]
pub fn trailer_len(payload: &[u8]) -> u8 {
    let Some((rest, MAGIC)) = payload.split_last_chunk() else { return 0 };
    let Some(len) = rest.last().map(|masked| masked ^ 0xff) else { return 0 };
    let fits = (ENVELOPE_LEN..=payload.len()).contains(&usize::from(len));
    if fits { len } else { 0 }
}

const MAGIC: &[u8; 4] = b"LKTS";
/// The length and the magic number are part of the trailer.
const ENVELOPE_LEN: usize = 5;

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn trailer_is_told_by_its_last_five_bytes() {
        let longest: Vec<u8> = [&[7; 250][..], b"\x00LKTS"].concat();
        for (name, payload, expected) in [
            ("empty", &b""[..], 0),
            ("magic alone", b"LKTS", 0),
            ("no elements", b"frame\xfaLKTS", 5),
            ("nothing but a trailer", b"\xfaLKTS", 5),
            ("three bytes of elements", b"framexyz\xf7LKTS", 8),
            ("as long as it gets", &longest, 255),
            ("shorter than its envelope", b"frame\xfbLKTS", 0),
            ("no length", b"frame\xffLKTS", 0),
            ("longer than the payload", b"frame\x00LKTS", 0),
            ("another magic", b"frame\xfaLKTT", 0),
            ("not at the end", b"frame\xfaLKTS.", 0),
        ] {
            assert_eq!(trailer_len(payload), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn what_was_appended_is_found(frame: Vec<u8>, elements in proptest::collection::vec(any::<u8>(), 0..=250)) {
            let len = u8::try_from(elements.len() + 5).unwrap();
            let payload = [&frame[..], &elements, &[len ^ 0xff], b"LKTS"].concat();
            prop_assert_eq!(trailer_len(&payload), len);
        }
    }
}
