//! AES-GCM by aws-lc: the cipher of the planes.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::cipher::{Cipher, TAG_LEN, Unauthentic};

/// A key of aws-lc, expanded once.
#[derive(Debug)]
pub struct AwsLc(LessSafeKey);

impl Cipher for AwsLc {
    fn new(key: &[u8]) -> Self {
        let algorithm = if key.len() == 16 { &AES_128_GCM } else { &AES_256_GCM };
        Self(LessSafeKey::new(UnboundKey::new(algorithm, key).expect("keys have 16 or 32 bytes")))
    }

    fn seal(&self, nonce: [u8; 12], associated: &[u8], plain: &[u8], out: &mut [u8]) {
        let (out, tag) = out.split_at_mut(plain.len());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let sealed = self.0.seal_out_of_place_scatter(nonce, Aad::from(associated), plain, out, &[], tag);
        sealed.expect("lengths agree and are far below the limits of GCM");
    }

    fn seal_in_place(&self, nonce: [u8; 12], associated: &[u8], data: &mut [u8]) -> [u8; TAG_LEN] {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(associated), data);
        let tag = tag.expect("lengths are far below the limits of GCM");
        *tag.as_ref().first_chunk().expect("GCM's tags have 16 bytes")
    }

    fn open_in_place(
        &self,
        nonce: [u8; 12],
        associated: &[u8],
        data: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), Unauthentic> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = self.0.open_in_place_separate_tag(nonce, Aad::from(associated), tag, data);
        opened.map(|_| ()).map_err(|_| Unauthentic)
    }
}
