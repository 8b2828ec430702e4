//! What a peer sends us: replays refused, packets authenticated and decrypted in place.

use alloc::vec::Vec;

use units::rtp::Ssrc;
use units::sequence::{Seq, Seq16};

use crate::cipher::{Cipher, Unauthentic};
use crate::derive::Protocol;
use crate::keys::Keys;
use crate::protection::{Position, Protection};
use crate::replay::Window;

/// Sources of one peer that state is kept for; SRTP and SRTCP count apart.
pub const SOURCES_MAX: usize = 256;

/// Sources that ended whose highest index is remembered. One more is not forgotten.
pub const ENDED_MAX: usize = 4_096;

/// Opens all that one peer sends.
pub struct Inbound<C: Cipher> {
    rtp: Protection<C>,
    rtcp: Protection<C>,
    rtp_sources: Sources<RTP_WINDOW_WORDS>,
    rtcp_sources: Sources<RTCP_WINDOW_WORDS>,
}

/// An opened RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Bytes of header and payload.
    pub len: usize,
    /// The sequence number below its roll-over counter.
    pub sequence: Seq,
}

/// Why a packet was not opened. Its content is unspecified then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// Too short for what its profile adds.
    Short,
    /// Seen before, or too old to tell.
    Replay,
    /// Not made by the peer.
    Unauthentic,
    /// A new source beyond [`SOURCES_MAX`], none of which is idle.
    TooManySources,
}

impl From<Unauthentic> for OpenError {
    fn from(_: Unauthentic) -> Self {
        Self::Unauthentic
    }
}

impl<C: Cipher> Inbound<C> {
    #[must_use]
    pub fn new(keys: &Keys) -> Self {
        Self {
            rtp: Protection::new(keys.profile(), &keys.remote, Protocol::Rtp),
            rtcp: Protection::new(keys.profile(), &keys.remote, Protocol::Rtcp),
            rtp_sources: Sources::default(),
            rtcp_sources: Sources::default(),
        }
    }

    /// Authenticates and decrypts an RTP packet in place; `header_len` is what its parsed header says.
    pub fn open_rtp(&mut self, packet: &mut [u8], header_len: usize) -> Result<Opened, OpenError> {
        let (ssrc, wire) = rtp_source(packet).ok_or(OpenError::Short)?;
        let (sequence, slot) = self.rtp_place(ssrc, wire);
        self.rtp_sources.admit(slot, ssrc, sequence.0)?;
        let opened = self.open_rtp_at(ssrc, sequence, packet, header_len)?;
        self.rtp_sources.accept(slot, ssrc, sequence.0);
        Ok(opened)
    }

    /// Like [`Self::open_rtp`], for what [`Self::is_duplicate`]: nothing is learnt from it here.
    ///
    /// A sender may probe for bandwidth by repeating packets with new transport-wide numbers; those are authentic.
    pub fn open_duplicate_rtp(&self, packet: &mut [u8], header_len: usize) -> Result<Opened, OpenError> {
        let (ssrc, wire) = rtp_source(packet).ok_or(OpenError::Short)?;
        let (sequence, _) = self.rtp_place(ssrc, wire);
        self.open_rtp_at(ssrc, sequence, packet, header_len)
    }

    /// Authenticates and decrypts a compound RTCP packet in place and says how long it is.
    pub fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, OpenError> {
        let (index, encrypted) = self.rtcp.rtcp_index(packet).ok_or(OpenError::Short)?;
        let ssrc = Ssrc(word_at(packet, 4).ok_or(OpenError::Short)?);
        let slot = self.rtcp_sources.find(ssrc);
        self.rtcp_sources.admit(slot, ssrc, index)?;
        self.rtcp.open_rtcp(Position { ssrc: ssrc.0, index }, encrypted, packet)?;
        self.rtcp_sources.accept(slot, ssrc, index);
        Ok(packet.len() - self.rtcp.overhead_rtcp())
    }

    /// Makes room for other sources: this one ended. What it sent up to now stays refused, should it go on after all.
    pub fn forget(&mut self, ssrc: Ssrc) {
        self.rtp_sources.forget(ssrc);
        self.rtcp_sources.forget(ssrc);
    }

    /// Whether the packet was opened before, or is too old to tell; costs no cryptography.
    #[must_use]
    pub fn is_duplicate(&self, ssrc: Ssrc, wire: Seq16) -> bool {
        let (sequence, slot) = self.rtp_place(ssrc, wire);
        self.rtp_sources.is_replay(slot, ssrc, sequence.0)
    }

    /// Whether nothing was opened yet, so that no source has state.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rtp_sources.ssrcs.is_empty() && self.rtcp_sources.ssrcs.is_empty()
    }

    fn open_rtp_at(
        &self,
        ssrc: Ssrc,
        sequence: Seq,
        packet: &mut [u8],
        header_len: usize,
    ) -> Result<Opened, OpenError> {
        let len = packet.len().checked_sub(self.rtp.tag_len()).ok_or(OpenError::Short)?;
        if header_len > len {
            return Err(OpenError::Short);
        }
        let (header, data) = packet.split_at_mut(header_len);
        self.rtp.open_rtp(Position { ssrc: ssrc.0, index: sequence.0 }, header, data)?;
        Ok(Opened { len, sequence })
    }

    /// The likely extended sequence number, and where its source is or would be.
    ///
    /// RFC 3711 §3.3.1, but at a distance of exactly half a cycle: that is taken for a step ahead, as a step back would be
    /// refused anyway.
    fn rtp_place(&self, ssrc: Ssrc, wire: Seq16) -> (Seq, Result<usize, usize>) {
        let slot = self.rtp_sources.find(ssrc);
        let highest = self.rtp_sources.highest(slot, ssrc);
        let sequence = match highest {
            Some(highest) => Seq(highest).nearest(wire),
            None => Seq(wire.0.into()),
        };
        (sequence, slot)
    }
}

impl<C: Cipher> core::fmt::Debug for Inbound<C> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Inbound").finish_non_exhaustive()
    }
}

/// Replay windows by source, in ascending order: a peer has few, and looks them up for each packet.
#[derive(Clone, Debug, Default)]
struct Sources<const WORDS: usize> {
    ssrcs: Vec<u32>,
    windows: Vec<Window<WORDS>>,
    /// What `accepted` was at each source's last packet.
    used: Vec<u64>,
    /// Packets of all sources.
    accepted: u64,
    /// Sources that ended and the highest index of each, in ascending order: up to that all counts as seen.
    ended: Vec<(u32, u64)>,
}

impl<const WORDS: usize> Sources<WORDS> {
    fn find(&self, ssrc: Ssrc) -> Result<usize, usize> {
        self.ssrcs.binary_search(&ssrc.0)
    }

    /// `slot` is from [`Self::find`], here and below.
    fn highest(&self, slot: Result<usize, usize>, ssrc: Ssrc) -> Option<u64> {
        match slot {
            Ok(slot) => Some(self.windows[slot].highest()),
            Err(_) => self.find_ended(ssrc).ok().map(|at| self.ended[at].1),
        }
    }

    fn is_replay(&self, slot: Result<usize, usize>, ssrc: Ssrc, index: u64) -> bool {
        match slot {
            Ok(slot) => self.windows[slot].is_replay(index),
            Err(_) => self.highest(slot, ssrc).is_some_and(|highest| index <= highest),
        }
    }

    /// Why a packet need not be opened.
    fn admit(&self, slot: Result<usize, usize>, ssrc: Ssrc, index: u64) -> Result<(), OpenError> {
        if self.is_replay(slot, ssrc, index) {
            return Err(OpenError::Replay);
        }
        if slot.is_err() && self.is_full() && self.idle().is_none() {
            return Err(OpenError::TooManySources);
        }
        Ok(())
    }

    /// Learns from an authentic packet that was admitted.
    fn accept(&mut self, slot: Result<usize, usize>, ssrc: Ssrc, index: u64) {
        self.accepted += 1;
        if let Ok(slot) = slot {
            self.used[slot] = self.accepted;
            return self.windows[slot].accept(index);
        }
        if self.is_full()
            && let Some(idle) = self.idle()
        {
            self.forget(Ssrc(self.ssrcs[idle]));
        }
        let window = match self.find_ended(ssrc) {
            Ok(at) => {
                let mut window = Window::after(self.ended.remove(at).1);
                window.accept(index);
                window
            }
            Err(_) => Window::starting_with(index),
        };
        let slot = self.ssrcs.partition_point(|other| *other < ssrc.0);
        self.ssrcs.insert(slot, ssrc.0);
        self.windows.insert(slot, window);
        self.used.insert(slot, self.accepted);
    }

    fn forget(&mut self, ssrc: Ssrc) {
        let (Ok(slot), Err(at)) = (self.find(ssrc), self.find_ended(ssrc)) else { return };
        if self.ended.len() < ENDED_MAX {
            self.ssrcs.remove(slot);
            self.used.remove(slot);
            self.ended.insert(at, (ssrc.0, self.windows.remove(slot).highest()));
        }
    }

    const fn is_full(&self) -> bool {
        self.ssrcs.len() >= SOURCES_MAX
    }

    /// The source that was quiet for longest, if it may be forgotten for another one: it sent on after it had been
    /// forgotten, or ended without anybody's notice.
    fn idle(&self) -> Option<usize> {
        let (slot, used) = (0..).zip(&self.used).min_by_key(|(_, used)| **used)?;
        (self.ended.len() < ENDED_MAX && self.accepted - used > IDLE_AFTER).then_some(slot)
    }

    fn find_ended(&self, ssrc: Ssrc) -> Result<usize, usize> {
        self.ended.binary_search_by_key(&ssrc.0, |(ssrc, _)| *ssrc)
    }
}

fn rtp_source(packet: &[u8]) -> Option<(Ssrc, Seq16)> {
    let ssrc = Ssrc(word_at(packet, 8)?);
    let wire = Seq16(u16::from_be_bytes(*packet.get(2..)?.first_chunk()?));
    Some((ssrc, wire))
}

fn word_at(packet: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*packet.get(at..)?.first_chunk()?))
}

/// Packets of other sources after which a source counts as ended, if there is no room for a new one.
const IDLE_AFTER: u64 = 1_024;
const RTP_WINDOW_WORDS: usize = 1024 / 64 + 1; // RFC 3711 §3.3.2 asks for 64 packets at least
const RTCP_WINDOW_WORDS: usize = 128 / 64 + 1;

#[cfg(test)]
mod tests;
