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

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;
    use units::rtp::Ssrc;
    use units::sequence::Seq16;

    use super::*;
    use crate::rtcp::build::{Builder, FeedbackHead};
    use crate::rtcp::{Compound, Packet};

    const HEAD: FeedbackHead =
        FeedbackHead { sender: Ssrc(1), media: Ssrc(2), base: Seq16(65_530), feedback_count: 3 };

    /// Writes into `room` bytes; says of how many packets, and what is read of them.
    fn round_trip(arrivals: &[Option<u64>], room: usize) -> (u16, Vec<Option<i64>>) {
        let mut out = std::vec![0xff; room];
        let mut builder = Builder::new(&mut out);
        let arrivals = arrivals.iter().map(|arrival| arrival.map(|us| Instant(us * 1_000)));
        let covered = builder.transport_feedback(&HEAD, arrivals).unwrap();
        let len = builder.len();
        if covered == 0 {
            assert_eq!(len, 0);
            return (0, Vec::new());
        }
        let mut members = Compound::new(&out[..len]);
        let Some(Ok(Packet::TransportFeedback(feedback))) = members.next() else { panic!("a feedback") };
        assert!(members.next().is_none());
        assert_eq!((feedback.sender, feedback.media), (HEAD.sender, HEAD.media));
        assert_eq!((feedback.base, feedback.feedback_count), (HEAD.base, HEAD.feedback_count));
        assert_eq!(feedback.status_count, covered);
        let sequences = feedback.statuses().map(|status| status.sequence.0.wrapping_sub(HEAD.base.0));
        assert!(sequences.eq(0..covered));
        (covered, feedback.statuses().map(|status| status.arrival_us).collect())
    }

    #[test]
    fn chunks_are_as_short_as_runs_and_vectors_allow() {
        let every = |gap_us: u64, count: usize| (0..count as u64).map(move |index| Some(index * gap_us));
        let some = |pattern: &[u8]| {
            pattern.iter().enumerate().map(|(index, bit)| (*bit == 1).then_some(index as u64 * 250)).collect()
        };
        for (name, arrivals, chunks_and_deltas) in [
            ("one", every(0, 1).collect::<Vec<_>>(), 2 + 1),
            ("a long run", every(1_000, 1_000).collect(), 2 + 1_000),
            ("a short rest", every(1_000, 5).collect(), 2 + 5),
            ("a mix of lost and received", some(&[1, 0, 1, 1, 0, 0, 1, 1, 0, 1, 0, 1, 0, 1]), 2 + 8),
            ("large deltas", every(100_000, 7).collect(), 2 + 14),
            (
                "a large delta among small ones",
                {
                    let mut mixed: Vec<_> = every(1_000, 4).collect();
                    mixed.push(Some(500_000));
                    mixed
                },
                2 + 6,
            ),
        ] {
            let len = 20_usize + chunks_and_deltas;
            let mut out = [0; 1500];
            let mut builder = Builder::new(&mut out);
            let steps = arrivals.iter().map(|arrival| arrival.map(|us| Instant(us * 1_000)));
            assert_eq!(
                usize::from(builder.transport_feedback(&HEAD, steps).unwrap()),
                arrivals.len(),
                "{name}"
            );
            assert_eq!(builder.len(), len.next_multiple_of(4), "{name}");
        }
    }

    #[test]
    fn nothing_received_writes_nothing() {
        assert_eq!(round_trip(&[], 1500).0, 0);
        assert_eq!(round_trip(&[None; 20], 1500).0, 0);
    }

    #[test]
    fn what_finds_no_room_is_left_for_the_next() {
        let arrivals: Vec<_> = (0..1_000).map(|index| Some(index * 1_000)).collect();
        for room in [24, 28, 100, 1_000] {
            let (covered, read) = round_trip(&arrivals, room);
            assert!(usize::from(covered) + 23 + 6 > room, "{room}: {covered}");
            assert!(read.len() < arrivals.len());
        }
        let mut out = [0; 20];
        assert_eq!(Builder::new(&mut out).transport_feedback(&HEAD, [Some(Instant(0))].into_iter()), Ok(0));
        assert!(
            Builder::new(&mut out[..19]).transport_feedback(&HEAD, [Some(Instant(0))].into_iter()).is_err()
        );
    }

    #[test]
    fn pause_of_more_than_eight_seconds_ends_the_feedback() {
        let (covered, read) = round_trip(&[Some(0), Some(1_000), None, Some(9_000_000)], 1500);
        assert_eq!((covered, read), (3, std::vec![Some(0), Some(1_000), None]));
    }

    #[test]
    fn arrivals_may_go_back_in_time() {
        let (_, read) = round_trip(&[Some(640_000), Some(600_000), Some(641_000)], 1500);
        assert_eq!(read, [Some(640_000), Some(600_000), Some(641_000)]);
    }

    proptest! {
        #[test]
        fn arrivals_are_read_as_written_to_a_quarter_of_a_millisecond(
            start_us in 0_u64..1 << 36,
            steps in proptest::collection::vec(
                proptest::option::weighted(0.8, prop_oneof![6 => 0_u64..2_000, 1 => 0_u64..300_000]), 0..400),
            runs in proptest::collection::vec((any::<bool>(), 0_usize..60), 0..6),
            room in 28_usize..1500,
        ) {
            let mut now = start_us;
            let mut arrivals = Vec::new();
            for step in steps {
                now += step.unwrap_or(0);
                arrivals.push(step.map(|_| now));
            }
            for (received, count) in runs {
                now += 1_000;
                arrivals.extend(std::iter::repeat_n(received.then_some(now), count));
            }
            let (covered, read) = round_trip(&arrivals, room);
            prop_assert_eq!(read.len(), usize::from(covered));
            for (written, read) in arrivals.iter().zip(read) {
                // The reference time has 24 bits of 64 ms.
                let wrapped = written.map(|us| i64::try_from(us - us % 250).unwrap() % (64_000 << 24));
                prop_assert_eq!(wrapped, read.map(|us| us.rem_euclid(64_000 << 24)));
            }
        }
    }
}
