//! AES without foreign code: for the simulator, Miri and the fuzzers.

use aes::{Aes128, Aes256};
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, AesGcm, KeyInit};
use ctr::cipher::consts::U12;
use ctr::cipher::{InnerIvInit, StreamCipher, StreamCipherCoreWrapper};
use ctr::{Ctr128BE, CtrCore};

use crate::cipher::{Cipher, Counter, GCM_TAG_LEN, Gcm, Unauthentic};

/// The RustCrypto crates with their keys expanded once.
#[derive(Debug)]
pub enum RustCrypto {}

impl Cipher for RustCrypto {
    type Gcm = RustCryptoGcm;
    type Counter = RustCryptoCounter;
}

#[derive(Debug)]
pub enum RustCryptoGcm {
    Aes128(AesGcm<Aes128, U12>),
    Aes256(AesGcm<Aes256, U12>),
}

impl Gcm for RustCryptoGcm {
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

    fn seal_in_place(&self, nonce: [u8; 12], associated: &[u8], data: &mut [u8]) -> [u8; GCM_TAG_LEN] {
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
        tag: &[u8; GCM_TAG_LEN],
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

#[derive(Debug)]
pub struct RustCryptoCounter(Aes128);

impl Counter for RustCryptoCounter {
    fn new(key: &[u8; 16]) -> Self {
        Self(Aes128::new(key.into()))
    }

    fn apply(&self, initial: [u8; 16], data: &mut [u8]) {
        let core = CtrCore::inner_iv_init(&self.0, &initial.into());
        let mut stream: Ctr128BE<&Aes128> = StreamCipherCoreWrapper::from_core(core);
        stream.apply_keystream(data);
    }
}
