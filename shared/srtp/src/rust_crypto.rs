//! AES-GCM without foreign code: for the simulator, Miri and the fuzzers.

use aes::{Aes128, Aes256};
use aes_gcm::aead::consts::U12;
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, AesGcm, KeyInit};

use crate::cipher::{Cipher, TAG_LEN, Unauthentic};

/// A key of the pure crates, expanded once.
#[derive(Debug)]
pub enum RustCrypto {
    Aes128(AesGcm<Aes128, U12>),
    Aes256(AesGcm<Aes256, U12>),
}

impl Cipher for RustCrypto {
    fn new(key: &[u8]) -> Self {
        if key.len() == 16 {
            Self::Aes128(KeyInit::new_from_slice(key).expect("the key has 16 bytes"))
        } else {
            Self::Aes256(KeyInit::new_from_slice(key).expect("the key has 32 bytes"))
        }
    }

    fn seal(&self, nonce: [u8; 12], associated: &[u8], plain: &[u8], out: &mut [u8]) {
        let (data, tag) = out.split_at_mut(plain.len());
        data.copy_from_slice(plain);
        tag.copy_from_slice(&self.seal_in_place(nonce, associated, data));
    }

    fn seal_in_place(&self, nonce: [u8; 12], associated: &[u8], data: &mut [u8]) -> [u8; TAG_LEN] {
        let data = InOutBuf::from(data);
        let tag = match self {
            Self::Aes128(cipher) => cipher.encrypt_inout_detached(&nonce.into(), associated, data),
            Self::Aes256(cipher) => cipher.encrypt_inout_detached(&nonce.into(), associated, data),
        };
        tag.expect("lengths are far below the limits of GCM").into()
    }

    fn open_in_place(
        &self,
        nonce: [u8; 12],
        associated: &[u8],
        data: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), Unauthentic> {
        let data = InOutBuf::from(data);
        let tag = (*tag).into();
        let opened = match self {
            Self::Aes128(cipher) => cipher.decrypt_inout_detached(&nonce.into(), associated, data, &tag),
            Self::Aes256(cipher) => cipher.decrypt_inout_detached(&nonce.into(), associated, data, &tag),
        };
        opened.map_err(|_| Unauthentic)
    }
}
