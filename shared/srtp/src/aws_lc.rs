//! AES by aws-lc: the cipher of the planes.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_128, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;

use crate::cipher::{Cipher, Counter, GCM_TAG_LEN, Gcm, Unauthentic};

/// aws-lc with its keys expanded once.
#[derive(Debug)]
pub enum AwsLc {}

impl Cipher for AwsLc {
    type Gcm = AwsLcGcm;
    type Counter = AwsLcCounter;
}

#[derive(Debug)]
pub struct AwsLcGcm(LessSafeKey);

impl Gcm for AwsLcGcm {
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

    fn seal_in_place(&self, nonce: [u8; 12], associated: &[u8], data: &mut [u8]) -> [u8; GCM_TAG_LEN] {
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
        tag: &[u8; GCM_TAG_LEN],
    ) -> Result<(), Unauthentic> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = self.0.open_in_place_separate_tag(nonce, Aad::from(associated), tag, data);
        opened.map(|_| ()).map_err(|_| Unauthentic)
    }
}

#[derive(Debug)]
pub struct AwsLcCounter(EncryptingKey);

impl Counter for AwsLcCounter {
    fn new(key: &[u8; 16]) -> Self {
        let key = UnboundCipherKey::new(&AES_128, key).expect("the key has 16 bytes");
        Self(EncryptingKey::ctr(key).expect("AES has a counter mode"))
    }

    fn apply(&self, initial: [u8; 16], data: &mut [u8]) {
        let context = EncryptionContext::Iv128(FixedLength::from(initial));
        self.0.less_safe_encrypt(data, context).expect("the initial counter has 16 bytes");
    }
}
