//! Bodies of the fuzz targets: whatever a stranger sends is refused and leaves no state behind.

use units::rtp::Ssrc;
use units::sequence::Seq16;

use crate::inbound::Inbound;
use crate::keys::{Keys, Profile};
use crate::rust_crypto::RustCrypto;

/// Opens bytes of someone without keys, as RTP whose header length the first byte says and as RTCP.
pub fn unauthenticated_packet(data: &[u8]) {
    let Some((header_len, packet)) = data.split_first() else { return };
    for profile in [Profile::AeadAes128Gcm, Profile::AeadAes256Gcm, Profile::Aes128CmSha1_80] {
        let Some(keys) = Keys::from_keying_material(profile, &MATERIAL, false) else { return };
        let mut inbound = Inbound::<RustCrypto>::new(&keys);
        assert!(inbound.open_rtp(&mut packet.to_vec(), usize::from(*header_len)).is_err());
        assert!(inbound.open_duplicate_rtp(&mut packet.to_vec(), usize::from(*header_len)).is_err());
        assert!(inbound.open_rtcp(&mut packet.to_vec()).is_err());
        assert!(inbound.is_empty());
        assert!(!inbound.is_duplicate(Ssrc(0), Seq16(0)));
    }
}

/// Nobody's; long enough for every profile.
const MATERIAL: [u8; 88] = [0x5a; 88];

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    #[cfg(not(miri))]
    #[test]
    fn corpus_is_refused_without_a_panic() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/corpus/unauthenticated_packet");
        let seeds: Vec<_> = std::fs::read_dir(corpus).unwrap().map(Result::unwrap).collect();
        assert!(!seeds.is_empty());
        for seed in seeds {
            let data = std::fs::read(seed.path()).unwrap();
            (0..=data.len()).for_each(|len| unauthenticated_packet(&data[..len]));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 512 }))]

        #[test]
        fn any_bytes_are_refused_without_a_panic(
            header_len in prop_oneof![Just(12_u8), any::<u8>()],
            packet in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            unauthenticated_packet(&[&[header_len], &packet[..]].concat());
        }
    }
}
