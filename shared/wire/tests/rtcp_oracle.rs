//! RTCP written here is read the same by rtcp-types, and the other way round.

use proptest::prelude::*;
use rtcp_types::prelude::*;
use units::rtp::Ssrc;
use units::sequence::Seq16;
use units::time::{Instant, NtpTime};
use wire::rtcp::build::{Builder, FeedbackHead};
use wire::rtcp::extended::LastReceiverReport;
use wire::rtcp::feedback::{FullIntraEntry, PictureLossIndication};
use wire::rtcp::report::{ReportBlock, SenderInfo};
use wire::rtcp::{Compound, Packet};

const BLOCK: ReportBlock = ReportBlock {
    ssrc: Ssrc(3),
    fraction_lost: 4,
    cumulative_lost: 5,
    highest_sequence: 6,
    jitter: 7,
    last_sender_report: 8,
    delay_since_last_sender_report: 9,
};

#[test]
fn members_are_what_rtcp_types_reads() {
    let mut out = [0; 1500];
    let mut builder = Builder::new(&mut out);
    let info = SenderInfo {
        ssrc: Ssrc(1),
        ntp: NtpTime(0x0102_0304_0506_0708),
        rtp_timestamp: 10,
        packet_count: 11,
        octet_count: 12,
    };
    builder.sender_report(&info, &[BLOCK]).unwrap();
    builder.receiver_report(Ssrc(2), &[BLOCK, BLOCK]).unwrap();
    builder.source_description(Ssrc(1), b"name").unwrap();
    builder.nack(Ssrc(1), Ssrc(2), [Seq16(65_535), Seq16(0), Seq16(100)]).unwrap();
    builder.picture_loss_indication(PictureLossIndication { sender: Ssrc(1), media: Ssrc(2) }).unwrap();
    builder.full_intra_request(Ssrc(1), &[FullIntraEntry { ssrc: Ssrc(2), command: 200 }]).unwrap();
    let answer = LastReceiverReport { ssrc: Ssrc(2), last_receiver_report: 3, delay: 4 };
    builder.last_receiver_reports(Ssrc(1), &[answer]).unwrap();
    builder.receiver_reference_time(Ssrc(1), NtpTime(77)).unwrap();
    builder.goodbye(&[Ssrc(1), Ssrc(2)]).unwrap();
    let len = builder.len();

    let mut members = rtcp_types::Compound::parse(&out[..len]).unwrap().map(Result::unwrap);
    let Some(rtcp_types::Packet::Sr(report)) = members.next() else { panic!("a sender report") };
    assert_eq!((report.ssrc(), report.ntp_timestamp()), (1, info.ntp.0));
    assert_eq!((report.rtp_timestamp(), report.packet_count(), report.octet_count()), (10, 11, 12));
    let block = report.report_blocks().next().unwrap();
    assert_eq!((block.ssrc(), block.fraction_lost(), block.cumulative_lost()), (3, 4, 5));
    assert_eq!((block.extended_sequence_number(), block.interarrival_jitter()), (6, 7));
    assert_eq!(block.last_sender_report_timestamp(), 8);
    assert_eq!(block.delay_since_last_sender_report_timestamp(), 9);
    let Some(rtcp_types::Packet::Rr(report)) = members.next() else { panic!("a receiver report") };
    assert_eq!((report.ssrc(), report.report_blocks().count()), (2, 2));
    let Some(rtcp_types::Packet::Sdes(description)) = members.next() else { panic!("a description") };
    let chunk = description.chunks().next().unwrap();
    assert_eq!((chunk.ssrc(), chunk.items().next().unwrap().value()), (1, &b"name"[..]));
    let Some(rtcp_types::Packet::TransportFeedback(feedback)) = members.next() else { panic!("a NACK") };
    assert!(feedback.parse_fci::<rtcp_types::Nack<'_>>().unwrap().entries().eq([65_535, 0, 100]));
    let Some(rtcp_types::Packet::PayloadFeedback(feedback)) = members.next() else { panic!("a PLI") };
    assert_eq!((feedback.sender_ssrc(), feedback.media_ssrc()), (1, 2));
    feedback.parse_fci::<rtcp_types::Pli<'_>>().unwrap();
    let Some(rtcp_types::Packet::PayloadFeedback(feedback)) = members.next() else { panic!("a FIR") };
    let fir = feedback.parse_fci::<rtcp_types::Fir<'_>>().unwrap();
    assert!(fir.entries().map(|entry| (entry.ssrc(), entry.sequence())).eq([(2, 200)]));
    let Some(rtcp_types::Packet::Xr(report)) = members.next() else { panic!("an extended report") };
    let blocks = report.block_iter().next().unwrap();
    let answers = blocks.parse_into::<rtcp_types::DelaySinceLastReceiverReport<'_>>().unwrap();
    let answer = answers.block_iter().next().unwrap();
    assert_eq!((answer.ssrc(), answer.last_receiver_report()), (2, 3));
    assert_eq!(answer.delay_since_last_receiver_report_timestamp(), 4);
    let Some(rtcp_types::Packet::Xr(report)) = members.next() else { panic!("an extended report") };
    let block = report.block_iter().next().unwrap();
    assert_eq!(block.parse_into::<rtcp_types::ReceiverReferenceTime<'_>>().unwrap().ntp_timestamp(), 77);
    let Some(rtcp_types::Packet::Bye(goodbye)) = members.next() else { panic!("a goodbye") };
    assert!(goodbye.ssrcs().eq([1, 2]));
    assert!(members.next().is_none());
}

fn statuses() -> impl Strategy<Value = Vec<Option<i16>>> {
    let delta = prop_oneof![4 => 0_i16..256, 1 => any::<i16>()];
    proptest::collection::vec(
        (proptest::option::weighted(0.7, delta), prop_oneof![3 => Just(1_usize), 1 => 1_usize..40]),
        1..80,
    )
    .prop_map(|runs| {
        runs.into_iter().flat_map(|(status, count)| std::iter::repeat_n(status, count)).collect()
    })
}

proptest! {
    #[test]
    fn transport_feedback_of_rtcp_types_is_read_the_same(
        base: u16, reference in 0_u32..1 << 24, statuses in statuses(),
    ) {
        let theirs: Vec<_> = statuses
            .iter()
            .map(|status| match status {
                None => rtcp_types::TwccPacketStatus::NotReceived,
                Some(delta) => rtcp_types::TwccPacketStatus::Received { delta: *delta },
            })
            .collect();
        let fci = rtcp_types::Twcc::builder(base, reference, 9, &theirs, Some(1_000));
        let told = fci.packet_status_count();
        let writer = rtcp_types::TransportFeedback::builder(&fci).sender_ssrc(1).media_ssrc(2);
        let mut out = vec![0; writer.calculate_size().unwrap()];
        writer.write_into(&mut out).unwrap();

        let Some(Ok(Packet::TransportFeedback(feedback))) = Compound::new(&out).next() else {
            panic!("a feedback")
        };
        prop_assert_eq!((feedback.base.0, feedback.feedback_count), (base, 9));
        let reference = (i64::from(reference) << 40 >> 40) * 64_000;
        let mut clock = reference;
        let expected = statuses.iter().take(told).map(|status| {
            status.map(|delta| {
                clock += i64::from(delta) * 250;
                clock
            })
        });
        prop_assert!(feedback.statuses().map(|status| status.arrival_us).eq(expected));
    }

    #[test]
    fn transport_feedback_is_read_the_same_by_rtcp_types(
        base: u16, start_us in 0_u64..1 << 36, statuses in statuses(),
    ) {
        let mut now_us = start_us;
        let arrivals: Vec<_> = statuses
            .iter()
            .map(|status| {
                status.map(|delta| {
                    now_us += u64::from(delta.unsigned_abs()) * 10;
                    Instant(now_us * 1_000)
                })
            })
            .collect();
        let head = FeedbackHead { sender: Ssrc(1), media: Ssrc(2), base: Seq16(base), feedback_count: 9 };
        let mut out = [0; 1200];
        let mut builder = Builder::new(&mut out);
        let covered = builder.transport_feedback(&head, arrivals.iter().copied()).unwrap();
        let len = builder.len();
        prop_assume!(covered > 0);

        let feedback = rtcp_types::TransportFeedback::parse(&out[..len]).unwrap();
        let twcc = feedback.parse_fci::<rtcp_types::Twcc<'_>>().unwrap();
        prop_assert_eq!((twcc.base_sequence_number(), twcc.feedback_packet_count()), (base, 9));
        let mut clock = u64::from(twcc.reference_time()) * 256;
        let first = arrivals.iter().flatten().next().unwrap().as_micros() / 250;
        prop_assert_eq!(u64::from(twcc.reference_time()), (first / 256) & 0xff_ffff);
        clock += first / 256 / (1 << 24) * (256 << 24);
        let mut count = 0;
        for (packet, arrival) in twcc.packets().zip(&arrivals) {
            let (sequence, status) = packet.unwrap();
            prop_assert_eq!(sequence, base.wrapping_add(count));
            count += 1;
            match status {
                rtcp_types::TwccPacketStatus::NotReceived => prop_assert!(arrival.is_none()),
                rtcp_types::TwccPacketStatus::Received { delta } => {
                    clock = clock.checked_add_signed(delta.into()).unwrap();
                    prop_assert_eq!(Some(clock), arrival.map(|arrival| arrival.as_micros() / 250));
                }
            }
        }
        prop_assert_eq!(count, covered);
    }
}
