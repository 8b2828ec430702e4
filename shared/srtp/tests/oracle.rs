//! Sealed packets are those of webrtc-srtp byte for byte, and each opens what the other sealed.
#![cfg(not(miri))]

use proptest::prelude::*;
use srtp::aws_lc::AwsLc;
use srtp::cipher::Cipher;
use srtp::inbound::{Inbound, OpenError};
use srtp::keys::{Keys, Profile};
use srtp::outbound::Outbound;
use srtp::rust_crypto::RustCrypto;
use units::rtp::{PayloadType, Ssrc};
use units::sequence::Seq;
use webrtc_srtp::context::Context;
use webrtc_srtp::protection_profile::ProtectionProfile;
use wire::rtp::{Fields, Header, write_header};

#[derive(Clone, Debug)]
struct Packet {
    ssrc: u32,
    marker: bool,
    timestamp: u32,
    extensions: Vec<(u8, Vec<u8>)>,
    payload: Vec<u8>,
}

fn packet() -> impl Strategy<Value = Packet> {
    let extension = (1_u8..15, proptest::collection::vec(any::<u8>(), 1..17));
    (
        prop_oneof![Just(1_u32), Just(0xdead_beef), any::<u32>()],
        any::<bool>(),
        any::<u32>(),
        proptest::collection::vec(extension, 0..4),
        proptest::collection::vec(any::<u8>(), 0..1200),
    )
        .prop_map(|(ssrc, marker, timestamp, extensions, payload)| Packet {
            ssrc,
            marker,
            timestamp,
            extensions,
            payload,
        })
}

/// A compound that begins with a receiver report, which the oracle looks at.
fn rtcp() -> impl Strategy<Value = Vec<u8>> {
    (any::<u32>(), proptest::collection::vec(any::<u32>(), 0..100)).prop_map(|(ssrc, body)| {
        let words = u16::try_from(body.len() + 1).unwrap();
        let mut packet = vec![0x80, 201];
        packet.extend(words.to_be_bytes());
        packet.extend(ssrc.to_be_bytes());
        packet.extend(body.iter().flat_map(|word| word.to_be_bytes()));
        packet
    })
}

impl Packet {
    /// Header and payload, and how long the header is.
    fn write(&self, sequence: Seq) -> (Vec<u8>, usize) {
        let fields = Fields {
            marker: self.marker,
            payload_type: PayloadType(96),
            sequence: sequence.low(),
            timestamp: self.timestamp,
            ssrc: Ssrc(self.ssrc),
            padding: false,
        };
        let extensions: Vec<_> = self.extensions.iter().map(|(id, data)| (*id, data.as_slice())).collect();
        let mut out = vec![0; 1500];
        let header_len = write_header(&mut out, &fields, &extensions).unwrap();
        out.truncate(header_len);
        out.extend_from_slice(&self.payload);
        (out, header_len)
    }
}

/// Our end, which is the client, and the oracle's two contexts at the other end.
struct Ends<C: Cipher> {
    outbound: Outbound<C>,
    inbound: Inbound<C>,
    oracle_seals: Context,
    oracle_opens: Context,
    oracle_as_client: Context,
}

impl<C: Cipher> Ends<C> {
    fn new(profile: Profile, material: &[u8]) -> Self {
        let keys = Keys::from_keying_material(profile, material, true).unwrap();
        let oracle_profile = match profile {
            Profile::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
            Profile::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
            Profile::Aes128CmSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        };
        let (key_len, salt_len) = (profile.key_len(), profile.salt_len());
        let context = |side: usize| {
            let key = &material[side * key_len..][..key_len];
            let salt = &material[2 * key_len + side * salt_len..][..salt_len];
            Context::new(key, salt, oracle_profile, None, None).unwrap()
        };
        Self {
            outbound: Outbound::new(&keys),
            inbound: Inbound::new(&keys),
            oracle_seals: context(1),
            oracle_opens: context(0),
            oracle_as_client: context(0),
        }
    }

    fn rtp(&mut self, packet: &Packet, sequence: Seq) {
        let (plain, header_len) = packet.write(sequence);
        let theirs = self.oracle_as_client.encrypt_rtp(&plain).unwrap();

        let mut ours = vec![0xff; 1600];
        ours[..header_len].copy_from_slice(&plain[..header_len]);
        let len = self.outbound.seal_rtp(sequence, &mut ours, header_len, &packet.payload).unwrap();
        assert_eq!(len, plain.len() + self.outbound.rtp_overhead());
        assert_eq!(&ours[..len], &theirs[..], "sealed from another buffer");
        ours[..plain.len()].copy_from_slice(&plain);
        let len = self.outbound.seal_rtp_in_place(sequence, &mut ours, header_len, plain.len()).unwrap();
        assert_eq!(&ours[..len], &theirs[..], "sealed in place");
        assert_eq!(&self.oracle_opens.decrypt_rtp(&ours[..len]).unwrap()[..], &plain[..]);

        let mut sealed = self.oracle_seals.encrypt_rtp(&plain).unwrap().to_vec();
        let replay = sealed.clone();
        assert!(!self.inbound.is_duplicate(Ssrc(packet.ssrc), sequence.low()));
        let header_len = Header::parse(&sealed).unwrap().header_len();
        let opened = self.inbound.open_rtp(&mut sealed, header_len).unwrap();
        assert_eq!((opened.sequence, &sealed[..opened.len]), (sequence, &plain[..]));

        assert!(self.inbound.is_duplicate(Ssrc(packet.ssrc), sequence.low()));
        assert_eq!(self.inbound.open_rtp(&mut replay.clone(), header_len), Err(OpenError::Replay));
        let mut again = replay;
        assert_eq!(self.inbound.open_duplicate_rtp(&mut again, header_len), Ok(opened));
        assert_eq!(&again[..opened.len], &plain[..]);
    }

    fn rtcp(&mut self, plain: &[u8], first_of_source: bool) {
        let mut ours = vec![0xff; plain.len() + self.outbound.rtcp_overhead()];
        ours[..plain.len()].copy_from_slice(plain);
        let len = self.outbound.seal_rtcp(&mut ours, plain.len()).unwrap();
        assert_eq!(len, ours.len());
        // The oracle counts for each source apart, so that only the first packet has the same index.
        if first_of_source {
            assert_eq!(&ours[..], &self.oracle_as_client.encrypt_rtcp(plain).unwrap()[..]);
        }
        assert_eq!(&self.oracle_opens.decrypt_rtcp(&ours).unwrap()[..], plain);

        let mut sealed = self.oracle_seals.encrypt_rtcp(plain).unwrap().to_vec();
        let mut replay = sealed.clone();
        let len = self.inbound.open_rtcp(&mut sealed).unwrap();
        assert_eq!(&sealed[..len], plain);
        assert_eq!(self.inbound.open_rtcp(&mut replay), Err(OpenError::Replay));
    }
}

/// Runs the packets through both ends, each source a little further on; wraps are on the way.
fn rtp_agrees<C: Cipher>(profile: Profile, material: &[u8], first: u16, packets: &[(Packet, u16)]) {
    let mut ends = Ends::<C>::new(profile, material);
    let mut sequences = std::collections::BTreeMap::new();
    for (packet, step) in packets {
        let sequence = sequences.entry(packet.ssrc).or_insert_with(|| Seq(first.into()));
        ends.rtp(packet, *sequence);
        *sequence = Seq(sequence.0 + u64::from(*step));
    }
}

fn profile() -> impl Strategy<Value = Profile> {
    prop_oneof![Just(Profile::AeadAes128Gcm), Just(Profile::AeadAes256Gcm), Just(Profile::Aes128CmSha1_80)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn rtp_is_byte_equal_and_opens_both_ways(
        profile in profile(),
        material: [[u8; 32]; 3],
        first: u16,
        packets in proptest::collection::vec((packet(), prop_oneof![Just(1_u16), 1..30_000_u16]), 1..40),
    ) {
        rtp_agrees::<AwsLc>(profile, material.as_flattened(), first, &packets);
        rtp_agrees::<RustCrypto>(profile, material.as_flattened(), first, &packets);
    }

    #[test]
    fn rtcp_is_byte_equal_and_opens_both_ways(
        profile in profile(), material: [[u8; 32]; 3], compounds in proptest::collection::vec(rtcp(), 1..8),
    ) {
        let mut aws_lc = Ends::<AwsLc>::new(profile, material.as_flattened());
        let mut rust_crypto = Ends::<RustCrypto>::new(profile, material.as_flattened());
        for (index, compound) in compounds.iter().enumerate() {
            aws_lc.rtcp(compound, index == 0);
            rust_crypto.rtcp(compound, index == 0);
        }
    }
}
