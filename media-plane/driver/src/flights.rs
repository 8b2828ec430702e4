//! Messages on their way: headers that stay where they are until the kernel is done with them.

use crate::send_header::SendHeader;

/// Headers by number, made when they are first needed and taken last in, first out.
#[derive(Debug)]
pub(crate) struct Flights {
    #[expect(clippy::vec_box, reason = "the kernel reads headers where they are; the list grows")]
    flights: Vec<Box<Flight>>,
    free: Vec<u32>,
    count_max: usize,
}

#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) header: SendHeader,
    /// Part of a train that was refused.
    pub(crate) plain_again: bool,
}

impl Flights {
    pub(crate) const fn new(count_max: usize) -> Self {
        Self { flights: Vec::new(), free: Vec::new(), count_max }
    }

    pub(crate) const fn in_flight(&self) -> usize {
        self.flights.len() - self.free.len()
    }

    pub(crate) const fn are_all_under_way(&self) -> bool {
        self.in_flight() >= self.count_max
    }

    /// `None` if the most that may be under way are.
    pub(crate) fn start(&mut self) -> Option<(u32, &mut Flight)> {
        let number = match self.free.pop() {
            Some(number) => number,
            None if self.flights.len() < self.count_max => {
                self.flights.push(Box::new(Flight { header: SendHeader::empty(), plain_again: false }));
                u32::try_from(self.flights.len() - 1).ok()?
            }
            None => return None,
        };
        Some((number, self.flights.get_mut(number as usize)?))
    }

    pub(crate) fn flight(&self, number: u32) -> Option<&Flight> {
        self.flights.get(number as usize).map(|flight| &**flight)
    }

    pub(crate) fn end(&mut self, number: u32) {
        debug_assert!(!self.free.contains(&number), "ended twice");
        self.free.push(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_bounded_stay_in_place_and_serve_again() {
        let mut flights = Flights::new(2);
        let (first, flight) = flights.start().unwrap();
        let address = std::ptr::from_ref(flight);
        let (second, _) = flights.start().unwrap();
        assert!(flights.start().is_none());
        assert_eq!((first, second, flights.in_flight()), (0, 1, 2));
        assert_eq!(std::ptr::from_ref(flights.flight(first).unwrap()), address);
        flights.end(first);
        assert_eq!(flights.in_flight(), 1);
        assert_eq!(flights.start().map(|(number, _)| number), Some(first));
    }
}
