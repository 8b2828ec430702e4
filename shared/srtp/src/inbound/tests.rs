//! Replays, forgeries and limits, with the pure cipher so that Miri can run them.

use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::keys::Profile;
use crate::outbound::{Outbound, SealError};
use crate::rust_crypto::RustCrypto;

const PROFILES: [Profile; 3] = [Profile::AeadAes128Gcm, Profile::AeadAes256Gcm, Profile::Aes128CmSha1_80];

fn ends(profile: Profile) -> (Outbound<RustCrypto>, Inbound<RustCrypto>) {
    let keys = |client| Keys::from_keying_material(profile, &[7; 88], client).unwrap();
    (Outbound::new(&keys(true)), Inbound::new(&keys(false)))
}

fn sealed_rtp(outbound: &mut Outbound<RustCrypto>, ssrc: u32, sequence: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = std::vec![0; 12 + payload.len() + outbound.rtp_overhead()];
    out[0] = 0x80;
    out[2..4].copy_from_slice(&Seq(sequence).low().0.to_be_bytes());
    out[8..12].copy_from_slice(&ssrc.to_be_bytes());
    assert_eq!(outbound.seal_rtp(Seq(sequence), &mut out, 12, payload), Ok(out.len()));
    out
}

fn sealed_rtcp(outbound: &mut Outbound<RustCrypto>, ssrc: u32) -> Vec<u8> {
    let mut out = std::vec![0; 12 + outbound.rtcp_overhead()];
    out[..4].copy_from_slice(&[0x80, 201, 0, 2]);
    out[4..8].copy_from_slice(&ssrc.to_be_bytes());
    assert_eq!(outbound.seal_rtcp(&mut out, 12), Ok(out.len()));
    out
}

#[test]
fn packet_opens_once() {
    for profile in PROFILES {
        let (mut outbound, mut inbound) = ends(profile);
        let packet = sealed_rtp(&mut outbound, 1, 5, b"media");
        let mut first = packet.clone();
        assert!(!inbound.is_duplicate(Ssrc(1), Seq16(5)));
        assert_eq!(inbound.open_rtp(&mut first, 12), Ok(Opened { len: 17, sequence: Seq(5) }), "{profile:?}");
        assert_eq!(&first[12..17], b"media");
        assert!(inbound.is_duplicate(Ssrc(1), Seq16(5)) && !inbound.is_duplicate(Ssrc(2), Seq16(5)));
        assert_eq!(inbound.open_rtp(&mut packet.clone(), 12), Err(OpenError::Replay), "{profile:?}");
    }
}

#[test]
fn empty_payload_is_a_packet() {
    for profile in PROFILES {
        let (mut outbound, mut inbound) = ends(profile);
        let mut packet = sealed_rtp(&mut outbound, 1, 5, b"");
        assert_eq!(inbound.open_rtp(&mut packet, 12), Ok(Opened { len: 12, sequence: Seq(5) }));
    }
}

#[test]
fn roll_over_is_followed_and_reordering_across_it_too() {
    let (mut outbound, mut inbound) = ends(Profile::Aes128CmSha1_80);
    for sequence in [65_530, 65_537, 65_535, 65_536, 131_000 - 60_000, 131_071 - 40_000, 131_080] {
        let mut packet = sealed_rtp(&mut outbound, 1, sequence, b"x");
        let opened = inbound.open_rtp(&mut packet, 12);
        if sequence == 131_080 {
            // More than half a cycle ahead: taken for one before, which the counter in the tag contradicts.
            assert_eq!(opened, Err(OpenError::Replay));
        } else {
            assert_eq!(opened, Ok(Opened { len: 13, sequence: Seq(sequence) }), "{sequence}");
        }
    }
}

#[test]
fn forgeries_leave_no_trace() {
    for profile in PROFILES {
        let (mut outbound, mut inbound) = ends(profile);
        let packet = sealed_rtp(&mut outbound, 1, 5, b"media");
        for at in 0..packet.len() {
            let mut forged = packet.clone();
            forged[at] ^= 0x40;
            assert_eq!(inbound.open_rtp(&mut forged, 12), Err(OpenError::Unauthentic), "{profile:?} {at}");
        }
        let compound = sealed_rtcp(&mut outbound, 1);
        for at in 0..compound.len() {
            let mut forged = compound.clone();
            forged[at] ^= 0x80;
            assert_eq!(inbound.open_rtcp(&mut forged), Err(OpenError::Unauthentic), "{profile:?} {at}");
        }
        assert!(inbound.is_empty());
        assert!(inbound.open_rtp(&mut packet.clone(), 12).is_ok());
        assert!(inbound.open_rtcp(&mut compound.clone()).is_ok());
    }
}

#[test]
fn unencrypted_rtcp_is_authenticated_all_the_same() {
    for profile in PROFILES {
        let (_, mut inbound) = ends(profile);
        // A well-formed compound with the E bit clear and a tag of zeros.
        let mut forged = [0; 12 + 20];
        forged[..8].copy_from_slice(&[0x80, 201, 0, 2, 0, 0, 0, 1]);
        assert_eq!(inbound.open_rtcp(&mut forged), Err(OpenError::Unauthentic), "{profile:?}");
    }
}

#[test]
fn truncated_packets_are_refused_before_cryptography() {
    for profile in PROFILES {
        let (mut outbound, mut inbound) = ends(profile);
        let rtp_min = 12 + outbound.rtp_overhead();
        let rtcp_min = 8 + outbound.rtcp_overhead();
        for len in 0..rtp_min {
            assert_eq!(
                inbound.open_rtp(&mut std::vec![0x80; len], 12),
                Err(OpenError::Short),
                "{profile:?} {len}"
            );
        }
        for len in 0..rtcp_min {
            assert_eq!(
                inbound.open_rtcp(&mut std::vec![0x80; len]),
                Err(OpenError::Short),
                "{profile:?} {len}"
            );
        }
        // A header that claims the bytes of the tag.
        let mut packet = sealed_rtp(&mut outbound, 1, 5, b"media");
        assert_eq!(inbound.open_rtp(&mut packet, 18), Err(OpenError::Short));
        assert_eq!(inbound.open_rtp(&mut packet, usize::MAX), Err(OpenError::Short));
    }
}

#[test]
fn sources_beyond_the_limit_are_refused() {
    let (mut outbound, mut inbound) = ends(Profile::AeadAes128Gcm);
    let count = u32::try_from(SOURCES_MAX).unwrap();
    // In descending order, so that each is inserted before the others.
    for ssrc in (0..count).rev() {
        assert!(inbound.open_rtp(&mut sealed_rtp(&mut outbound, ssrc, 1, b"x"), 12).is_ok());
        assert!(inbound.open_rtcp(&mut sealed_rtcp(&mut outbound, ssrc)).is_ok());
    }
    let refused = Err(OpenError::TooManySources);
    assert_eq!(inbound.open_rtp(&mut sealed_rtp(&mut outbound, count, 1, b"x"), 12).map(|_| ()), refused);
    assert_eq!(inbound.open_rtcp(&mut sealed_rtcp(&mut outbound, count)).map(|_| ()), refused);
    assert!(inbound.open_rtp(&mut sealed_rtp(&mut outbound, 0, 2, b"x"), 12).is_ok());
}

#[test]
fn forgotten_sources_make_room_and_stay_refused_up_to_where_they_ended() {
    let (mut outbound, mut inbound) = ends(Profile::AeadAes128Gcm);
    let last = u64::from(u16::MAX) + 5;
    let count = u32::try_from(SOURCES_MAX).unwrap();
    let old: Vec<_> = [1, 40_000, last].map(|index| sealed_rtp(&mut outbound, 0, index, b"x")).into();
    let old_rtcp = sealed_rtcp(&mut outbound, 0);
    assert!(old.iter().all(|packet| inbound.open_rtp(&mut packet.clone(), 12).is_ok()));
    assert!(inbound.open_rtcp(&mut old_rtcp.clone()).is_ok());
    for ssrc in 1..4 * count {
        inbound.forget(Ssrc(ssrc - 1));
        assert!(inbound.open_rtp(&mut sealed_rtp(&mut outbound, ssrc, 1, b"x"), 12).is_ok());
        assert!(inbound.open_rtcp(&mut sealed_rtcp(&mut outbound, ssrc)).is_ok());
    }
    for packet in &old {
        assert_eq!(inbound.open_rtp(&mut packet.clone(), 12), Err(OpenError::Replay));
    }
    assert!(inbound.is_duplicate(Ssrc(0), Seq(last).low()));
    assert_eq!(inbound.open_rtcp(&mut old_rtcp.clone()), Err(OpenError::Replay));
    // The roll-over counter is still known, so the source may go on.
    assert!(inbound.open_rtp(&mut sealed_rtp(&mut outbound, 0, last + 2, b"x"), 12).is_ok());
    assert!(inbound.open_rtp(&mut sealed_rtp(&mut outbound, 0, last + 1, b"x"), 12).is_ok());
    assert_eq!(inbound.open_rtp(&mut old[2].clone(), 12), Err(OpenError::Replay));
}

#[test]
fn idle_source_gives_way_to_a_new_one() {
    let (mut outbound, mut inbound) = ends(Profile::AeadAes128Gcm);
    let count = u32::try_from(SOURCES_MAX).unwrap();
    for ssrc in 0..count {
        assert!(inbound.open_rtp(&mut sealed_rtp(&mut outbound, ssrc, 5, b"x"), 12).is_ok());
    }
    for sequence in 6..1_000 {
        assert!(inbound.open_rtp(&mut sealed_rtp(&mut outbound, 0, sequence, b"x"), 12).is_ok());
    }
    assert!(inbound.open_rtp(&mut sealed_rtp(&mut outbound, count, 5, b"x"), 12).is_ok());
    let refused = inbound.open_rtp(&mut sealed_rtp(&mut outbound, 1, 5, b"x"), 12);
    assert_eq!(refused, Err(OpenError::Replay), "its packets stay refused");
    assert!(
        inbound.open_rtp(&mut sealed_rtp(&mut outbound, 0, 1_000, b"x"), 12).is_ok(),
        "the busy one stays"
    );
}

#[test]
fn nothing_is_forgotten_that_can_not_be_remembered_to_have_ended() {
    let (mut outbound, mut inbound) = ends(Profile::AeadAes128Gcm);
    let ended = u32::try_from(ENDED_MAX).unwrap();
    for ssrc in 0..=ended {
        assert!(inbound.open_rtp(&mut sealed_rtp(&mut outbound, ssrc, 1, b"x"), 12).is_ok());
        inbound.forget(Ssrc(ssrc));
    }
    for ssrc in [0, ended - 1, ended] {
        assert!(inbound.is_duplicate(Ssrc(ssrc), Seq16(1)), "{ssrc}");
    }
    assert!(inbound.open_rtp(&mut sealed_rtp(&mut outbound, 0, 2, b"x"), 12).is_ok(), "it comes back");
    inbound.forget(Ssrc(ended));
    assert!(inbound.is_duplicate(Ssrc(ended), Seq16(1)));
}

#[test]
fn duplicate_is_opened_only_if_it_is_authentic() {
    let (mut outbound, mut inbound) = ends(Profile::AeadAes128Gcm);
    let packet = sealed_rtp(&mut outbound, 1, 5, b"media");
    let opened = inbound.open_rtp(&mut packet.clone(), 12).unwrap();
    let mut again = packet.clone();
    assert_eq!(inbound.open_duplicate_rtp(&mut again, 12), Ok(opened));
    assert_eq!(&again[12..17], b"media");
    let mut forged = packet;
    forged[13] ^= 1;
    assert_eq!(inbound.open_duplicate_rtp(&mut forged, 12), Err(OpenError::Unauthentic));
}

#[test]
fn sealing_refuses_what_it_must_not_seal() {
    for profile in PROFILES {
        let (mut outbound, _) = ends(profile);
        let sealed_len = 12 + 5 + outbound.rtp_overhead();
        let mut out = std::vec![0; sealed_len];
        out[..4].copy_from_slice(&[0x80, 96, 0, 5]);
        for (name, sequence, header_len, room, expected) in [
            ("fits", 5, 12, sealed_len, Ok(sealed_len)),
            ("fits with a roll-over", 65_541, 12, sealed_len, Ok(sealed_len)),
            ("no room for the tag", 5, 12, sealed_len - 1, Err(SealError::NoRoom)),
            ("another sequence number in the header", 6, 12, sealed_len, Err(SealError::Header)),
            ("half a header", 5, 8, sealed_len, Err(SealError::Header)),
            ("beyond 48 bits", (1 << 48) + 5, 12, sealed_len, Err(SealError::Exhausted)),
        ] {
            let mut out = out.clone();
            assert_eq!(
                outbound.seal_rtp(Seq(sequence), &mut out[..room], header_len, b"media"),
                expected,
                "{name}"
            );
            let in_place =
                outbound.seal_rtp_in_place(Seq(sequence), &mut out[..room], header_len, header_len + 5);
            assert_eq!(in_place, expected, "{name} in place");
        }
        assert_eq!(outbound.seal_rtp_in_place(Seq(5), &mut out, 12, 11), Err(SealError::Header));
        assert_eq!(outbound.seal_rtcp(&mut [0; 11], 8), Err(SealError::NoRoom));
        assert_eq!(outbound.seal_rtcp(&mut [0; 64], 7), Err(SealError::Header));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 256 }))]

    #[test]
    fn each_packet_opens_at_most_once_in_any_order(
        first in 0_u64..0x1_0000, order in proptest::collection::vec(0_u64..2000, 1..if cfg!(miri) { 20 } else { 200 }),
    ) {
        let (mut outbound, mut inbound) = ends(Profile::AeadAes128Gcm);
        let mut opened = std::collections::BTreeSet::new();
        // The receiver's roll-over counter begins with zero, so the first packet has to be the first that comes.
        for step in core::iter::once(0).chain(order) {
            let sequence = first + step;
            let mut packet = sealed_rtp(&mut outbound, 1, sequence, b"x");
            let highest = opened.last().copied().unwrap_or(sequence);
            let expected = !opened.contains(&sequence) && sequence + 1024 > highest;
            prop_assert_eq!(inbound.is_duplicate(Ssrc(1), Seq(sequence).low()), !expected);
            prop_assert_eq!(inbound.open_rtp(&mut packet, 12).is_ok(), expected);
            if expected {
                opened.insert(sequence);
            }
        }
    }

    #[test]
    fn forgetting_never_lets_a_packet_open_twice(
        order in proptest::collection::vec((0_u64..2000, 0_u8..4), 1..if cfg!(miri) { 20 } else { 200 }),
    ) {
        let (mut outbound, mut inbound) = ends(Profile::AeadAes128Gcm);
        let mut opened = std::collections::BTreeSet::new();
        let mut highest = 0;
        for (sequence, forget) in core::iter::once((0, 1)).chain(order) {
            let mut packet = sealed_rtp(&mut outbound, 1, 65_000 + sequence, b"x");
            // What is ahead always opens; what is behind may have been forgotten about.
            let opens = inbound.open_rtp(&mut packet, 12).is_ok();
            prop_assert!(opens || sequence <= highest && !opened.is_empty());
            prop_assert!(!opens || opened.insert(sequence));
            highest = highest.max(sequence);
            if forget == 0 {
                inbound.forget(Ssrc(1));
            }
        }
    }
}
