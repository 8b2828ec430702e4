//! Protection profiles and the master keys of both directions (RFC 3711, RFC 5764, RFC 7714).

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

    /// Bytes of exported keying material that [`Keys::from_keying_material`] splits.
    #[must_use]
    pub const fn keying_material_len(self) -> usize {
        2 * (self.key_len() + self.salt_len())
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

/// The master key and salt of one direction, zeros behind the shorter ones; wiped on drop.
#[derive(Clone)]
pub(crate) struct Master {
    pub(crate) key: Zeroizing<[u8; 32]>,
    pub(crate) salt: Zeroizing<[u8; 14]>,
}

/// What a DTLS handshake agreed on; wiped on drop.
#[derive(Clone)]
pub struct Keys {
    profile: Profile,
    /// Seals what we send.
    pub(crate) local: Master,
    /// Opens what we receive.
    pub(crate) remote: Master,
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
        let client = Master::new(client_key, client_salt);
        let server = Master::new(server_key, server_salt);
        let (local, remote) = if we_are_client { (client, server) } else { (server, client) };
        Some(Self { profile, local, remote })
    }

    #[must_use]
    pub const fn profile(&self) -> Profile {
        self.profile
    }
}

impl core::fmt::Debug for Keys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Keys").field("profile", &self.profile).finish_non_exhaustive()
    }
}

impl Master {
    /// Lengths as a [`Profile`] has them.
    pub(crate) fn new(key: &[u8], salt: &[u8]) -> Self {
        let mut master = Self { key: Zeroizing::default(), salt: Zeroizing::default() };
        master.key[..key.len()].copy_from_slice(key);
        master.salt[..salt.len()].copy_from_slice(salt);
        master
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn material_is_split_into_both_directions() {
        for profile in [Profile::AeadAes128Gcm, Profile::AeadAes256Gcm, Profile::Aes128CmSha1_80] {
            let (key_len, salt_len) = (profile.key_len(), profile.salt_len());
            let parts = [(1, key_len), (2, key_len), (3, salt_len), (4, salt_len)];
            let material: Vec<u8> =
                parts.iter().flat_map(|(byte, len)| core::iter::repeat_n(*byte, *len)).collect();
            assert_eq!(material.len(), profile.keying_material_len());

            let client = Keys::from_keying_material(profile, &material, true).unwrap();
            assert_eq!(
                (client.local.key[key_len - 1], client.local.salt[salt_len - 1]),
                (1, 3),
                "{profile:?}"
            );
            assert_eq!((client.remote.key[0], client.remote.salt[0]), (2, 4), "{profile:?}");
            let server = Keys::from_keying_material(profile, &material, false).unwrap();
            assert_eq!(*server.local.key, *client.remote.key);
            assert_eq!(*server.remote.salt, *client.local.salt);

            assert!(Keys::from_keying_material(profile, &material[1..], true).is_none(), "{profile:?}");
        }
    }

    #[test]
    fn debug_output_tells_no_key() {
        let keys = Keys::from_keying_material(Profile::AeadAes128Gcm, &[77; 56], true).unwrap();
        assert_eq!(alloc::format!("{keys:?}"), "Keys { profile: AeadAes128Gcm, .. }");
    }
}
