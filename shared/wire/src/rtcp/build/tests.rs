//! What is written is read back the same; what has no room leaves no trace.

use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::rtcp::extended::Block;
use crate::rtcp::{Compound, Packet};

const SENDER: Ssrc = Ssrc(0x0102_0304);
const MEDIA: Ssrc = Ssrc(0x0506_0708);

/// What `build` writes.
fn built<T: core::fmt::Debug>(build: impl FnOnce(&mut Builder<'_>) -> Result<T, Refused>) -> (Vec<u8>, T) {
    let mut out = [0xff; 1500];
    let mut builder = Builder::new(&mut out);
    let value = build(&mut builder).unwrap();
    let len = builder.len();
    (out[..len].to_vec(), value)
}

fn only_member(packet: &[u8]) -> Packet<'_> {
    let mut members = Compound::new(packet);
    let member = members.next().unwrap().unwrap();
    assert!(members.next().is_none());
    member
}

fn block() -> impl Strategy<Value = ReportBlock> {
    (any::<[u32; 5]>(), any::<u8>(), LOST_RANGE).prop_map(
        |([ssrc, highest, jitter, last, delay], lost, total)| ReportBlock {
            ssrc: Ssrc(ssrc),
            fraction_lost: lost,
            cumulative_lost: total,
            highest_sequence: highest,
            jitter,
            last_sender_report: last,
            delay_since_last_sender_report: delay,
        },
    )
}

const LOST_RANGE: core::ops::Range<i32> = -0x80_0000..0x80_0000;

proptest! {
    #[test]
    fn reports_are_read_as_written(
        numbers: [u32; 4], ntp: u64, blocks in proptest::collection::vec(block(), 0..=31),
    ) {
        let [ssrc, rtp_timestamp, packet_count, octet_count] = numbers;
        let info = SenderInfo { ssrc: Ssrc(ssrc), ntp: NtpTime(ntp), rtp_timestamp, packet_count, octet_count };
        let (packet, ()) = built(|builder| builder.sender_report(&info, &blocks));
        let Packet::SenderReport(report) = only_member(&packet) else { panic!("a sender report") };
        prop_assert_eq!(report.info, info);
        prop_assert!(report.blocks().eq(blocks.iter().copied()));

        let (packet, ()) = built(|builder| builder.receiver_report(Ssrc(ssrc), &blocks));
        let Packet::ReceiverReport(report) = only_member(&packet) else { panic!("a receiver report") };
        prop_assert_eq!(report.ssrc, Ssrc(ssrc));
        prop_assert!(report.blocks().eq(blocks));
    }

    #[test]
    fn nack_names_exactly_what_is_missing(
        first: u16, steps in proptest::collection::vec(prop_oneof![3 => 1_u16..20, 1 => 1_u16..300], 1..200),
    ) {
        let mut sequence = first;
        let missing: Vec<Seq16> = steps
            .iter()
            .map(|step| {
                sequence = sequence.wrapping_add(*step);
                Seq16(sequence)
            })
            .collect();
        let (packet, told) = built(|builder| builder.nack(SENDER, MEDIA, missing.iter().copied()));
        let Packet::Nack(nack) = only_member(&packet) else { panic!("a NACK") };
        prop_assert_eq!((nack.sender, nack.media, told), (SENDER, MEDIA, missing.len()));
        prop_assert!(nack.sequences().eq(missing));
    }

    #[test]
    fn remb_is_rounded_down_by_less_than_a_hundred_thousandth(bits in 0_u32..63, low: u64, ssrcs: [u32; 3]) {
        let bitrate = Bitrate((1 << bits) | low & ((1 << bits) - 1));
        let ssrcs = ssrcs.map(Ssrc);
        let (packet, ()) = built(|builder| builder.remb(SENDER, bitrate, &ssrcs));
        let Packet::Remb(remb) = only_member(&packet) else { panic!("a REMB") };
        prop_assert!(remb.bitrate <= bitrate && bitrate.0 - remb.bitrate.0 <= bitrate.0 / 100_000);
        prop_assert_eq!(remb.sender, SENDER);
        prop_assert!(remb.ssrcs().eq(ssrcs));
    }
}

#[test]
fn small_members_are_read_as_written() {
    let (packet, ()) = built(|builder| {
        builder.receiver_report(SENDER, &[])?;
        builder.source_description(SENDER, b"cname")?;
        builder.picture_loss_indication(PictureLossIndication { sender: SENDER, media: MEDIA })?;
        builder.full_intra_request(SENDER, &[FullIntraEntry { ssrc: MEDIA, command: 9 }])?;
        builder.last_receiver_reports(
            SENDER,
            &[LastReceiverReport { ssrc: MEDIA, last_receiver_report: 1, delay: 2 }],
        )?;
        builder.receiver_reference_time(SENDER, NtpTime(7))?;
        builder.goodbye(&[SENDER, MEDIA])
    });
    let mut members = Compound::new(&packet).map(Result::unwrap);
    assert!(matches!(members.next(), Some(Packet::ReceiverReport(it)) if it.ssrc == SENDER));
    let Some(Packet::SourceDescription(description)) = members.next() else { panic!("a source description") };
    assert!(description.items().map(|it| (it.ssrc, it.kind, it.text)).eq([(SENDER, CNAME, &b"cname"[..])]));
    let Some(Packet::PictureLossIndication(pli)) = members.next() else { panic!("a PLI") };
    assert_eq!((pli.sender, pli.media), (SENDER, MEDIA));
    let Some(Packet::FullIntraRequest(fir)) = members.next() else { panic!("a FIR") };
    assert!(fir.sender == SENDER && fir.entries().eq([FullIntraEntry { ssrc: MEDIA, command: 9 }]));
    let Some(Packet::ExtendedReport(report)) = members.next() else { panic!("an extended report") };
    let Some(Block::LastReceiverReports(answers)) = report.blocks().next() else { panic!("answers") };
    assert!(answers.entries().eq([LastReceiverReport { ssrc: MEDIA, last_receiver_report: 1, delay: 2 }]));
    let Some(Packet::ExtendedReport(report)) = members.next() else { panic!("an extended report") };
    assert!(matches!(report.blocks().next(), Some(Block::ReceiverReferenceTime(NtpTime(7)))));
    let Some(Packet::Goodbye(goodbye)) = members.next() else { panic!("a goodbye") };
    assert!(goodbye.ssrcs().eq([SENDER, MEDIA]));
    assert!(members.next().is_none());
}

#[test]
fn cname_of_any_length_ends_with_a_zero_at_a_word() {
    for len in 0..=255 {
        let cname = std::vec![b'c'; len];
        let (packet, ()) = built(|builder| builder.source_description(SENDER, &cname));
        assert_eq!(packet.len() % 4, 0);
        assert_eq!(packet.last(), Some(&0));
        let Packet::SourceDescription(description) = only_member(&packet) else { panic!("a description") };
        assert!(description.items().map(|item| item.text).eq([&cname[..]]), "{len}");
    }
    assert_eq!(Builder::new(&mut [0; 600]).source_description(SENDER, &[0; 256]), Err(Refused::TooMany));
}

#[test]
fn refused_member_leaves_what_was_written() {
    let mut out = [0xff; 20];
    let mut builder = Builder::new(&mut out);
    builder.receiver_report(SENDER, &[]).unwrap();
    let pli = PictureLossIndication { sender: SENDER, media: MEDIA };
    builder.picture_loss_indication(pli).unwrap();
    assert_eq!((builder.len(), builder.room()), (20, 0));
    assert_eq!(builder.picture_loss_indication(pli), Err(Refused::NoRoom));
    assert_eq!(builder.goodbye(&[SENDER; 32]), Err(Refused::TooMany));
    assert_eq!(builder.nack(SENDER, MEDIA, [Seq16(1)]), Err(Refused::NoRoom));
    assert_eq!(builder.nack(SENDER, MEDIA, []), Err(Refused::NoRoom));
    assert_eq!(builder.len(), 20);
    assert_eq!(Compound::new(&out).filter(Result::is_ok).count(), 2);
}

#[test]
fn nack_tells_what_finds_room() {
    let mut out = [0; 12 + 2 * 4];
    let mut builder = Builder::new(&mut out);
    let told = builder.nack(SENDER, MEDIA, [Seq16(0), Seq16(16), Seq16(17), Seq16(18), Seq16(34)]);
    assert_eq!(told, Ok(4));
    let Packet::Nack(nack) = only_member(&out) else { panic!("a NACK") };
    assert!(nack.sequences().eq([Seq16(0), Seq16(16), Seq16(17), Seq16(18)]));
}

#[test]
fn exponent_beyond_any_bitrate_is_no_overflow() {
    let mut packet = *b"\x8f\xce\x00\x04\0\0\0\x01\0\0\0\0REMB\x00\xff\xff\xff";
    let Packet::Remb(remb) = only_member(&packet) else { panic!("a REMB") };
    assert_eq!(remb.bitrate, Bitrate(u64::MAX));
    packet[17..].copy_from_slice(&[0xfc, 0, 0]);
    let Packet::Remb(remb) = only_member(&packet) else { panic!("a REMB") };
    assert_eq!(remb.bitrate, Bitrate(0));
}
