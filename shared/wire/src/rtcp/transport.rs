//! Which packets of a transport arrived, and when (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1).

pub(crate) mod write;

use units::rtp::Ssrc;
use units::sequence::Seq16;

use crate::cursor::Reader;

/// The most packets that one feedback may tell of; more is malformed, for the work that it would be.
pub const STATUS_COUNT_MAX: u16 = 8_191; // one full run: 0.8 s at 100 Mbit/s

/// Transport-wide congestion control feedback.
#[derive(Clone, Copy, Debug)]
pub struct TransportFeedback<'a> {
    pub sender: Ssrc,
    pub media: Ssrc,
    /// The number of the first packet that is told of.
    pub base: Seq16,
    /// How many packets are told of.
    pub status_count: u16,
    /// By which lost and reordered feedback is told; wraps.
    pub feedback_count: u8,
    /// In units of 64 ms, 24 bits and signed.
    reference_time: i32,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

/// What became of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketStatus {
    pub sequence: Seq16,
    /// By the receiver's clock, whose origin is arbitrary and which wraps every 12.4 days; `None`: not received.
    pub arrival_us: Option<i64>,
}

impl<'a> TransportFeedback<'a> {
    // |      base sequence number     |      packet status count      |
    // |                 reference time                | fb pkt. count |
    // |          packet chunk         |         packet chunk          |
    // |         packet chunk          |  recv delta   |  recv delta   |
    pub(crate) fn parse(body: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let (sender, media) = (Ssrc(reader.u32()?), Ssrc(reader.u32()?));
        let base = Seq16(reader.u16()?);
        let status_count = reader.u16()?;
        if status_count > STATUS_COUNT_MAX {
            return None;
        }
        // The shift to the left drops the count, the one to the right extends the sign.
        let reference = reader.u32()?;
        let reference_time = reference.cast_signed() >> 8;
        let feedback_count = reference.to_be_bytes()[3];
        let (chunks, deltas) = split_chunks(status_count, reader.rest())?;
        Some(Self { sender, media, base, status_count, feedback_count, reference_time, chunks, deltas })
    }

    /// What became of each packet, from `base` on.
    pub fn statuses(&self) -> impl Iterator<Item = PacketStatus> + 'a {
        let mut clock_us = i64::from(self.reference_time).saturating_mul(REFERENCE_US);
        let mut deltas = Reader::new(self.deltas);
        let mut sequence = self.base.0;
        symbols(self.chunks).take(usize::from(self.status_count)).map(move |symbol| {
            let delta = match symbol {
                Symbol::NotReceived | Symbol::Reserved => None,
                Symbol::SmallDelta => deltas.u8().map(i64::from),
                Symbol::LargeDelta => deltas.u16().map(|delta| i64::from(delta.cast_signed())),
            };
            let arrival_us = delta.map(|delta| {
                clock_us = clock_us.saturating_add(delta.saturating_mul(DELTA_US));
                clock_us
            });
            let status = PacketStatus { sequence: Seq16(sequence), arrival_us };
            sequence = sequence.wrapping_add(1);
            status
        })
    }
}

/// Divides what follows the header into chunks and deltas; `None` unless there are enough of both.
fn split_chunks(status_count: u16, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut left = usize::from(status_count);
    let mut deltas_len = 0_usize;
    let mut reader = Reader::new(bytes);
    while left > 0 {
        let chunk = Chunk::read(reader.u16()?);
        let count = chunk.len().min(left);
        deltas_len = deltas_len.checked_add(chunk.deltas_len(count)?)?;
        left = left.checked_sub(count).filter(|_| count > 0)?;
    }
    let chunks = bytes.get(..bytes.len().checked_sub(reader.rest().len())?)?;
    Some((chunks, reader.bytes(deltas_len)?))
}

fn symbols(chunks: &[u8]) -> impl Iterator<Item = Symbol> + '_ {
    chunks.as_chunks().0.iter().map(|chunk| Chunk::read(u16::from_be_bytes(*chunk))).flat_map(Chunk::symbols)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Symbol {
    NotReceived,
    SmallDelta,
    LargeDelta,
    Reserved,
}

impl Symbol {
    const fn of(bits: u16) -> Self {
        match bits & 3 {
            0 => Self::NotReceived,
            1 => Self::SmallDelta,
            2 => Self::LargeDelta,
            _ => Self::Reserved,
        }
    }

    const fn bits(self) -> u16 {
        match self {
            Self::NotReceived => 0,
            Self::SmallDelta => 1,
            Self::LargeDelta => 2,
            Self::Reserved => 3,
        }
    }

    const fn delta_len(self) -> Option<usize> {
        match self {
            Self::NotReceived => Some(0),
            Self::SmallDelta => Some(1),
            Self::LargeDelta => Some(2),
            Self::Reserved => None,
        }
    }
}

/// Sixteen bits that tell of some packets.
#[derive(Clone, Copy, Debug)]
enum Chunk {
    /// |0| S |     run length (13)     |
    Run { symbol: Symbol, len: u16 },
    /// |1|0|  14 symbols of one bit    |
    OneBit(u16),
    /// |1|1|  7 symbols of two bits    |
    TwoBit(u16),
}

impl Chunk {
    const fn read(bits: u16) -> Self {
        match bits >> 14 {
            0b10 => Self::OneBit(bits & 0x3fff),
            0b11 => Self::TwoBit(bits & 0x3fff),
            _ => Self::Run { symbol: Symbol::of(bits >> 13), len: bits & RUN_LEN_MAX },
        }
    }

    const fn len(self) -> usize {
        match self {
            Self::Run { len, .. } => len as usize,
            Self::OneBit(_) => 14,
            Self::TwoBit(_) => 7,
        }
    }

    fn symbol(self, index: u16) -> Symbol {
        match self {
            Self::Run { symbol, .. } => symbol,
            // The first symbol is in the highest of 14 bits.
            Self::OneBit(bits) => {
                Symbol::of(bits.checked_shr(13_u32.saturating_sub(index.into())).unwrap_or(0) & 1)
            }
            Self::TwoBit(bits) => {
                Symbol::of(bits.checked_shr(12_u32.saturating_sub(u32::from(index) << 1)).unwrap_or(0))
            }
        }
    }

    fn symbols(self) -> impl Iterator<Item = Symbol> {
        #[expect(clippy::cast_possible_truncation, reason = "a run is 13 bits long")]
        (0..self.len() as u16).map(move |index| self.symbol(index))
    }

    /// Bytes of the deltas of the first `count` packets; `None` if one has a reserved symbol.
    fn deltas_len(self, count: usize) -> Option<usize> {
        match self {
            Self::Run { symbol, .. } => symbol.delta_len()?.checked_mul(count),
            _ => self
                .symbols()
                .take(count)
                .try_fold(0_usize, |len, symbol| len.checked_add(symbol.delta_len()?)),
        }
    }
}

const RUN_LEN_MAX: u16 = 0x1fff;
const DELTA_US: i64 = 250;
const REFERENCE_US: i64 = 64_000;
