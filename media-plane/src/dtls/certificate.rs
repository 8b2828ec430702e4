//! The certificate that every association of this process presents.

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, SerialNumber};
use zeroize::Zeroizing;

use crate::dtls::fingerprint::{Fingerprint, Hash};

/// A self-signed ECDSA P-256 certificate and its key, made anew at each start.
#[derive(Clone)]
pub struct Certificate {
    der: Vec<u8>,
    key_pkcs8: Zeroizing<Vec<u8>>,
}

impl Certificate {
    /// # Errors
    /// Only if the system gives no randomness.
    pub fn generate() -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut parameters = CertificateParams::new(Vec::new())?;
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, "millrace");
        // Firefox remembers serial numbers of an issuer name and refuses one that it has seen with another key.
        parameters.serial_number = Some(SerialNumber::from_slice(&rand::random::<[u8; 16]>()));
        let certificate = parameters.self_signed(&key)?;
        Ok(Self { der: certificate.der().to_vec(), key_pkcs8: Zeroizing::new(key.serialize_der()) })
    }

    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The private key in PKCS #8.
    #[must_use]
    pub fn key_pkcs8(&self) -> &[u8] {
        &self.key_pkcs8
    }

    /// What signalling tells to clients.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(Hash::Sha256, &self.der)
    }
}

impl core::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Certificate(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_certificate_is_its_own() {
        let (one, two) = (Certificate::generate().unwrap(), Certificate::generate().unwrap());
        assert_ne!(one.fingerprint(), two.fingerprint());
        assert!(one.fingerprint().matches(one.der()));
        assert_eq!(one.fingerprint().value().len(), 32);
    }
}
