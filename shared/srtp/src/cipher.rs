//! What SRTP needs of a cryptographic library; the aws-lc one is for production, the pure one for simulation and Miri.

/// A library's AES.
pub trait Cipher {
    type Gcm: Gcm;
    type Counter: Counter;
}

/// Bytes of a GCM authentication tag (RFC 7714 §13.2).
pub const GCM_TAG_LEN: usize = 16;

/// A packet that the key's owner did not make; the buffer's content is unspecified then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unauthentic;

/// AES in Galois/Counter Mode with a fixed key of 16 or 32 bytes.
pub trait Gcm {
    /// `key` has 16 or 32 bytes.
    fn new(key: &[u8]) -> Self;

    /// Encrypts from `plain` to `out`, which has room for it and for the tag behind it.
    fn seal(&self, nonce: [u8; 12], associated: &[u8], plain: &[u8], out: &mut [u8]);

    fn seal_in_place(&self, nonce: [u8; 12], associated: &[u8], data: &mut [u8]) -> [u8; GCM_TAG_LEN];

    fn open_in_place(
        &self,
        nonce: [u8; 12],
        associated: &[u8],
        data: &mut [u8],
        tag: &[u8; GCM_TAG_LEN],
    ) -> Result<(), Unauthentic>;
}

/// AES-128 in counter mode with a fixed key.
pub trait Counter {
    fn new(key: &[u8; 16]) -> Self;

    /// XORs `data` with the key stream that begins at `initial`; encryption and decryption alike.
    fn apply(&self, initial: [u8; 16], data: &mut [u8]);
}
