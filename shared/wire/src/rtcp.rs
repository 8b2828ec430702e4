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
