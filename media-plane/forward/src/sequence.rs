//! Sequence numbers of one subscription: no hole where a packet was dropped on purpose, the same hole where one was lost.

use units::sequence::Seq;

use crate::discard::Reason;
use crate::order::{Arrivals, Misplaced, Order};
use crate::range_map::{Miss, RangeMap};

/// Maps incoming to outgoing sequence numbers. No outgoing number is given twice.
#[derive(Debug)]
pub struct Sequence {
    arrivals: Arrivals,
    lags: RangeMap,
    /// The number after the highest that was sent.
    outgoing_next: Seq,
}

/// A packet's place, decided but not yet taken: it is sent, or skipped, or nothing at all happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub order: Order,
    pub incoming: Seq,
    pub outgoing: Seq,
}

impl Sequence {
    /// `first` is the first packet, and goes out as `outgoing`.
    #[must_use]
    pub fn new(first: Seq, outgoing: Seq) -> Self {
        Self {
            arrivals: Arrivals::new(first),
            lags: RangeMap::new(first, first.0.wrapping_sub(outgoing.0)),
            outgoing_next: outgoing,
        }
    }

    /// Goes on with another source, or after a pause: `first` goes out right after what was sent last.
    pub fn switch(&mut self, first: Seq) {
        self.arrivals = Arrivals::new(first);
        self.lags.restart(first, first.0.wrapping_sub(self.outgoing_next.0));
    }

    /// Gives `count` numbers to packets of our own, which come before whatever comes next in order.
    ///
    /// Returns the first of them. What is missing before them may still come late.
    pub fn insert(&mut self, count: u64) -> Seq {
        let due = self.arrivals.due();
        let first = Seq(due.0.wrapping_sub(self.lags.lag()));
        debug_assert!(first >= self.outgoing_next, "behind all that was sent");
        self.lags.insert(due, count);
        self.outgoing_next = Seq(first.0 + count);
        first
    }

    /// Takes the place of a packet that is forwarded.
    pub fn send(&mut self, place: &Place) {
        self.arrivals.note(place.incoming);
        self.outgoing_next = self.outgoing_next.max(place.outgoing.next());
    }

    /// Closes up the number of a packet that is not forwarded; a late one leaves its hole.
    pub fn skip(&mut self, place: &Place) {
        self.close(place, place.incoming);
    }

    /// As [`Self::skip`], and closes up the gap before the packet as well: what is missing would not be forwarded either.
    pub fn skip_with_gap(&mut self, place: &Place) {
        self.close(place, self.arrivals.due());
    }

    /// # Errors
    /// If the packet was there before, or its number is from before what is remembered or was closed up.
    pub fn place(&self, incoming: Seq) -> Result<Place, Reason> {
        let order = self.arrivals.order(incoming).map_err(|misplaced| match misplaced {
            Misplaced::Duplicate => Reason::Duplicate,
            Misplaced::TooLate => Reason::TooLate,
        })?;
        let lag = self.lags.lag_of(incoming).map_err(|miss| match miss {
            Miss::TooOld => Reason::TooLate,
            Miss::Excluded => Reason::Closed,
        })?;
        let outgoing = Seq(incoming.0.wrapping_sub(lag));
        debug_assert!(order == Order::Late || outgoing >= self.outgoing_next, "in order goes ahead");
        Ok(Place { order, incoming, outgoing })
    }

    fn close(&mut self, place: &Place, first: Seq) {
        if place.order != Order::Late {
            self.lags.exclude(first, place.incoming);
            self.arrivals.note(place.incoming);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    enum Step {
        /// Forwarded, as this number.
        Send(Order, u64),
        /// Not forwarded on purpose.
        Skip(Order),
        Refuse(Reason),
    }
    use Step::{Refuse, Send, Skip};

    fn play(sequence: &mut Sequence, steps: &[(&str, u64, Step)]) {
        for (name, incoming, step) in steps {
            let place = sequence.place(Seq(*incoming));
            match (step, place) {
                (Send(order, outgoing), Ok(place)) => {
                    assert_eq!((place.order, place.outgoing), (*order, Seq(*outgoing)), "{name}");
                    sequence.send(&place);
                }
                (Skip(order), Ok(place)) => {
                    assert_eq!(place.order, *order, "{name}");
                    sequence.skip(&place);
                }
                (Refuse(reason), place) => assert_eq!(place, Err(*reason), "{name}"),
                (_, Err(reason)) => panic!("{name}: {reason:?}"),
            }
        }
    }

    #[test]
    fn late_packet_gets_the_lag_of_its_time() {
        play(
            &mut Sequence::new(Seq(23_333), Seq(23_333)),
            &[
                ("before the start", 23_331, Refuse(Reason::TooLate)),
                ("first keeps its number", 23_333, Send(Order::Contiguous, 23_333)),
                ("duplicate", 23_333, Refuse(Reason::Duplicate)),
                ("dropped", 23_334, Skip(Order::Contiguous)),
                ("gap", 23_336, Send(Order::Gap, 23_335)),
                ("late", 23_335, Send(Order::Late, 23_334)),
                ("late again", 23_335, Refuse(Reason::Duplicate)),
                ("dropped again", 23_334, Refuse(Reason::Duplicate)),
                ("just before the start", 23_332, Refuse(Reason::TooLate)),
            ],
        );
    }

    #[test]
    fn padding_closes_up_only_where_no_gap_is() {
        play(
            &mut Sequence::new(Seq(23_333), Seq(23_333)),
            &[
                ("padding first", 23_333, Skip(Order::Contiguous)),
                ("padding behind a gap is forwarded", 23_335, Send(Order::Gap, 23_334)),
            ],
        );
    }

    #[test]
    fn gaps_over_the_wrap_keep_their_holes() {
        play(
            &mut Sequence::new(Seq(65_533), Seq(65_533)),
            &[
                ("first", 65_533, Send(Order::Contiguous, 65_533)),
                ("1 of the next cycle", 65_537, Send(Order::Gap, 65_537)),
                ("in the gap", 65_534, Send(Order::Late, 65_534)),
                ("in the gap, before the wrap", 65_535, Send(Order::Late, 65_535)),
                ("in the gap, at the wrap", 65_536, Send(Order::Late, 65_536)),
                ("padding 2", 65_538, Skip(Order::Contiguous)),
                ("4 behind a gap", 65_540, Send(Order::Gap, 65_539)),
                ("padding 5", 65_541, Skip(Order::Contiguous)),
                ("7 behind a gap", 65_543, Send(Order::Gap, 65_541)),
                ("late 6", 65_542, Send(Order::Late, 65_540)),
                ("late 3", 65_539, Send(Order::Late, 65_538)),
            ],
        );
    }

    #[test]
    fn dropped_head_leaves_no_hole_and_dropped_late_packet_leaves_its_own() {
        let mut sequence = Sequence::new(Seq(23_333), Seq(23_333));
        play(
            &mut sequence,
            &[
                ("first", 23_333, Send(Order::Contiguous, 23_333)),
                ("late, from before the start", 23_300, Refuse(Reason::TooLate)),
                ("head behind a gap is dropped", 44_444, Skip(Order::Gap)),
                ("what follows takes its number", 44_445, Send(Order::Contiguous, 44_444)),
            ],
        );
        assert_eq!(sequence.place(Seq(44_000)).map(|place| place.outgoing), Ok(Seq(44_000)), "in the gap");
        let late = sequence.place(Seq(44_000)).unwrap();
        sequence.skip(&late);
        assert_eq!(
            sequence.place(Seq(44_446)).map(|place| place.outgoing),
            Ok(Seq(44_445)),
            "no lag of a late drop"
        );
    }

    #[test]
    fn switch_goes_on_behind_what_was_sent() {
        let mut sequence = Sequence::new(Seq(23_333), Seq(23_333));
        play(&mut sequence, &[("first", 23_333, Send(Order::Contiguous, 23_333))]);
        sequence.switch(Seq(33_333));
        play(
            &mut sequence,
            &[
                ("other source", 33_333, Send(Order::Contiguous, 23_334)),
                ("from before the switch", 33_332, Refuse(Reason::TooLate)),
                ("lag is 9999", 33_400, Send(Order::Gap, 23_401)),
            ],
        );
        sequence.switch(Seq(12));
        play(&mut sequence, &[("numbers run ahead of the source's", 12, Send(Order::Contiguous, 23_402))]);
    }

    #[test]
    fn late_packet_before_a_skipped_head_still_has_its_number() {
        play(
            &mut Sequence::new(Seq(10), Seq(10)),
            &[
                ("first", 10, Send(Order::Contiguous, 10)),
                ("head behind a gap is dropped", 12, Skip(Order::Gap)),
                ("late, nothing was sent behind it", 11, Send(Order::Late, 11)),
                ("next", 13, Send(Order::Contiguous, 12)),
            ],
        );
    }

    #[test]
    fn packets_of_our_own_stand_between_what_came_and_what_comes() {
        let mut sequence = Sequence::new(Seq(10), Seq(10));
        play(&mut sequence, &[("first", 10, Send(Order::Contiguous, 10)), ("gap", 12, Send(Order::Gap, 12))]);
        assert_eq!(sequence.insert(3), Seq(13));
        play(
            &mut sequence,
            &[
                ("late, from before them", 11, Send(Order::Late, 11)),
                ("next", 13, Send(Order::Contiguous, 16)),
                ("head behind a gap is dropped", 15, Skip(Order::Gap)),
            ],
        );
        assert_eq!(sequence.insert(2), Seq(18), "the gap keeps its hole");
        play(
            &mut sequence,
            &[("late, in the gap", 14, Send(Order::Late, 17)), ("next", 16, Send(Order::Contiguous, 20))],
        );
        assert_eq!(sequence.insert(1), Seq(21));
        sequence.switch(Seq(500));
        play(&mut sequence, &[("another source goes on behind them", 500, Send(Order::Contiguous, 22))]);
    }

    #[test]
    fn gap_of_a_dropped_picture_closes_up_whole() {
        let mut sequence = Sequence::new(Seq(10), Seq(10));
        play(
            &mut sequence,
            &[
                ("first", 10, Send(Order::Contiguous, 10)),
                ("of a dropped picture", 11, Skip(Order::Contiguous)),
            ],
        );
        let place = sequence.place(Seq(15)).unwrap();
        sequence.skip_with_gap(&place);
        play(
            &mut sequence,
            &[
                ("no hole", 16, Send(Order::Contiguous, 11)),
                ("late, of the dropped picture", 13, Refuse(Reason::Closed)),
            ],
        );
    }
}
