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
        debug_assert!(order != Order::Late || outgoing < self.outgoing_next, "late stays behind");
        Ok(Place { order, incoming, outgoing })
    }

    fn close(&mut self, place: &Place, first: Seq) {
        if place.order != Order::Late {
            self.lags.exclude(first, place.incoming);
            self.arrivals.note(place.incoming);
        }
    }
}
