//! Certificate fingerprints, by which signalling vouches for a self-signed certificate (RFC 8122 §5).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{self, SHA256, SHA384, SHA512};

/// The hash functions that we accept; SHA-1 and MD5 are no longer trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    /// By its name in SDP; names are case-insensitive (RFC 8122 §5).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [("sha-256", Self::Sha256), ("sha-384", Self::Sha384), ("sha-512", Self::Sha512)]
            .into_iter()
            .find_map(|(known, hash)| name.eq_ignore_ascii_case(known).then_some(hash))
    }

    const fn algorithm(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &SHA256,
            Self::Sha384 => &SHA384,
            Self::Sha512 => &SHA512,
        }
    }
}

/// What a certificate's hash must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    hash: Hash,
    value: Box<[u8]>,
}

impl Fingerprint {
    /// `None` if the value's length is not the hash function's.
    #[must_use]
    pub fn new(hash: Hash, value: &[u8]) -> Option<Self> {
        (value.len() == hash.algorithm().output_len()).then(|| Self { hash, value: Box::from(value) })
    }

    #[must_use]
    pub fn of(hash: Hash, certificate: &[u8]) -> Self {
        Self { hash, value: Box::from(digest::digest(hash.algorithm(), certificate).as_ref()) }
    }

    #[must_use]
    pub const fn value(&self) -> &[u8] {
        &self.value
    }

    /// Compares in constant time.
    #[must_use]
    pub fn matches(&self, certificate: &[u8]) -> bool {
        let hash = digest::digest(self.hash.algorithm(), certificate);
        verify_slices_are_equal(hash.as_ref(), &self.value).is_ok()
    }
}

/// Whether one of the fingerprints is the certificate's. Without fingerprints nobody is trusted.
#[must_use]
pub fn any_matches(fingerprints: &[Fingerprint], certificate: &[u8]) -> bool {
    fingerprints.iter().fold(false, |found, fingerprint| found | fingerprint.matches(certificate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_matches_only_its_own_fingerprint() {
        for (name, hash) in [("sha-256", Hash::Sha256), ("SHA-384", Hash::Sha384), ("sha-512", Hash::Sha512)]
        {
            assert_eq!(Hash::from_name(name), Some(hash), "{name}");
            let fingerprint = Fingerprint::of(hash, b"certificate");
            assert!(fingerprint.matches(b"certificate"), "{name}");
            assert!(!fingerprint.matches(b"another"), "{name}");
            assert_eq!(Fingerprint::new(hash, fingerprint.value()), Some(fingerprint.clone()), "{name}");
            assert_eq!(Fingerprint::new(hash, &fingerprint.value()[1..]), None, "{name}: cut short");
        }
        assert_eq!(Hash::from_name("sha-1"), None);
    }

    #[test]
    fn one_match_is_enough_and_none_is_refused() {
        let other = Fingerprint::of(Hash::Sha256, b"another");
        let own = Fingerprint::of(Hash::Sha512, b"certificate");
        assert!(any_matches(&[other.clone(), own], b"certificate"));
        assert!(!any_matches(&[other], b"certificate"));
        assert!(!any_matches(&[], b"certificate"));
    }
}
