//! Session keys from a master key and salt (RFC 3711 §4.3.1, RFC 6188 §3, RFC 7714 §11).

use aes::cipher::{BlockCipherEncrypt, BlockSizeUser, KeyInit};
use aes::{Aes128, Aes256};
use zeroize::Zeroizing;

use crate::keys::{Master, Profile};

/// Which of the two protocols a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Rtp,
    Rtcp,
}

/// The keys of one direction of one protocol. What a profile does not use is zero.
pub(crate) struct SessionKeys {
    pub(crate) cipher: Zeroizing<[u8; 32]>,
    pub(crate) authentication: Zeroizing<[u8; 20]>,
    pub(crate) salt: Zeroizing<[u8; 14]>,
}

impl SessionKeys {
    pub(crate) fn derive(profile: Profile, master: &Master, protocol: Protocol) -> Self {
        match profile.key_len() {
            16 => {
                let key = master.key.first_chunk::<16>().expect("a master key has 32 bytes");
                Self::derive_with(&Aes128::new(key.into()), profile, master, protocol)
            }
            _ => {
                let key = master.key.first_chunk::<32>().expect("a master key has 32 bytes");
                Self::derive_with(&Aes256::new(key.into()), profile, master, protocol)
            }
        }
    }

    fn derive_with(
        function: &impl BlockCipherEncrypt<BlockSize = BlockSize>,
        profile: Profile,
        master: &Master,
        protocol: Protocol,
    ) -> Self {
        // RFC 3711 §4.3.2: the labels of SRTCP follow those of SRTP.
        let first_label = match protocol {
            Protocol::Rtp => 0,
            Protocol::Rtcp => 3,
        };
        let mut keys = Self {
            cipher: Zeroizing::default(),
            authentication: Zeroizing::default(),
            salt: Zeroizing::default(),
        };
        fill(function, &master.salt, first_label, &mut keys.cipher[..profile.key_len()]);
        fill(function, &master.salt, first_label + 1, &mut *keys.authentication);
        fill(function, &master.salt, first_label + 2, &mut keys.salt[..profile.salt_len()]);
        keys
    }
}

/// RFC 3711 §4.3.3: the key stream that begins at (salt XOR label << 48) << 16. Keys are never derived anew, so that
/// the index divided by the derivation rate is zero. A shorter salt is followed by zeros (RFC 7714 §11).
fn fill(
    function: &impl BlockCipherEncrypt<BlockSize = BlockSize>,
    salt: &[u8; 14],
    label: u8,
    out: &mut [u8],
) {
    for (counter, part) in (0_u16..).zip(out.chunks_mut(16)) {
        let mut block = Zeroizing::new([0; 16]);
        block[..14].copy_from_slice(salt);
        block[7] ^= label;
        block[14..].copy_from_slice(&counter.to_be_bytes());
        let block: &mut [u8; 16] = &mut block;
        function.encrypt_block(block.into());
        part.copy_from_slice(&block[..part.len()]);
    }
}

type BlockSize = <Aes128 as BlockSizeUser>::BlockSize;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_rfc_3711() {
        // RFC 3711 §B.3.
        let master = Master::new(
            b"\xe1\xf9\x7a\x0d\x3e\x01\x8b\xe0\xd6\x4f\xa3\x2c\x06\xde\x41\x39",
            b"\x0e\xc6\x75\xad\x49\x8a\xfe\xeb\xb6\x96\x0b\x3a\xab\xe6",
        );
        let keys = SessionKeys::derive(Profile::Aes128CmSha1_80, &master, Protocol::Rtp);
        assert_eq!(&keys.cipher[..16], b"\xc6\x1e\x7a\x93\x74\x4f\x39\xee\x10\x73\x4a\xfe\x3f\xf7\xa0\x87");
        assert_eq!(&keys.cipher[16..], &[0; 16]);
        assert_eq!(&*keys.salt, b"\x30\xcb\xbc\x08\x86\x3d\x8c\x85\xd4\x9d\xb3\x4a\x9a\xe1");
        let authentication =
            b"\xce\xbe\x32\x1f\x6f\xf7\x71\x6b\x6f\xd4\xab\x49\xaf\x25\x6a\x15\x6d\x38\xba\xa4";
        assert_eq!(&*keys.authentication, authentication);
    }

    #[test]
    fn keys_of_the_two_protocols_differ() {
        let master = Master::new(&[7; 32], &[8; 12]);
        let rtp = SessionKeys::derive(Profile::AeadAes256Gcm, &master, Protocol::Rtp);
        let rtcp = SessionKeys::derive(Profile::AeadAes256Gcm, &master, Protocol::Rtcp);
        assert_ne!(*rtp.cipher, *rtcp.cipher);
        assert_ne!(*rtp.salt, *rtcp.salt);
        assert_eq!(rtp.salt[12..], [0; 2], "a salt of GCM has 12 bytes");
    }
}
