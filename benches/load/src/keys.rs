//! SRTP by webrtc-rs: the keys of one peer connection, with what could make that crate panic kept away from it.

use std::fmt;

use webrtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use webrtc_srtp::context::Context;
use webrtc_srtp::protection_profile::ProtectionProfile;
use wire::rtp::Header;

/// Which cipher is asked for first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Cipher {
    /// AEAD_AES_128_GCM, or what else the server prefers
    Gcm,
    /// AES_CM_128_HMAC_SHA1_80 and nothing else
    Cm80,
}

impl Cipher {
    #[must_use]
    pub fn offered(self) -> Vec<SrtpProtectionProfile> {
        match self {
            Self::Gcm => vec![
                SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
                SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm,
                SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
            ],
            Self::Cm80 => vec![SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80],
        }
    }
}

/// Both directions' keys.
pub struct Keys {
    outbound: Context,
    inbound: Context,
    profile: ProtectionProfile,
}

impl Keys {
    /// RFC 5764 §4.2: client's key, server's key, client's salt, server's salt. `None` if the lengths don't fit.
    #[must_use]
    pub fn new(profile: ProtectionProfile, material: &[u8], we_are_client: bool) -> Option<Self> {
        let (keys, salts) = material.split_at_checked(2 * profile.key_len())?;
        let (client_key, server_key) = keys.split_at(profile.key_len());
        let (client_salt, server_salt) = salts.split_at_checked(profile.salt_len())?;
        let client = || Context::new(client_key, client_salt, profile, None, None).ok();
        let server = || Context::new(server_key, server_salt, profile, None, None).ok();
        let (outbound, inbound) = if we_are_client { (client()?, server()?) } else { (server()?, client()?) };
        Some(Self { outbound, inbound, profile })
    }

    /// Bytes of key material that the profile needs.
    #[must_use]
    pub fn material_len(profile: ProtectionProfile) -> usize {
        2 * (profile.key_len() + profile.salt_len())
    }

    pub fn seal_rtp(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        self.outbound.encrypt_rtp(packet).ok().map(Vec::from)
    }

    pub fn seal_rtcp(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        self.outbound.encrypt_rtcp(packet).ok().map(Vec::from)
    }

    /// `None`: not authentic. Headers are checked first: that crate's own parser panics on some.
    pub fn open_rtp(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        let header = Header::parse(packet).ok()?;
        if packet.len() < header.header_len() + self.tag_len() {
            return None;
        }
        self.inbound.decrypt_rtp(packet).ok().map(Vec::from)
    }

    pub fn open_rtcp(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        if packet.len() < RTCP_HEADER_LEN + self.tag_len() + RTCP_INDEX_LEN {
            return None;
        }
        self.inbound.decrypt_rtcp(packet).ok().map(Vec::from)
    }

    fn tag_len(&self) -> usize {
        self.profile.rtcp_auth_tag_len() + self.profile.aead_auth_tag_len()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("profile", &self.profile).finish_non_exhaustive()
    }
}

const RTCP_HEADER_LEN: usize = 8;
const RTCP_INDEX_LEN: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILES: [ProtectionProfile; 3] = [
        ProtectionProfile::AeadAes128Gcm,
        ProtectionProfile::AeadAes256Gcm,
        ProtectionProfile::Aes128CmHmacSha1_80,
    ];

    #[test]
    fn client_and_server_read_each_other_and_refuse_what_was_changed() {
        for profile in PROFILES {
            let material: Vec<u8> = (0..=255).take(Keys::material_len(profile)).collect();
            let mut client = Keys::new(profile, &material, true).unwrap();
            let mut server = Keys::new(profile, &material, false).unwrap();
            let packet = [&[0x80, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3][..], &[7; 40]].concat();
            let report = [0x80, 201, 0, 1, 0, 0, 0, 3];

            let mut sealed = client.seal_rtp(&packet).unwrap();
            assert_eq!(server.open_rtp(&sealed), Some(packet.clone()), "{profile:?}");
            *sealed.last_mut().unwrap() ^= 1;
            assert_eq!(server.open_rtp(&sealed), None, "{profile:?}");

            let sealed = server.seal_rtcp(&report).unwrap();
            assert_eq!(client.open_rtcp(&sealed).as_deref(), Some(&report[..]), "{profile:?}");
        }
    }

    #[test]
    fn short_packets_are_refused_and_harm_nobody() {
        for profile in PROFILES {
            let material = vec![1; Keys::material_len(profile)];
            let mut keys = Keys::new(profile, &material, true).unwrap();
            for len in 0..40 {
                let mut packet = vec![0x90; len];
                assert_eq!(keys.open_rtp(&packet), None, "{profile:?} {len}");
                packet.fill(0x80);
                assert_eq!(keys.open_rtcp(&packet), None, "{profile:?} {len}");
            }
            assert!(Keys::new(profile, &material[1..], true).is_none_or(|_| false), "{profile:?}");
        }
    }
}
