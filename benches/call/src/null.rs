//! A cipher that encrypts nothing: what is left is the cost of forwarding.

use srtp::cipher::{Cipher, TAG_LEN, Unauthentic};

#[derive(Debug)]
pub struct Null;

impl Cipher for Null {
    fn new(_key: &[u8]) -> Self {
        Self
    }

    fn seal(&self, _nonce: [u8; 12], _associated: &[u8], plain: &[u8], out: &mut [u8]) {
        let (data, tag) = out.split_at_mut(plain.len());
        data.copy_from_slice(plain);
        tag.fill(0);
    }

    fn seal_in_place(&self, _nonce: [u8; 12], _associated: &[u8], _data: &mut [u8]) -> [u8; TAG_LEN] {
        [0; TAG_LEN]
    }

    fn open_in_place(
        &self,
        _nonce: [u8; 12],
        _associated: &[u8],
        _data: &mut [u8],
        _tag: &[u8; TAG_LEN],
    ) -> Result<(), Unauthentic> {
        Ok(())
    }
}
