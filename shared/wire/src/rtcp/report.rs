//! Sender and receiver reports (RFC 3550 §6.4).

use units::rtp::Ssrc;
use units::time::NtpTime;

use crate::cursor::{NoRoom, Reader, Writer};

/// What a sender says of its clock and of what it sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderInfo {
    pub ssrc: Ssrc,
    /// The wall-clock time of `rtp_timestamp`.
    pub ntp: NtpTime,
    pub rtp_timestamp: u32,
    pub packet_count: u32,
    /// Of payloads, without headers and padding.
    pub octet_count: u32,
}

/// What a receiver says of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportBlock {
    pub ssrc: Ssrc,
    /// Packets lost since the report before, in 1/256.
    pub fraction_lost: u8,
    /// Packets expected less packets received; duplicates can make it negative. 24 bits.
    pub cumulative_lost: i32,
    /// The cycle count in the upper half, the highest sequence number in the lower.
    pub highest_sequence: u32,
    /// In units of the RTP timestamp.
    pub jitter: u32,
    /// [`NtpTime::middle`] of the last sender report, or zero.
    pub last_sender_report: u32,
    /// Since that report came, in 1/65536 s.
    pub delay_since_last_sender_report: u32,
}

/// A sender report.
#[derive(Clone, Copy, Debug)]
pub struct SenderReport<'a> {
    pub info: SenderInfo,
    blocks: &'a [u8],
}

/// A receiver report.
#[derive(Clone, Copy, Debug)]
pub struct ReceiverReport<'a> {
    /// Who reports.
    pub ssrc: Ssrc,
    blocks: &'a [u8],
}

impl<'a> SenderReport<'a> {
    pub(crate) fn parse(count: u8, body: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let info = SenderInfo {
            ssrc: Ssrc(reader.u32()?),
            ntp: NtpTime(reader.u64()?),
            rtp_timestamp: reader.u32()?,
            packet_count: reader.u32()?,
            octet_count: reader.u32()?,
        };
        Some(Self { info, blocks: block_bytes(count, reader)? })
    }

    pub fn blocks(&self) -> impl Iterator<Item = ReportBlock> + 'a {
        blocks(self.blocks)
    }
}

impl<'a> ReceiverReport<'a> {
    pub(crate) fn parse(count: u8, body: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        Some(Self { ssrc: Ssrc(reader.u32()?), blocks: block_bytes(count, reader)? })
    }

    pub fn blocks(&self) -> impl Iterator<Item = ReportBlock> + 'a {
        blocks(self.blocks)
    }
}

impl SenderInfo {
    pub(crate) fn write(&self, writer: &mut Writer<'_>) -> Result<(), NoRoom> {
        writer.u32(self.ssrc.0)?;
        writer.u64(self.ntp.0)?;
        writer.u32(self.rtp_timestamp)?;
        writer.u32(self.packet_count)?;
        writer.u32(self.octet_count)
    }
}

impl ReportBlock {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let ssrc = Ssrc(reader.u32()?);
        let lost = reader.u32()?;
        Some(Self {
            ssrc,
            fraction_lost: lost.to_be_bytes()[0],
            // The shift to the left drops the fraction, the one to the right extends the sign.
            cumulative_lost: (lost << 8).cast_signed() >> 8,
            highest_sequence: reader.u32()?,
            jitter: reader.u32()?,
            last_sender_report: reader.u32()?,
            delay_since_last_sender_report: reader.u32()?,
        })
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) -> Result<(), NoRoom> {
        writer.u32(self.ssrc.0)?;
        writer.u8(self.fraction_lost)?;
        writer.u24(self.cumulative_lost.clamp(LOST_MIN, LOST_MAX).cast_unsigned())?;
        writer.u32(self.highest_sequence)?;
        writer.u32(self.jitter)?;
        writer.u32(self.last_sender_report)?;
        writer.u32(self.delay_since_last_sender_report)
    }
}

fn block_bytes<'a>(count: u8, mut reader: Reader<'a>) -> Option<&'a [u8]> {
    // What follows the blocks is a profile's extension: ignored.
    reader.bytes(usize::from(count).checked_mul(BLOCK_LEN)?)
}

fn blocks(bytes: &[u8]) -> impl Iterator<Item = ReportBlock> + '_ {
    bytes.chunks_exact(BLOCK_LEN).filter_map(|block| ReportBlock::read(&mut Reader::new(block)))
}

const BLOCK_LEN: usize = 24;
const LOST_MAX: i32 = 0x7f_ffff;
const LOST_MIN: i32 = -0x80_0000;
