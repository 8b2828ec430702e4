//! Bodies of the fuzz targets of this crate: bytes from the network into each of its parsers and libraries.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::data::association::Association;
use crate::data::dcep;
use crate::data::packet::{Packet, Stamp};
use crate::data::track_packet::TrackPacket;
use crate::dtls::certificate::Certificate;
use crate::dtls::session::Session;
use crate::dtls::{Implementation, Library, Role, client_hello, record};
use crate::helper::input::{ChannelSpec, SctpSpec};

/// Datagrams of one input: each begins with its length, two bytes.
const DATAGRAMS: usize = 16;

/// DTLS records and handshake messages, to a server and to a client that has spoken, of both libraries.
pub fn dtls(data: &[u8]) {
    thread_local! {
        static LIBRARIES: RefCell<Option<[Library; 2]>> = const { RefCell::new(None) };
    }
    LIBRARIES.with_borrow_mut(|libraries| {
        let libraries = libraries.get_or_insert_with(|| {
            let certificate = Certificate::generate().expect("the system has randomness");
            [Implementation::Dimpl, Implementation::Webrtc].map(|implementation| {
                Library::new(implementation, &certificate).expect("our own certificate is accepted")
            })
        });
        for library in libraries {
            for role in [Role::Server, Role::Client] {
                dtls_session(library, role, data);
            }
        }
    });
}

fn dtls_session(library: &Library, role: Role, data: &[u8]) {
    let mut now = Instant::now();
    let mut session = Session::new(role, Arc::from([]));
    session.start(now, library);
    for datagram in datagrams(data) {
        // Why it was dropped is of no interest here; that it was dropped in peace is.
        let _ = session.receive(now, datagram, library, || true);
        while session.poll().is_some() {}
        now += Duration::from_millis(50);
        session.timeout(now, library);
    }
    while session.poll().is_some() {}
}

/// The look at records that comes before any library.
pub fn dtls_record(data: &[u8]) {
    let _ = record::hello(data);
    for fragment in record::hello_fragments(data) {
        let _ = client_hello::Reassembly::default().add(&fragment);
    }
    let _ = client_hello::prefers_aes_cm_to_aead(data);
    let cleaned = record::without_plain_alerts(data).into_owned();
    assert!(cleaned.len() <= data.len());
    assert_eq!(record::without_plain_alerts(&cleaned), cleaned);
    let mut renumbered = cleaned.clone();
    record::renumber(&mut renumbered, 1);
    record::renumber(&mut renumbered, u32::MAX);
    assert_eq!(renumbered, cleaned);
}

/// SCTP packets, to an end that listens and to one that has spoken; their checksums are made right.
pub fn sctp(data: &[u8]) {
    let channel = ChannelSpec { label: "_reliable".into(), ordered: true, retransmits_max: None };
    let spec = SctpSpec { remote_port: 5000, message_size_max: 0, channels: vec![channel] };
    for role in [Role::Server, Role::Client] {
        let mut now = Instant::now();
        let mut association = Association::new(now, role, &spec);
        if role == Role::Client {
            now += Duration::from_secs(1);
            association.timeout(now);
        }
        for packet in datagrams(data) {
            let mut packet = packet.to_vec();
            if let Some(checksum) = packet.get_mut(8..12) {
                checksum.fill(0);
                let right = crc32c(&packet).to_le_bytes();
                packet.splice(8..12, right);
            }
            association.receive(now, &packet);
            association.flush(now);
            while association.poll().is_some() {}
            now += Duration::from_millis(300);
            association.timeout(now);
        }
    }
}

/// Messages of the channel protocol.
pub fn dcep(data: &[u8]) {
    if let Ok(dcep::Message::Open(open)) = dcep::Message::parse(data) {
        let bytes = open.to_bytes().expect("what was read has lengths that can be written");
        assert_eq!(dcep::Message::parse(&bytes), Ok(dcep::Message::Open(open)));
    }
}

/// LiveKit's data packets: what is stamped reads as stamped, and goes to whom it went before.
pub fn data_packet(data: &[u8]) {
    let Ok(packet) = Packet::parse(data) else {
        return;
    };
    let kind = crate::data::channel::Kind::Reliable;
    let stamped = packet.stamped(&Stamp { identity: "fuzz", sid: "PA_fuzz", user_sid: "PA_fuzz", kind });
    let again = Packet::parse(&stamped).expect("a stamp leaves a packet well-formed");
    assert_eq!((again.identity, again.sequence, again.value), ("fuzz", packet.sequence, packet.value));
    assert_eq!(again.destinations, packet.destinations);
    assert_eq!(again.destination_sids, packet.destination_sids);
}

/// Packets of data tracks: a copy differs in its handle only.
pub fn data_track_packet(data: &[u8]) {
    let bytes = bytes::Bytes::copy_from_slice(data);
    if let Ok(packet) = TrackPacket::parse(&bytes) {
        let copy = packet.under(1);
        let again = TrackPacket::parse(&copy).expect("a copy is as well-formed");
        assert_eq!((again.handle, again.under(packet.handle)), (1, bytes.clone()));
    }
}

fn datagrams(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let (&[high, low], after) = rest.split_first_chunk()?;
        let len = usize::from(u16::from_be_bytes([high, low])).min(after.len());
        let (datagram, after) = after.split_at(len);
        rest = after;
        Some(datagram)
    })
    .take(DATAGRAMS)
}

/// SCTP's checksum (RFC 9260 Appendix A), bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 })
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    type Target = (&'static str, fn(&[u8]));

    const TARGETS: [Target; 6] = [
        ("dtls", dtls),
        ("dtls_record", dtls_record),
        ("sctp", sctp),
        ("dcep", dcep),
        ("data_packet", data_packet),
        ("data_track_packet", data_track_packet),
    ];

    #[test]
    fn every_target_survives_its_corpus() {
        for (name, target) in TARGETS {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus").join(name);
            let seeds: Vec<_> = fs::read_dir(&folder).unwrap().map(|seed| seed.unwrap().path()).collect();
            assert!(!seeds.is_empty(), "{name}");
            for seed in seeds {
                target(&fs::read(seed).unwrap());
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_target_survives_anything(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            for (_, target) in TARGETS {
                target(&bytes);
            }
        }

        /// A seed with a few bytes changed gets further than noise.
        #[test]
        fn every_target_survives_damaged_seeds(
            which: prop::sample::Index,
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            for (name, target) in TARGETS {
                let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus").join(name);
                let mut seeds: Vec<_> = fs::read_dir(&folder).unwrap().map(|seed| seed.unwrap().path()).collect();
                seeds.sort();
                let mut bytes = fs::read(which.get(&seeds)).unwrap();
                for (index, value) in &changes {
                    if !bytes.is_empty() {
                        let index = index.index(bytes.len());
                        bytes[index] = *value;
                    }
                }
                target(&bytes);
            }
        }
    }
}
