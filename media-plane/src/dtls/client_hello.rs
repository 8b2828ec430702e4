//! What a ClientHello offers of SRTP, read before a library is chosen to answer it.
//!
//! ```text
//!  ClientHello (RFC 6347 §4.2.1): version(2) random(32) session_id<1> cookie<1> cipher_suites<2> compression<1>
//!  extensions<2>: type(2) length(2) ...    use_srtp (RFC 5764 §4.1.1) = 14: profiles<2> of 2 bytes each, MKI<1>
//! ```
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::dtls::record::Fragment;

/// A ClientHello with post-quantum key shares is some 1.5 kB.
const LEN_MAX: usize = 16 * 1024;
const FRAGMENTS_MAX: usize = 64;

const USE_SRTP: u16 = 14;
const AES128_CM_HMAC_SHA1_80: u16 = 0x0001;
const AEAD_AES_128_GCM: u16 = 0x0007;
const AEAD_AES_256_GCM: u16 = 0x0008;

/// A ClientHello that may come in several fragments, in any order.
#[derive(Debug, Default)]
pub struct Reassembly {
    len: Option<usize>,
    fragments: Vec<(usize, Vec<u8>)>,
}

impl Reassembly {
    /// The message's body, once no part of it is missing. What does not fit to what came before is left out.
    pub fn add(&mut self, fragment: &Fragment<'_>) -> Option<Vec<u8>> {
        let len = *self.len.get_or_insert(fragment.message_len);
        if len != fragment.message_len || len > LEN_MAX || self.fragments.len() >= FRAGMENTS_MAX {
            return None;
        }
        self.fragments.push((fragment.offset, fragment.body.to_vec()));
        self.fragments.sort_by_key(|(offset, _)| *offset);
        let mut body = Vec::with_capacity(len);
        for (offset, bytes) in &self.fragments {
            // Overlaps are allowed (RFC 6347 §4.2.3), holes mean that something is still to come.
            let known = body.len().checked_sub(*offset)?;
            body.extend_from_slice(bytes.get(known..).unwrap_or_default());
        }
        (body.len() == len).then_some(body)
    }
}

/// Whether the client would take an AEAD profile but names AES-CM with HMAC-SHA1 ahead of it.
///
/// False for what is no ClientHello: whoever answers it will say so.
#[must_use]
pub fn prefers_aes_cm_to_aead(body: &[u8]) -> bool {
    let Some(profiles) = srtp_profiles(body) else { return false };
    let mut known = profiles
        .chunks_exact(2)
        .filter_map(|pair| Some(u16::from_be_bytes(pair.try_into().ok()?)))
        .filter(|profile| [AES128_CM_HMAC_SHA1_80, AEAD_AES_128_GCM, AEAD_AES_256_GCM].contains(profile));
    known.next() == Some(AES128_CM_HMAC_SHA1_80) && known.any(|profile| profile != AES128_CM_HMAC_SHA1_80)
}

fn srtp_profiles(body: &[u8]) -> Option<&[u8]> {
    let (_, rest) = body.split_at_checked(34)?;
    let (_, rest) = vector8(rest)?;
    let (_, rest) = vector8(rest)?;
    let (_, rest) = vector16(rest)?;
    let (_, rest) = vector8(rest)?;
    let (mut extensions, _) = vector16(rest)?;
    while let Some((kind, rest)) = extensions.split_first_chunk::<2>() {
        let (data, rest) = vector16(rest)?;
        if u16::from_be_bytes(*kind) == USE_SRTP {
            return vector16(data).map(|(profiles, _)| profiles);
        }
        extensions = rest;
    }
    None
}

fn vector8(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*len))
}

fn vector16(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hello(profiles: &[u16]) -> Vec<u8> {
        let mut body = vec![0xfe, 0xfd];
        body.extend([7; 32]);
        body.extend([0, 0]);
        body.extend([0, 2, 0xc0, 0x2b]);
        body.extend([1, 0]);
        let list: Vec<u8> = profiles.iter().flat_map(|profile| profile.to_be_bytes()).collect();
        let mut extensions = vec![0, 23, 0, 0];
        extensions.extend([0, 14]);
        extensions.extend(u16::try_from(list.len() + 3).unwrap().to_be_bytes());
        extensions.extend(u16::try_from(list.len()).unwrap().to_be_bytes());
        extensions.extend(list);
        extensions.push(0);
        body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
        body.extend(extensions);
        body
    }

    #[test]
    fn an_aead_profile_behind_aes_cm_is_seen() {
        for (name, profiles, expected) in [
            ("Chromium's order", &[0x0001_u16, 0x0008, 0x0007][..], true),
            ("AEAD first", &[0x0007, 0x0001], false),
            ("AES-CM only", &[0x0001], false),
            ("AEAD only", &[0x0008, 0x0007], false),
            ("unknown ones do not count", &[0x0002, 0x0001, 0x0005], false),
            ("none", &[], false),
        ] {
            assert_eq!(prefers_aes_cm_to_aead(&hello(profiles)), expected, "{name}");
        }
        assert!(!prefers_aes_cm_to_aead(&[]));
    }

    proptest! {
        #[test]
        fn fragments_in_any_order_make_the_message(
            cuts in proptest::collection::vec(0_usize..80, 0..6),
            order in any::<u64>(),
        ) {
            let message = hello(&[1, 8, 7]);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(message.len())).collect();
            cuts.extend([0, message.len()]);
            cuts.sort_unstable();
            cuts.dedup();
            let mut parts: Vec<(usize, &[u8])> =
                cuts.windows(2).map(|pair| (pair[0], &message[pair[0]..pair[1]])).collect();
            let count = parts.len();
            parts.rotate_left(usize::try_from(order).unwrap() % count);
            let mut reassembly = Reassembly::default();
            let mut whole = None;
            for (index, (offset, body)) in parts.iter().enumerate() {
                whole = reassembly.add(&Fragment { message_len: message.len(), offset: *offset, body });
                prop_assert_eq!(whole.is_some(), index + 1 == count);
            }
            prop_assert_eq!(whole.unwrap(), message);
        }

        #[test]
        fn nothing_breaks_the_reader(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = prefers_aes_cm_to_aead(&body);
        }

        #[test]
        fn a_cut_hello_is_no_preference(cut in 0_usize..60) {
            let body = hello(&[1, 8, 7]);
            prop_assert!(!prefers_aes_cm_to_aead(&body[..cut.min(body.len() - 1)]));
        }
    }
}
