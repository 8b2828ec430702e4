//! AES-CM with HMAC-SHA1: the key stream and the tag of the oldest profile (RFC 3711 §4.1.1, §4.2.1).

use aes::Aes128;
use aes::cipher::{InnerIvInit, KeyInit as _, StreamCipher, StreamCipherCoreWrapper};
use ctr::{Ctr128BE, CtrCore};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::cipher::Unauthentic;
use crate::derive::SessionKeys;
use crate::protection::{Position, xor};

/// Bytes of the shortened tag.
pub(crate) const TAG_LEN: usize = 10;

/// The keys of one protocol of one direction, expanded once.
pub(crate) struct CounterMode {
    cipher: Aes128,
    /// In the state behind the key: of a small packet that saves two of five compressions.
    authentication: Hmac<Sha1>,
    salt: Zeroizing<[u8; 14]>,
}

impl CounterMode {
    pub(crate) fn new(keys: &SessionKeys) -> Self {
        let key = keys.cipher.first_chunk::<16>().expect("a session key has 32 bytes");
        let authentication = Hmac::<Sha1>::new_from_slice(&*keys.authentication);
        Self {
            cipher: Aes128::new(key.into()),
            authentication: authentication.expect("HMAC takes keys of any length"),
            salt: keys.salt.clone(),
        }
    }

    /// Encrypts or decrypts `data`.
    pub(crate) fn apply(&self, at: Position, data: &mut [u8]) {
        self.key_stream(at).apply_keystream(data);
    }

    /// Encrypts from `plain` to `out`, which is just as long.
    pub(crate) fn encrypt_from(&self, at: Position, plain: &[u8], out: &mut [u8]) {
        self.key_stream(at).apply_keystream_b2b(plain, out);
    }

    pub(crate) fn tag(&self, parts: &[&[u8]]) -> [u8; TAG_LEN] {
        let mut mac = self.authentication.clone();
        parts.iter().for_each(|part| mac.update(part));
        let code: [u8; 20] = mac.finalize().into_bytes().into();
        *code.first_chunk().expect("SHA-1 gives 20 bytes")
    }

    pub(crate) fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> Result<(), Unauthentic> {
        if bool::from(self.tag(parts).ct_eq(tag)) { Ok(()) } else { Err(Unauthentic) }
    }

    fn key_stream(&self, at: Position) -> Ctr128BE<&Aes128> {
        let start = counter_start(&self.salt, at);
        StreamCipherCoreWrapper::from_core(CtrCore::inner_iv_init(&self.cipher, &start.into()))
    }
}

/// RFC 3711 §4.1.1: salt << 16 XOR SSRC << 64 XOR index << 16.
fn counter_start(salt: &[u8; 14], at: Position) -> [u8; 16] {
    let mut start = (u128::from(at.ssrc) << 64 | u128::from(at.index) << 16).to_be_bytes();
    xor(&mut start, salt);
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_start_where_rfc_3711_says() {
        let at = Position { ssrc: 0xdead_beef, index: 0x0001_0002_0003 };
        assert_eq!(counter_start(&[0; 14], at), *b"\0\0\0\0\xde\xad\xbe\xef\0\x01\0\x02\0\x03\0\0");
    }

    // A megabyte of key stream is too much for Miri.
    #[cfg(not(miri))]
    #[test]
    fn key_stream_is_that_of_rfc_3711() {
        // RFC 3711 §B.2: the first blocks, and those where the counter goes over a byte.
        let key = *b"\x2b\x7e\x15\x16\x28\xae\xd2\xa6\xab\xf7\x15\x88\x09\xcf\x4f\x3c";
        let salt = *b"\xf0\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8\xf9\xfa\xfb\xfc\xfd";
        let mut cipher = Zeroizing::new([0; 32]);
        cipher[..16].copy_from_slice(&key);
        let keys =
            SessionKeys { cipher, authentication: Zeroizing::new([0; 20]), salt: Zeroizing::new(salt) };
        let mode = CounterMode::new(&keys);

        let plain = std::vec![0; 0xff02 * 16];
        let mut stream = plain.clone();
        mode.apply(Position { ssrc: 0, index: 0 }, &mut stream);
        for (block, expected) in [
            (0, b"\xe0\x3e\xad\x09\x35\xc9\x5e\x80\xe1\x66\xb1\x6d\xd9\x2b\x4e\xb4"),
            (1, b"\xd2\x35\x13\x16\x2b\x02\xd0\xf7\x2a\x43\xa2\xfe\x4a\x5f\x97\xab"),
            (0xfeff, b"\xec\x8c\xdf\x73\x98\x60\x7c\xb0\xf2\xd2\x16\x75\xea\x9e\xa1\xe4"),
            (0xff00, b"\x36\x2b\x7c\x3c\x67\x73\x51\x63\x18\xa0\x77\xd7\xfc\x50\x73\xae"),
        ] {
            assert_eq!(stream[block * 16..][..16], *expected, "block {block:x}");
        }
        let mut out = std::vec![0xff; plain.len()];
        mode.encrypt_from(Position { ssrc: 0, index: 0 }, &plain, &mut out);
        assert_eq!(out, stream);
    }
}
