//! Transport feedback written from arrival times: chunks as short as runs and vectors allow, then deltas.

use units::time::Instant;

use crate::cursor::{NoRoom, Writer};
use crate::rtcp::transport::{Chunk, RUN_LEN_MAX, STATUS_COUNT_MAX, Symbol};

/// Writes what follows the base sequence number, for as many of `arrivals` as fit; says for how many.
///
/// Zero, and nothing is written, if none of them arrived or not one chunk fits.
pub(crate) fn write(
    writer: &mut Writer<'_>,
    feedback_count: u8,
    arrivals: impl Iterator<Item = Option<Instant>> + Clone,
) -> Result<u16, NoRoom> {
    let Some(first) = arrivals.clone().find_map(|arrival| arrival) else { return Ok(0) };
    let reference = ticks(first) >> REFERENCE_BITS;
    let all = Steps { arrivals: arrivals.take(STATUS_COUNT_MAX.into()), last: reference << REFERENCE_BITS };
    let count_at = writer.len();
    writer.u16(0)?;
    #[expect(clippy::cast_possible_truncation, reason = "24 bits that wrap")]
    writer.u24(reference as u32)?;
    writer.u8(feedback_count)?;

    let mut steps = all.clone();
    let mut deltas_len = 0_usize;
    let mut covered = 0_usize;
    while let Some((chunk, count)) = next_chunk(&steps, writer.room().saturating_sub(deltas_len)) {
        writer.u16(chunk.bits())?;
        deltas_len = deltas_len.saturating_add(chunk.deltas_len(count).unwrap_or(0));
        covered = covered.saturating_add(count);
        steps.nth(count.saturating_sub(1));
    }
    for step in all.take(covered) {
        match step.symbol {
            Symbol::SmallDelta => writer.u8(step.delta.to_be_bytes()[1])?,
            Symbol::LargeDelta => writer.u16(step.delta.cast_unsigned())?,
            Symbol::NotReceived | Symbol::Reserved => {}
        }
    }
    #[expect(clippy::cast_possible_truncation, reason = "at most STATUS_COUNT_MAX")]
    let covered = covered as u16;
    writer.patch_u16(count_at, covered)?;
    Ok(covered)
}

/// The chunk for the next packets and how many it tells of; `None` at the end or if it and its deltas don't fit.
fn next_chunk(steps: &(impl Iterator<Item = Step> + Clone), room: usize) -> Option<(Chunk, usize)> {
    let room = room.checked_sub(CHUNK_LEN)?.checked_sub(PADDING_LEN_MAX)?;
    let symbol = steps.clone().next()?.symbol;
    let delta_len = symbol.delta_len().unwrap_or(0);
    let run_max = room.checked_div(delta_len).unwrap_or(usize::MAX).min(RUN_LEN_MAX.into());
    let run = steps.clone().take(run_max).take_while(|step| step.symbol == symbol).count();
    let mut ahead = steps.clone().map(|step| step.symbol);
    // A run may be cut to the room that is left; a vector is written whole or not at all.
    let one_bit = !ahead.clone().take(14).any(|symbol| symbol == Symbol::LargeDelta);
    let vector_len = if one_bit { 14 } else { 7 };
    let ahead_len = ahead.clone().take(vector_len).count();
    if run >= ahead_len || run == run_max {
        #[expect(clippy::cast_possible_truncation, reason = "at most RUN_LEN_MAX")]
        return (run > 0).then_some((Chunk::Run { symbol, len: run as u16 }, run));
    }
    let width = if one_bit { 1 } else { 2 };
    let bits = (0..vector_len).fold(0_u16, |bits, _| bits << width | ahead.next().map_or(0, Symbol::bits));
    let chunk = if one_bit { Chunk::OneBit(bits) } else { Chunk::TwoBit(bits) };
    (chunk.deltas_len(ahead_len)? <= room).then_some((chunk, ahead_len))
}

/// How one packet is told: its symbol and the time since the one before.
#[derive(Clone, Copy, Debug)]
struct Step {
    symbol: Symbol,
    delta: i16,
}

/// Ends where a delta would not fit 16 bits: what follows has to wait for the next feedback.
#[derive(Clone, Debug)]
struct Steps<Arrivals> {
    arrivals: Arrivals,
    last: u64,
}

impl<Arrivals: Iterator<Item = Option<Instant>>> Iterator for Steps<Arrivals> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let Some(arrival) = self.arrivals.next()? else {
            return Some(Step { symbol: Symbol::NotReceived, delta: 0 });
        };
        // From rounded time to rounded time, so that rounding does not add up.
        let now = ticks(arrival);
        let delta = i16::try_from(now.cast_signed().checked_sub(self.last.cast_signed())?).ok()?;
        self.last = now;
        let symbol = if (0..=0xff).contains(&delta) { Symbol::SmallDelta } else { Symbol::LargeDelta };
        Some(Step { symbol, delta })
    }
}

impl Chunk {
    const fn bits(self) -> u16 {
        match self {
            Self::Run { symbol, len } => symbol.bits() << 13 | len & RUN_LEN_MAX,
            Self::OneBit(bits) => 0b10 << 14 | bits,
            Self::TwoBit(bits) => 0b11 << 14 | bits,
        }
    }
}

/// In units of 250 us.
const fn ticks(time: Instant) -> u64 {
    time.as_micros() / 250
}

const REFERENCE_BITS: u32 = 8; // 64 ms are 256 ticks
const CHUNK_LEN: usize = 2;
const PADDING_LEN_MAX: usize = 3;
