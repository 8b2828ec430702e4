//! Extended reports by which a receiver that sends nothing learns the round-trip time (RFC 3611 §4.4, §4.5).

use units::rtp::Ssrc;
use units::time::NtpTime;

use crate::cursor::{NoRoom, Reader, Writer};

/// An extended report.
#[derive(Clone, Copy, Debug)]
pub struct ExtendedReport<'a> {
    /// Who reports.
    pub ssrc: Ssrc,
    blocks: &'a [u8],
}

/// One block of an extended report.
#[derive(Clone, Copy, Debug)]
pub enum Block<'a> {
    /// The reporter's clock at sending (RRTR).
    ReceiverReferenceTime(NtpTime),
    /// Answers to such clocks (DLRR).
    LastReceiverReports(LastReceiverReports<'a>),
    Unknown {
        kind: u8,
    },
}

/// The sub-blocks of a DLRR block.
#[derive(Clone, Copy, Debug)]
pub struct LastReceiverReports<'a>(&'a [u8]);

/// When a receiver's reference time came, and how long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastReceiverReport {
    /// The receiver that is answered.
    pub ssrc: Ssrc,
    /// [`NtpTime::middle`] of its reference time.
    pub last_receiver_report: u32,
    /// Since that came, in 1/65536 s.
    pub delay: u32,
}

impl<'a> ExtendedReport<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let ssrc = Ssrc(reader.u32()?);
        let blocks = reader.rest();
        while !reader.is_empty() {
            block(&mut reader)?;
        }
        Some(Self { ssrc, blocks })
    }

    pub fn blocks(&self) -> impl Iterator<Item = Block<'a>> + 'a {
        let mut reader = Reader::new(self.blocks);
        core::iter::from_fn(move || block(&mut reader))
    }
}

impl<'a> LastReceiverReports<'a> {
    pub fn entries(&self) -> impl Iterator<Item = LastReceiverReport> + 'a {
        self.0.chunks_exact(LAST_RECEIVER_REPORT_LEN).filter_map(|entry| {
            let mut reader = Reader::new(entry);
            Some(LastReceiverReport {
                ssrc: Ssrc(reader.u32()?),
                last_receiver_report: reader.u32()?,
                delay: reader.u32()?,
            })
        })
    }
}

impl LastReceiverReport {
    pub(crate) fn write(&self, writer: &mut Writer<'_>) -> Result<(), NoRoom> {
        writer.u32(self.ssrc.0)?;
        writer.u32(self.last_receiver_report)?;
        writer.u32(self.delay)
    }
}

// |     BT=4      |   reserved    |  block length in words        |
fn block<'a>(reader: &mut Reader<'a>) -> Option<Block<'a>> {
    let [kind, _reserved] = *reader.array()?;
    let words = reader.u16()?;
    let body = reader.bytes(usize::from(words) << 2)?;
    Some(match kind {
        REFERENCE_TIME => Block::ReceiverReferenceTime(NtpTime(Reader::new(body).u64()?)),
        LAST_RECEIVER_REPORTS if body.len().is_multiple_of(LAST_RECEIVER_REPORT_LEN) => {
            Block::LastReceiverReports(LastReceiverReports(body))
        }
        LAST_RECEIVER_REPORTS => return None,
        _ => Block::Unknown { kind },
    })
}

pub(crate) const REFERENCE_TIME: u8 = 4;
pub(crate) const LAST_RECEIVER_REPORTS: u8 = 5;
const LAST_RECEIVER_REPORT_LEN: usize = 12;
