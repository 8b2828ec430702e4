//! Bodies of the fuzz targets: any bytes are read to the end, and what was read holds together.

use units::rtp::{PayloadType, Ssrc};

use crate::av1::dependency::rewrite::{self, ActiveDecodeTargets};
use crate::av1::dependency::structure::Structure;
use crate::av1::dependency::{self, Descriptor};
use crate::extension::{AbsCaptureTime, AbsSendTime, AudioLevel, PlayoutDelay, TransportSequence};
use crate::rtcp::extended::Block;
use crate::rtcp::{COMPOUND_LEN_MAX, Compound, Packet};
use crate::{av1, demux, h264, h265, red, rtp, rtx, stun, trailer, vp8, vp9};

pub fn demultiplex(data: &[u8]) {
    if demux::Class::of(data) == Ok(demux::Class::Rtp) {
        assert!(data.len() >= rtp::FIXED_LEN);
    }
}

/// Reads a header and what follows it as every payload that begins there.
pub fn rtp_packet(data: &[u8]) {
    let Ok(header) = rtp::Header::parse(data) else { return };
    assert!((rtp::FIXED_LEN..=data.len()).contains(&header.header_len()));
    let mut count = 0_usize;
    for element in header.extensions() {
        assert!(element.id != 0 && element.data.len() < 256);
        count = count.saturating_add(1);
    }
    assert!(count <= rtp::EXTENSIONS_MAX);
    let payload = data.get(header.header_len()..).unwrap_or_default();
    if let Ok(media) = rtp::without_padding(payload, header.has_padding()) {
        assert!(payload.starts_with(media));
    }
}

/// Reads a retransmission and compares it with the packet that it becomes.
pub fn retransmission(data: &[u8]) {
    let Ok(header) = rtp::Header::parse(data) else { return };
    let mut packet = [0; COMPOUND_LEN_MAX];
    let Some(packet) = packet.get_mut(..data.len()) else { return };
    packet.copy_from_slice(data);
    let original = rtx::restore(packet, header.header_len(), PayloadType(96), Ssrc(1));
    if let Some(original) = original {
        let restored = rtp::Header::parse(original);
        assert!(restored.is_ok_and(|it| it.ssrc() == Ssrc(1) && it.header_len() == header.header_len()));
    }
}

/// Reads a compound to its end, every member in full.
pub fn rtcp_compound(data: &[u8]) {
    let mut malformed = false;
    for member in Compound::new(data) {
        assert!(!malformed, "a malformed member is the last");
        match member {
            Ok(packet) => read_member(&packet),
            Err(_) => malformed = true,
        }
    }
}

fn read_member(packet: &Packet<'_>) {
    match packet {
        Packet::SenderReport(report) => assert!(report.blocks().count() <= 31),
        Packet::ReceiverReport(report) => assert!(report.blocks().count() <= 31),
        Packet::SourceDescription(description) => assert!(description.items().count() < COMPOUND_LEN_MAX),
        Packet::Goodbye(goodbye) => assert!(goodbye.ssrcs().count() <= 31),
        Packet::Nack(nack) => assert!(nack.sequences().count() > 0),
        Packet::PictureLossIndication(_) | Packet::Unknown { .. } => {}
        Packet::FullIntraRequest(request) => assert!(request.entries().count() > 0),
        Packet::Remb(remb) => assert!(remb.ssrcs().count() < 256),
        Packet::TransportFeedback(feedback) => {
            assert!(feedback.statuses().count() == usize::from(feedback.status_count));
        }
        Packet::ExtendedReport(report) => report.blocks().for_each(|block| {
            if let Block::LastReceiverReports(answers) = block {
                assert!(answers.entries().count() < COMPOUND_LEN_MAX);
            }
        }),
    }
}

pub fn stun_message(data: &[u8]) {
    if let Ok(message) = stun::Message::parse(data) {
        assert!(!message.verify(b"a password that no message was made with"));
        assert!(message.local_ufrag().is_some() == message.username.is_some());
    }
}

/// Reads a descriptor and writes it again.
pub fn vp8_descriptor(data: &[u8]) {
    let Ok(descriptor) = vp8::Descriptor::parse(data) else { return };
    assert!(descriptor.len < data.len());
    let mut out = [0; vp8::DESCRIPTOR_LEN_MAX];
    let written = descriptor.write(&mut out);
    assert!(written.is_ok_and(|len| len <= descriptor.len));
}

pub fn vp9_descriptor(data: &[u8]) {
    let Ok(descriptor) = vp9::Descriptor::parse(data) else { return };
    assert!(descriptor.len <= data.len());
    let mut head = [0; vp9::HEAD_LEN_MAX];
    let len = descriptor.write_head(&mut head);
    assert!(data.starts_with(head.get(..len).unwrap_or_default()));
}

/// Reads the payload formats that are only searched for key frames.
pub fn key_frames(data: &[u8]) {
    let units = h264::Units::parse(data);
    assert!(!data.is_empty() || units.is_err());
    let units = h265::Units::parse(data);
    assert!(units.is_ok_and(|units| units.temporal < 7) || units.is_err());
    let aggregation = av1::Aggregation::parse(data);
    assert!(aggregation.is_ok_and(|it| !(it.continues && it.new_sequence)) || aggregation.is_err());
}

/// Reads a descriptor, then the bytes behind it by the structure that it brought, and writes both anew.
pub fn dependency_descriptor(data: &[u8]) {
    let Some((len, data)) = data.split_first() else { return };
    let (first, second) = data.split_at_checked((*len).into()).unwrap_or((data, &[]));
    let Ok(Some(structure)) = Structure::brought_by(first) else { return };
    assert!(structure.templates().len() <= dependency::TEMPLATES_MAX);
    for target in structure.decode_targets() {
        assert!(usize::from(target.spatial) < dependency::SPATIAL_LAYERS_MAX);
        assert!(target.temporal < dependency::TEMPORAL_LAYERS_MAX);
        assert!(target.chain < structure.chain_count().max(1));
    }
    for data in [first, second] {
        let Ok(read) = Descriptor::parse(data, &structure) else { continue };
        assert!(dependency::Mandatory::parse(data) == Some(read.mandatory));
        let targets = ActiveDecodeTargets { bitmask: 1, count: structure.decode_target_count() };
        for active in [None, Some(targets)] {
            let mut out = [0; rewrite::LEN_MAX];
            let Some(written) = rewrite::rewrite(data, 0x0102, active, &mut out) else { continue };
            let again = Descriptor::parse(written, &structure);
            let mandatory = dependency::Mandatory { frame_number: 0x0102, ..read.mandatory };
            let active_decode_targets = active.map(|active| active.bitmask).or(read.active_decode_targets);
            assert!(again == Ok(Descriptor { mandatory, active_decode_targets, ..read }));
        }
    }
}

pub fn redundant_audio(data: &[u8]) {
    let Ok(redundant) = red::Redundant::parse(data) else { return };
    let repeated = redundant.redundant().fold(0_usize, |len, block| len.saturating_add(block.data.len()));
    assert!(repeated.saturating_add(redundant.primary().data.len()) < data.len());
}

/// Cuts a trailer off what may carry another one.
pub fn packet_trailer(data: &[u8]) {
    let len = usize::from(trailer::trailer_len(data));
    assert!(len == 0 || data.ends_with(b"LKTS"));
    let rest = data.len().checked_sub(len).and_then(|rest| data.get(..rest));
    assert!(rest.is_some_and(|rest| usize::from(trailer::trailer_len(rest)) <= rest.len()));
}

/// Reads an element as each header extension, and writes again what was read.
pub fn header_extensions(data: &[u8]) {
    if let Some(level) = AudioLevel::read(data) {
        assert!(data.starts_with(&level.to_bytes()));
    }
    if let Some(sequence) = TransportSequence::read(data) {
        assert!(data.starts_with(&sequence.to_bytes()));
    }
    if let Some(time) = AbsSendTime::read(data) {
        assert!(data.starts_with(&time.to_bytes()) && time.units() < 1 << 24);
    }
    if let Some(time) = AbsCaptureTime::read(data) {
        assert!(data.starts_with(time.write(&mut [0; AbsCaptureTime::LEN_MAX])));
    }
    if let Some(delay) = PlayoutDelay::read(data) {
        assert!(data.starts_with(&delay.to_bytes()));
        assert!(PlayoutDelay::new(delay.min_ms(), delay.max_ms()) == delay);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    struct Target {
        name: &'static str,
        body: fn(&[u8]),
    }

    const TARGETS: [Target; 12] = [
        Target { name: "demultiplex", body: demultiplex },
        Target { name: "rtp_packet", body: rtp_packet },
        Target { name: "retransmission", body: retransmission },
        Target { name: "rtcp_compound", body: rtcp_compound },
        Target { name: "stun_message", body: stun_message },
        Target { name: "vp8_descriptor", body: vp8_descriptor },
        Target { name: "vp9_descriptor", body: vp9_descriptor },
        Target { name: "key_frames", body: key_frames },
        Target { name: "dependency_descriptor", body: dependency_descriptor },
        Target { name: "redundant_audio", body: redundant_audio },
        Target { name: "packet_trailer", body: packet_trailer },
        Target { name: "header_extensions", body: header_extensions },
    ];

    fn every_target(data: &[u8]) {
        TARGETS.iter().for_each(|target| (target.body)(data));
    }

    #[cfg(not(miri))]
    #[test]
    fn corpus_is_read_without_a_panic() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus");
        for Target { name, body } in &TARGETS {
            let seeds: Vec<_> = std::fs::read_dir(corpus.join(name)).unwrap().map(Result::unwrap).collect();
            assert!(!seeds.is_empty(), "{name} has seeds");
            for seed in seeds {
                let data = std::fs::read(seed.path()).unwrap();
                every_target(&data);
                // A seed cut off anywhere is where length checks are missed.
                (0..data.len()).for_each(|len| body(&data[..len]));
            }
        }
    }

    /// Bytes that get past the first checks of most parsers.
    fn plausible() -> impl Strategy<Value = Vec<u8>> {
        let head = prop_oneof![
            Just(Vec::new()),
            Just(std::vec![0x90, 0xe0]),
            Just(std::vec![0xb3, 0x60]),
            (200_u8..208, 0_u8..32, 0_u8..20).prop_map(|(kind, count, words)| std::vec![
                0x80 | count,
                kind,
                0,
                words
            ]),
            Just(b"\x00\x01\x00\x28\x21\x12\xa4\x42".to_vec()),
            Just(b"\x8f\xcd\x00\x0a".to_vec()),
        ];
        (head, proptest::collection::vec(any::<u8>(), 0..200)).prop_map(|(mut bytes, tail)| {
            bytes.extend(tail);
            bytes
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 16 } else { 4096 }))]

        #[test]
        fn any_bytes_are_read_without_a_panic(data in plausible()) {
            every_target(&data);
        }
    }
}
