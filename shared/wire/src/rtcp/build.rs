//! Compound packets written into a borrowed buffer, one member behind the other.

use core::iter::Peekable;

use units::rate::Bitrate;
use units::rtp::Ssrc;
use units::sequence::Seq16;
use units::time::{Instant, NtpTime};

use crate::cursor::{NoRoom, Writer};
use crate::rtcp::description::CNAME;
use crate::rtcp::extended::{LAST_RECEIVER_REPORTS, LastReceiverReport, REFERENCE_TIME};
use crate::rtcp::feedback::{FullIntraEntry, PictureLossIndication};
use crate::rtcp::report::{ReportBlock, SenderInfo};
use crate::rtcp::{
    EXTENDED_REPORT, FORMAT_APPLICATION, FORMAT_FIR, FORMAT_NACK, FORMAT_PLI, FORMAT_TRANSPORT_CC, GOODBYE,
    PAYLOAD_FEEDBACK, RECEIVER_REPORT, SENDER_REPORT, SOURCE_DESCRIPTION, TRANSPORT_FEEDBACK, remb,
    transport,
};

/// Why a member was not written; what was written before stays as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    NoRoom,
    /// More entries, or a longer text, than the member can count.
    TooMany,
}

impl From<NoRoom> for Refused {
    fn from(_: NoRoom) -> Self {
        Self::NoRoom
    }
}

/// Who gives transport feedback, on whose packets, from which packet on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedbackHead {
    pub sender: Ssrc,
    /// Any SSRC of the transport's media.
    pub media: Ssrc,
    pub base: Seq16,
    /// One more with each feedback; wraps.
    pub feedback_count: u8,
}

/// Appends members to a compound packet.
#[derive(Debug)]
pub struct Builder<'a> {
    writer: Writer<'a>,
}

impl<'a> Builder<'a> {
    #[must_use]
    pub const fn new(out: &'a mut [u8]) -> Self {
        Self { writer: Writer::new(out) }
    }

    /// With at most 31 blocks.
    pub fn sender_report(&mut self, info: &SenderInfo, blocks: &[ReportBlock]) -> Result<(), Refused> {
        self.member(SENDER_REPORT, count(blocks)?, |writer| {
            info.write(writer)?;
            blocks.iter().try_for_each(|block| block.write(writer))
        })
    }

    /// With at most 31 blocks.
    pub fn receiver_report(&mut self, ssrc: Ssrc, blocks: &[ReportBlock]) -> Result<(), Refused> {
        self.member(RECEIVER_REPORT, count(blocks)?, |writer| {
            writer.u32(ssrc.0)?;
            blocks.iter().try_for_each(|block| block.write(writer))
        })
    }

    /// A source description with one source and its CNAME of at most 255 bytes.
    pub fn source_description(&mut self, ssrc: Ssrc, cname: &[u8]) -> Result<(), Refused> {
        let len = u8::try_from(cname.len()).map_err(|_| Refused::TooMany)?;
        self.member(SOURCE_DESCRIPTION, 1, |writer| {
            writer.u32(ssrc.0)?;
            writer.u8(CNAME)?;
            writer.u8(len)?;
            writer.bytes(cname)?;
            writer.u8(0)?; // RFC 3550 §6.5: at least one byte ends the list; the word is filled with more.
            while writer.len() & 3 != 0 {
                writer.u8(0)?;
            }
            Ok(())
        })
    }

    /// Of at most 31 sources.
    pub fn goodbye(&mut self, ssrcs: &[Ssrc]) -> Result<(), Refused> {
        self.member(GOODBYE, count(ssrcs)?, |writer| ssrcs.iter().try_for_each(|ssrc| writer.u32(ssrc.0)))
    }

    /// Of missing packets in ascending order (modulo 2^16); says how many found room, from the first on.
    pub fn nack(
        &mut self,
        sender: Ssrc,
        media: Ssrc,
        missing: impl IntoIterator<Item = Seq16>,
    ) -> Result<usize, Refused> {
        let mut missing = missing.into_iter().peekable();
        let mut told = 0_usize;
        self.member(TRANSPORT_FEEDBACK, FORMAT_NACK, |writer| {
            writer.u32(sender.0)?;
            writer.u32(media.0)?;
            // A NACK without pairs is malformed: the first must fit.
            while let (true, Some(first)) = (told == 0 || writer.room() >= 4, missing.next()) {
                let (mask, count) = mask_after(first, &mut missing);
                writer.u16(first.0)?;
                writer.u16(mask)?;
                told = told.saturating_add(count).saturating_add(1);
            }
            if told == 0 { Err(NoRoom) } else { Ok(()) }
        })?;
        Ok(told)
    }

    pub fn picture_loss_indication(&mut self, indication: PictureLossIndication) -> Result<(), Refused> {
        self.member(PAYLOAD_FEEDBACK, FORMAT_PLI, |writer| {
            writer.u32(indication.sender.0)?;
            writer.u32(indication.media.0)
        })
    }

    pub fn full_intra_request(&mut self, sender: Ssrc, entries: &[FullIntraEntry]) -> Result<(), Refused> {
        self.member(PAYLOAD_FEEDBACK, FORMAT_FIR, |writer| {
            writer.u32(sender.0)?;
            writer.u32(0)?; // RFC 5104 §4.3.1.2: not used.
            entries.iter().try_for_each(|entry| {
                writer.u32(entry.ssrc.0)?;
                writer.u32(u32::from(entry.command) << 24)
            })
        })
    }

    /// The bit rate is rounded down to 18 significant bits; at most 255 sources.
    pub fn remb(&mut self, sender: Ssrc, bitrate: Bitrate, ssrcs: &[Ssrc]) -> Result<(), Refused> {
        let count = u8::try_from(ssrcs.len()).map_err(|_| Refused::TooMany)?;
        self.member(PAYLOAD_FEEDBACK, FORMAT_APPLICATION, |writer| {
            writer.u32(sender.0)?;
            writer.u32(0)?;
            writer.bytes(&remb::NAME)?;
            writer.u32(u32::from(count) << 24 | remb::encode(bitrate))?;
            ssrcs.iter().try_for_each(|ssrc| writer.u32(ssrc.0))
        })
    }

    /// Tells of the packets from `head.base` on, each with its arrival if it came; says of how many, from the first on.
    ///
    /// Not of all of them if they find no room, or lie more than 8 s apart. If none came, nothing is written: zero.
    pub fn transport_feedback(
        &mut self,
        head: &FeedbackHead,
        arrivals: impl Iterator<Item = Option<Instant>> + Clone,
    ) -> Result<u16, Refused> {
        let start = self.writer.len();
        let mut covered = 0;
        self.member(TRANSPORT_FEEDBACK, FORMAT_TRANSPORT_CC, |writer| {
            writer.u32(head.sender.0)?;
            writer.u32(head.media.0)?;
            writer.u16(head.base.0)?;
            covered = transport::write::write(writer, head.feedback_count, arrivals)?;
            pad(writer, start)
        })?;
        if covered == 0 {
            self.writer.truncate(start);
        }
        Ok(covered)
    }

    /// Answers to receivers' reference times: an extended report with one DLRR block.
    pub fn last_receiver_reports(
        &mut self,
        ssrc: Ssrc,
        entries: &[LastReceiverReport],
    ) -> Result<(), Refused> {
        let words = u16::try_from(entries.len()).ok().and_then(|count| count.checked_mul(3));
        let words = words.ok_or(Refused::TooMany)?;
        self.member(EXTENDED_REPORT, 0, |writer| {
            writer.u32(ssrc.0)?;
            writer.u16(u16::from_be_bytes([LAST_RECEIVER_REPORTS, 0]))?;
            writer.u16(words)?;
            entries.iter().try_for_each(|entry| entry.write(writer))
        })
    }

    /// A receiver's clock: an extended report with one RRTR block.
    pub fn receiver_reference_time(&mut self, ssrc: Ssrc, now: NtpTime) -> Result<(), Refused> {
        self.member(EXTENDED_REPORT, 0, |writer| {
            writer.u32(ssrc.0)?;
            writer.u16(u16::from_be_bytes([REFERENCE_TIME, 0]))?;
            writer.u16(2)?;
            writer.u64(now.0)
        })
    }

    /// Bytes written so far.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.writer.len()
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.writer.len() == 0
    }

    /// Bytes that may still be written.
    #[must_use]
    pub const fn room(&self) -> usize {
        self.writer.room()
    }

    fn member(
        &mut self,
        packet_type: u8,
        count: u8,
        body: impl FnOnce(&mut Writer<'a>) -> Result<(), NoRoom>,
    ) -> Result<(), Refused> {
        let start = self.writer.len();
        let written = self.whole_member(packet_type, count, body);
        if written.is_err() {
            self.writer.truncate(start);
        }
        written
    }

    fn whole_member(
        &mut self,
        packet_type: u8,
        count: u8,
        body: impl FnOnce(&mut Writer<'a>) -> Result<(), NoRoom>,
    ) -> Result<(), Refused> {
        let start = self.writer.len();
        self.writer.u8(VERSION | count)?;
        self.writer.u8(packet_type)?;
        self.writer.u16(0)?;
        body(&mut self.writer)?;
        let len = self.writer.len().saturating_sub(start);
        debug_assert!(len.is_multiple_of(4), "every member fills whole words");
        let words = u16::try_from((len >> 2).saturating_sub(1)).map_err(|_| Refused::TooMany)?;
        self.writer.patch_u16(start.saturating_add(2), words)?;
        Ok(())
    }
}

/// The mask for the packets up to 16 after `first`, and how many of them it names.
fn mask_after(first: Seq16, missing: &mut Peekable<impl Iterator<Item = Seq16>>) -> (u16, usize) {
    let mut mask = 0_u16;
    let mut count = 0_usize;
    let distance = |next: &Seq16| next.0.wrapping_sub(first.0);
    while let Some(next) = missing.next_if(|next| distance(next) <= 16) {
        // A repeated sequence number needs no bit of its own.
        if let Some(bit) = u32::from(distance(&next)).checked_sub(1) {
            mask |= 1_u16.checked_shl(bit).unwrap_or(0);
        }
        count = count.saturating_add(1);
    }
    (mask, count)
}

/// Fills up the last word and says so in the header, as libwebrtc does (RFC 3550 §6.4.1).
fn pad(writer: &mut Writer<'_>, start: usize) -> Result<(), NoRoom> {
    let padding: &[u8] = match writer.len() & 3 {
        1 => &[0, 0, 3],
        2 => &[0, 2],
        3 => &[1],
        _ => return Ok(()),
    };
    writer.bytes(padding)?;
    writer.patch_u8(start, VERSION | PADDING | FORMAT_TRANSPORT_CC)
}

fn count<Entry>(entries: &[Entry]) -> Result<u8, Refused> {
    u8::try_from(entries.len()).ok().filter(|count| *count <= 31).ok_or(Refused::TooMany)
}

const VERSION: u8 = 0x80;
const PADDING: u8 = 0x20;

#[cfg(test)]
mod tests;
