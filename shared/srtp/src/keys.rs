//! Protection profiles and the master keys of both directions (RFC 3711, RFC 5764, RFC 7714).

use alloc::boxed::Box;

use zeroize::Zeroizing;

/// How packets are protected; the profiles that DTLS may choose among, in our order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    AeadAes128Gcm,
    AeadAes256Gcm,
    Aes128CmSha1_80,
}

impl Profile {
    /// Bytes of a master key.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::Aes128CmSha1_80 => 16,
            Self::AeadAes256Gcm => 32,
        }
    }

    /// Bytes of a master salt.
    #[must_use]
    pub const fn salt_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
            Self::Aes128CmSha1_80 => 14,
        }
    }

    /// Bytes that sealing adds to an RTP packet.
    #[must_use]
    pub const fn tag_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 16,
            Self::Aes128CmSha1_80 => 10,
        }
    }

    /// The name that SDP and statistics use (RFC 7714 §14.2, RFC 5764 §4.1.2).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
            Self::Aes128CmSha1_80 => "AES_CM_128_HMAC_SHA1_80",
        }
    }
}

/// The master key and salt of one direction; wiped on drop.
#[derive(Clone)]
pub struct Master {
    pub key: Zeroizing<Box<[u8]>>,
    pub salt: Zeroizing<Box<[u8]>>,
}

impl core::fmt::Debug for Master {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Master(..)")
    }
}

/// What a DTLS handshake agreed on: `local` seals what we send, `remote` opens what we receive.
#[derive(Clone, Debug)]
pub struct Keys {
    pub profile: Profile,
    pub local: Master,
    pub remote: Master,
}

impl Keys {
    /// Splits exported keying material (RFC 5764 §4.2): client key, server key, client salt, server salt.
    ///
    /// `None` if `material` is too short for the profile.
    #[must_use]
    pub fn from_keying_material(profile: Profile, material: &[u8], we_are_client: bool) -> Option<Self> {
        let (client_key, rest) = material.split_at_checked(profile.key_len())?;
        let (server_key, rest) = rest.split_at_checked(profile.key_len())?;
        let (client_salt, rest) = rest.split_at_checked(profile.salt_len())?;
        let (server_salt, _) = rest.split_at_checked(profile.salt_len())?;
        let master = |key: &[u8], salt: &[u8]| Master {
            key: Zeroizing::new(Box::from(key)),
            salt: Zeroizing::new(Box::from(salt)),
        };
        let client = master(client_key, client_salt);
        let server = master(server_key, server_salt);
        let (local, remote) = if we_are_client { (client, server) } else { (server, client) };
        Some(Self { profile, local, remote })
    }
}
