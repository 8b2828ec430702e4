//! The vectors of RFC 7714, with either cipher.

use std::vec::Vec;

use super::*;
#[cfg(not(miri))]
use crate::aws_lc::AwsLc;
use crate::rust_crypto::RustCrypto;

/// RFC 7714 §16 and §17.
const KEY: [u8; 32] = *b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\
    \x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f";
const SALT: [u8; 12] = *b"Quid pro quo";
const RTP: &str = "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e69732064697669736120696e20706172746573\
    2074726573";
const RTCP: &str = "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeef\
    deadbeefdeadbeef";
const RTCP_INDEX: u64 = 0x5d4;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.bytes().filter_map(|digit| char::from(digit).to_digit(16)?.try_into().ok()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn gcm<C: Cipher>(key_len: usize) -> Protection<C> {
    Protection::Gcm { cipher: C::new(&KEY[..key_len]), salt: Zeroizing::new(SALT) }
}

fn rtp_vectors<C: Cipher>() {
    for (name, key_len, sealed) in [
        (
            "16.1.1",
            16,
            "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf88\
             33899d7f27beb16a9152cf765ee4390cce",
        ),
        (
            "16.2.1",
            32,
            "8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b8\
             7b7aa3db36dfffd6b0f9bb7878d7a76c13",
        ),
    ] {
        let protection = gcm::<C>(key_len);
        let at = Position { ssrc: 0x5501_a0b2, index: 0xf17b };
        let (plain, sealed) = (bytes(RTP), bytes(sealed));
        let (header, payload) = plain.split_at(12);
        let mut out = std::vec![0; payload.len() + 16];
        protection.seal_rtp(at, header, payload, &mut out);
        assert_eq!(out, sealed[12..], "{name} sealed");

        out[..payload.len()].copy_from_slice(payload);
        protection.seal_rtp_in_place(at, header, &mut out);
        assert_eq!(out, sealed[12..], "{name} sealed in place");

        assert_eq!(protection.open_rtp(at, header, &mut out), Ok(()), "{name} opened");
        assert_eq!(&out[..payload.len()], payload, "{name} opened");
    }
}

fn rtcp_vectors<C: Cipher>() {
    for (name, key_len, sealed) in [
        (
            "17.1",
            16,
            "81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0b\
             b9275bc84aa45896cf4d2fc5abf87245d9eade800005d4",
        ),
        (
            "17.2",
            32,
            "81c8000d4d617273d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de0476f\
             1b6fad1d1eb30c4446839f57ff6f6cb26ac3be800005d4",
        ),
    ] {
        let protection = gcm::<C>(key_len);
        let at = Position { ssrc: 0x4d61_7273, index: RTCP_INDEX };
        let (plain, sealed) = (bytes(RTCP), bytes(sealed));
        let mut packet = plain.clone();
        packet.resize(sealed.len(), 0);
        protection.seal_rtcp(at, &mut packet);
        assert_eq!(packet, sealed, "{name} sealed");
        assert_eq!(protection.rtcp_index(&packet), Some((RTCP_INDEX, Encrypted::Yes)), "{name}");
        assert_eq!(protection.open_rtcp(at, Encrypted::Yes, &mut packet), Ok(()), "{name} opened");
        assert_eq!(&packet[..plain.len()], plain, "{name} opened");
    }
}

fn unencrypted_rtcp_vector<C: Cipher>() {
    // RFC 7714 §17.3: a tag, the E bit clear.
    let protection = gcm::<C>(16);
    let at = Position { ssrc: 0x4d61_7273, index: RTCP_INDEX };
    let mut packet = bytes(RTCP);
    packet.extend(bytes("841dd9683dd78ec92ae58790125f62b3000005d4"));
    assert_eq!(protection.rtcp_index(&packet), Some((RTCP_INDEX, Encrypted::No)));
    for at_byte in [0, 20, 52, 67] {
        let mut changed = packet.clone();
        changed[at_byte] ^= 1;
        assert_eq!(protection.open_rtcp(at, Encrypted::No, &mut changed), Err(Unauthentic), "{at_byte}");
    }
    assert_eq!(protection.open_rtcp(at, Encrypted::No, &mut packet), Ok(()));
    assert_eq!(&packet[..52], bytes(RTCP));
}

#[test]
fn rust_crypto_agrees_with_the_vectors() {
    rtp_vectors::<RustCrypto>();
    rtcp_vectors::<RustCrypto>();
    unencrypted_rtcp_vector::<RustCrypto>();
}

#[cfg(not(miri))]
#[test]
fn aws_lc_agrees_with_the_vectors() {
    rtp_vectors::<AwsLc>();
    rtcp_vectors::<AwsLc>();
    unencrypted_rtcp_vector::<AwsLc>();
}

#[test]
fn nonces_are_those_of_rfc_7714() {
    let at = Position { ssrc: 0xdead_beef, index: 0x0001_0002_0003 };
    assert_eq!(gcm_nonce(&[0; 12], at), *b"\0\0\xde\xad\xbe\xef\0\x01\0\x02\0\x03");
    assert_eq!(roll_over(at), [0, 1, 0, 2]);
    let sample = Position { ssrc: 0x5501_a0b2, index: 0xf17b };
    assert_eq!(gcm_nonce(&SALT, sample)[..], bytes("51753c6580c2726f20718414"));
}
