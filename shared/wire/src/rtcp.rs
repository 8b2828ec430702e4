//! RTCP compound packets as views over their bytes (RFC 3550 §6, RFC 5506).

pub mod build;
pub mod description;
pub mod extended;
pub mod feedback;
pub mod goodbye;
pub mod remb;
pub mod report;
pub mod transport;

use crate::cursor::Reader;
use crate::rtcp::description::SourceDescription;
use crate::rtcp::extended::ExtendedReport;
use crate::rtcp::feedback::{FullIntraRequest, Nack, PictureLossIndication};
use crate::rtcp::goodbye::Goodbye;
use crate::rtcp::remb::Remb;
use crate::rtcp::report::{ReceiverReport, SenderReport};
use crate::rtcp::transport::TransportFeedback;

/// The longest compound packet that is read.
pub const COMPOUND_LEN_MAX: usize = 1500;

/// What of a compound packet is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The compound is longer than [`COMPOUND_LEN_MAX`].
    Compound,
    /// A member's version is not 2, or its length reaches beyond the compound.
    Header,
    /// A member's padding is longer than the member.
    Padding,
    SenderReport,
    ReceiverReport,
    SourceDescription,
    Goodbye,
    Nack,
    PictureLossIndication,
    FullIntraRequest,
    Remb,
    TransportFeedback,
    ExtendedReport,
}

/// One member of a compound packet.
#[derive(Clone, Copy, Debug)]
pub enum Packet<'a> {
    SenderReport(SenderReport<'a>),
    ReceiverReport(ReceiverReport<'a>),
    SourceDescription(SourceDescription<'a>),
    Goodbye(Goodbye<'a>),
    Nack(Nack<'a>),
    PictureLossIndication(PictureLossIndication),
    FullIntraRequest(FullIntraRequest<'a>),
    Remb(Remb<'a>),
    TransportFeedback(TransportFeedback<'a>),
    ExtendedReport(ExtendedReport<'a>),
    /// A well-formed member of a kind that is not read here; `count` is the five bits that some kinds call FMT.
    Unknown {
        packet_type: u8,
        count: u8,
        body: &'a [u8],
    },
}

/// The members of a compound packet, in order. A malformed one is the last item.
#[derive(Clone, Debug)]
pub struct Compound<'a> {
    reader: Reader<'a>,
    refused: bool,
}

impl<'a> Compound<'a> {
    /// Reads `packet`, which is decrypted. Reduced size is accepted: any kind may come first (RFC 5506 §3.4.2).
    #[must_use]
    pub const fn new(packet: &'a [u8]) -> Self {
        Self { reader: Reader::new(packet), refused: packet.len() > COMPOUND_LEN_MAX }
    }
}

impl<'a> Iterator for Compound<'a> {
    type Item = Result<Packet<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        let member = if self.refused { Err(Malformed::Compound) } else { member(&mut self.reader) };
        if member.is_err() {
            self.reader = Reader::new(&[]);
        }
        Some(member)
    }
}

//  0                   1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |V=2|P|  count  |      type     |  length in words, minus one   |
fn member<'a>(reader: &mut Reader<'a>) -> Result<Packet<'a>, Malformed> {
    let [first, packet_type] = *reader.array().ok_or(Malformed::Header)?;
    let words = reader.u16().ok_or(Malformed::Header)?;
    if first >> 6 != 2 {
        return Err(Malformed::Header);
    }
    let body = reader.bytes(usize::from(words) << 2).ok_or(Malformed::Header)?;
    let body = if first & 0x20 == 0 { body } else { without_padding(body)? };
    parse_body(packet_type, first & 0x1f, body)
}

fn without_padding(body: &[u8]) -> Result<&[u8], Malformed> {
    let count = usize::from(*body.last().ok_or(Malformed::Padding)?);
    let len = body.len().checked_sub(count).filter(|_| count != 0).ok_or(Malformed::Padding)?;
    body.get(..len).ok_or(Malformed::Padding)
}

fn parse_body(packet_type: u8, count: u8, body: &[u8]) -> Result<Packet<'_>, Malformed> {
    let unknown = Packet::Unknown { packet_type, count, body };
    let (parsed, malformed) = match (packet_type, count) {
        (SENDER_REPORT, _) => {
            (SenderReport::parse(count, body).map(Packet::SenderReport), Malformed::SenderReport)
        }
        (RECEIVER_REPORT, _) => {
            (ReceiverReport::parse(count, body).map(Packet::ReceiverReport), Malformed::ReceiverReport)
        }
        (SOURCE_DESCRIPTION, _) => (
            SourceDescription::parse(count, body).map(Packet::SourceDescription),
            Malformed::SourceDescription,
        ),
        (GOODBYE, _) => (Goodbye::parse(count, body).map(Packet::Goodbye), Malformed::Goodbye),
        (TRANSPORT_FEEDBACK, FORMAT_NACK) => (Nack::parse(body).map(Packet::Nack), Malformed::Nack),
        (TRANSPORT_FEEDBACK, FORMAT_TRANSPORT_CC) => {
            (TransportFeedback::parse(body).map(Packet::TransportFeedback), Malformed::TransportFeedback)
        }
        (PAYLOAD_FEEDBACK, FORMAT_PLI) => (
            PictureLossIndication::parse(body).map(Packet::PictureLossIndication),
            Malformed::PictureLossIndication,
        ),
        (PAYLOAD_FEEDBACK, FORMAT_FIR) => {
            (FullIntraRequest::parse(body).map(Packet::FullIntraRequest), Malformed::FullIntraRequest)
        }
        (PAYLOAD_FEEDBACK, FORMAT_APPLICATION) if Remb::is_remb(body) => {
            (Remb::parse(body).map(Packet::Remb), Malformed::Remb)
        }
        (EXTENDED_REPORT, _) => {
            (ExtendedReport::parse(body).map(Packet::ExtendedReport), Malformed::ExtendedReport)
        }
        _ => (Some(unknown), Malformed::Header),
    };
    parsed.ok_or(malformed)
}

pub(crate) const SENDER_REPORT: u8 = 200;
pub(crate) const RECEIVER_REPORT: u8 = 201;
pub(crate) const SOURCE_DESCRIPTION: u8 = 202;
pub(crate) const GOODBYE: u8 = 203;
pub(crate) const TRANSPORT_FEEDBACK: u8 = 205;
pub(crate) const PAYLOAD_FEEDBACK: u8 = 206;
pub(crate) const EXTENDED_REPORT: u8 = 207;
pub(crate) const FORMAT_NACK: u8 = 1;
pub(crate) const FORMAT_TRANSPORT_CC: u8 = 15;
pub(crate) const FORMAT_PLI: u8 = 1;
pub(crate) const FORMAT_FIR: u8 = 4;
pub(crate) const FORMAT_APPLICATION: u8 = 15;

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use units::rtp::Ssrc;

    use super::*;

    /// The kinds of the members of `packet`, up to the first malformed one.
    fn kinds(packet: &[u8]) -> Vec<Result<u8, Malformed>> {
        Compound::new(packet)
            .map(|member| {
                member.map(|it| match it {
                    Packet::SenderReport(_) => SENDER_REPORT,
                    Packet::ReceiverReport(_) => RECEIVER_REPORT,
                    Packet::SourceDescription(_) => SOURCE_DESCRIPTION,
                    Packet::Goodbye(_) => GOODBYE,
                    Packet::Nack(_) | Packet::TransportFeedback(_) => TRANSPORT_FEEDBACK,
                    Packet::PictureLossIndication(_) | Packet::FullIntraRequest(_) | Packet::Remb(_) => {
                        PAYLOAD_FEEDBACK
                    }
                    Packet::ExtendedReport(_) => EXTENDED_REPORT,
                    Packet::Unknown { packet_type, .. } => packet_type,
                })
            })
            .collect()
    }

    #[test]
    fn malformed_members_are_named_and_end_the_compound() {
        let zeros = [0; 64];
        for (name, first, packet_type, words, expected) in [
            ("version 1", 0x40, 201, 1, Malformed::Header),
            ("longer than the compound", 0x80, 201, 100, Malformed::Header),
            ("padding of zero bytes", 0xa0, 201, 1, Malformed::Padding),
            ("padding of nothing", 0xa0, 201, 0, Malformed::Padding),
            ("sender report cut off", 0x80, 200, 5, Malformed::SenderReport),
            ("sender report without its block", 0x81, 200, 11, Malformed::SenderReport),
            ("receiver report without its block", 0x81, 201, 6, Malformed::ReceiverReport),
            ("source description cut off", 0x81, 202, 0, Malformed::SourceDescription),
            ("goodbye cut off", 0x82, 203, 1, Malformed::Goodbye),
            ("NACK of nothing", 0x81, 205, 2, Malformed::Nack),
            ("PLI without a source", 0x81, 206, 1, Malformed::PictureLossIndication),
            ("FIR of nothing", 0x84, 206, 2, Malformed::FullIntraRequest),
            ("FIR with half an entry", 0x84, 206, 3, Malformed::FullIntraRequest),
            ("transport feedback cut off", 0x8f, 205, 3, Malformed::TransportFeedback),
            ("extended report without a source", 0x80, 207, 0, Malformed::ExtendedReport),
        ] {
            let mut packet = std::vec![first, packet_type, 0, words];
            packet.extend_from_slice(&zeros[..usize::from(words).min(16) * 4]);
            packet.extend_from_slice(&[0x80, 203, 0, 0]);
            assert_eq!(kinds(&packet), [Err(expected)], "{name}");
        }
        assert_eq!(kinds(&[0x80, 203, 0]), [Err(Malformed::Header)], "half a header");
        assert_eq!(kinds(&[0x80; COMPOUND_LEN_MAX + 1]), [Err(Malformed::Compound)], "too long");
        assert_eq!(kinds(&[]), [], "empty");
    }

    #[test]
    fn members_before_a_malformed_one_are_read() {
        let packet = [0x80, 203, 0, 0, 0x80, 199, 0, 1, 1, 2, 3, 4, 0x81, 203, 0, 0, 0x80, 203, 0, 0];
        assert_eq!(kinds(&packet), [Ok(203), Ok(199), Err(Malformed::Goodbye)]);
    }

    #[test]
    fn padding_is_taken_off() {
        let packet = [0xa1, 203, 0, 2, 0, 0, 0, 7, 0, 0, 0, 4];
        let Some(Ok(Packet::Goodbye(goodbye))) = Compound::new(&packet).next() else { panic!("a goodbye") };
        assert!(goodbye.ssrcs().eq([Ssrc(7)]));
        assert_eq!(kinds(&[0xa0, 203, 0, 1, 0, 0, 0, 5]), [Err(Malformed::Padding)], "more than there is");
    }

    #[test]
    fn application_feedback_other_than_remb_is_unknown() {
        let mut packet = *b"\x8f\xce\x00\x04\0\0\0\x01\0\0\0\0REMB\x00\x00\x00\x00";
        assert!(matches!(Compound::new(&packet).next(), Some(Ok(Packet::Remb(_)))));
        packet[12] = b'L';
        assert_eq!(kinds(&packet), [Ok(206)]);
        assert!(matches!(Compound::new(&packet).next(), Some(Ok(Packet::Unknown { count: 15, .. }))));
    }

    #[test]
    fn remb_says_how_many_sources_it_has() {
        let packet = *b"\x8f\xce\x00\x04\0\0\0\x01\0\0\0\0REMB\x01\x00\x00\x00";
        assert_eq!(kinds(&packet), [Err(Malformed::Remb)]);
    }

    #[test]
    fn description_items_are_read_over_several_sources() {
        let packet = *b"\x82\xca\x00\x06\0\0\0\x01\x01\x02ab\x02\x01c\0\0\0\0\x02\x01\x00\0\0\0\0\0\0";
        let Some(Ok(Packet::SourceDescription(description))) = Compound::new(&packet).next() else {
            panic!("a source description")
        };
        let items: Vec<_> = description.items().map(|item| (item.ssrc.0, item.kind, item.text)).collect();
        assert_eq!(items, [(1, 1, &b"ab"[..]), (1, 2, b"c"), (2, 1, b"")]);
    }

    #[test]
    fn descriptions_without_an_end_are_malformed() {
        for (name, body) in [
            ("no end of the list", *b"\0\0\0\x01\x01\x02ab"),
            ("item beyond the packet", *b"\0\0\0\x01\x01\x03ab"),
            ("no length", *b"\0\0\0\x01\x01\x01a\x01"),
        ] {
            let mut packet = *b"\x81\xca\x00\x02........";
            packet[4..].copy_from_slice(&body);
            assert_eq!(kinds(&packet), [Err(Malformed::SourceDescription)], "{name}");
        }
    }

    #[test]
    fn extended_reports_skip_unknown_blocks_and_refuse_cut_off_ones() {
        for (name, blocks, expected) in [
            ("unknown block", &[9, 0, 0, 1, 1, 2, 3, 4][..], Ok(EXTENDED_REPORT)),
            ("no block", &[], Ok(EXTENDED_REPORT)),
            ("block beyond the packet", &[9, 0, 0, 2, 1, 2, 3, 4], Err(Malformed::ExtendedReport)),
            ("reference time of one word", &[4, 0, 0, 1, 1, 2, 3, 4], Err(Malformed::ExtendedReport)),
            ("answer of one word", &[5, 0, 0, 1, 1, 2, 3, 4], Err(Malformed::ExtendedReport)),
        ] {
            let words = u8::try_from(blocks.len() / 4 + 1).unwrap();
            let mut packet = std::vec![0x80, EXTENDED_REPORT, 0, words, 0, 0, 0, 1];
            packet.extend_from_slice(blocks);
            assert_eq!(kinds(&packet), [expected], "{name}");
        }
    }
}
