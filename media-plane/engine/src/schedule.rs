//! When whose timers are due: one deadline per slot, rounded so that neighbours wake together.

use alloc::vec::Vec;

use units::time::Instant;

use crate::slots::Slot;

/// Deadlines by slot. Finding what is due costs a look at each slot, so that moving a deadline costs nothing.
#[derive(Debug)]
pub struct Schedule<K> {
    deadlines: Vec<Instant>,
    /// Not later than any of `deadlines`.
    earliest: Instant,
    kind: core::marker::PhantomData<K>,
}

impl<K> Default for Schedule<K> {
    fn default() -> Self {
        Self { deadlines: Vec::new(), earliest: NEVER, kind: core::marker::PhantomData }
    }
}

impl<K: Copy> Schedule<K> {
    /// Sets the deadline of `slot`; `None` is never.
    pub fn set(&mut self, slot: Slot<K>, at: Option<Instant>) {
        let at = at.map_or(NEVER, rounded_up);
        if self.deadlines.len() <= slot.index() {
            self.deadlines.resize(slot.index() + 1, NEVER);
        }
        if let Some(deadline) = self.deadlines.get_mut(slot.index()) {
            *deadline = at;
        }
        self.earliest = self.earliest.min(at);
    }

    /// Makes `slot` due at `at` at the latest.
    pub fn bring_forward(&mut self, slot: Slot<K>, at: Instant) {
        let due = self.deadlines.get(slot.index()).copied().unwrap_or(NEVER);
        if rounded_up(at) < due {
            self.set(slot, Some(at));
        }
    }

    /// The next slot at or after `cursor` that is due, whose deadline is thereby cleared.
    pub fn take_due(&mut self, now: Instant, cursor: &mut u32) -> Option<Slot<K>> {
        if now < self.earliest {
            return None;
        }
        while let Some(deadline) = self.deadlines.get_mut(*cursor as usize) {
            let slot = Slot::at(*cursor);
            *cursor += 1;
            if *deadline <= now {
                *deadline = NEVER;
                return Some(slot);
            }
        }
        self.earliest = self.deadlines.iter().copied().min().unwrap_or(NEVER);
        None
    }

    #[must_use]
    pub fn earliest(&self) -> Option<Instant> {
        (self.earliest != NEVER).then_some(self.earliest)
    }
}

/// Deadlines lie on multiples of this.
const GRID_NS: u64 = 5_000_000;
const NEVER: Instant = Instant(u64::MAX);

const fn rounded_up(at: Instant) -> Instant {
    Instant(at.0.div_ceil(GRID_NS).saturating_mul(GRID_NS))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Instant {
        Instant(ms * 1_000_000)
    }

    #[test]
    fn due_slots_come_once_and_the_rest_waits() {
        let mut schedule = Schedule::<u64>::default();
        schedule.set(Slot::at(0), Some(ms(11)));
        schedule.set(Slot::at(1), Some(ms(13)));
        schedule.set(Slot::at(2), Some(ms(40)));
        schedule.bring_forward(Slot::at(2), ms(50));
        assert_eq!(schedule.earliest(), Some(ms(15)));
        let mut cursor = 0;
        assert_eq!(schedule.take_due(ms(14), &mut cursor), None);
        assert_eq!(schedule.take_due(ms(15), &mut cursor), Some(Slot::at(0)));
        assert_eq!(schedule.take_due(ms(15), &mut cursor), Some(Slot::at(1)));
        assert_eq!(schedule.take_due(ms(15), &mut cursor), None);
        assert_eq!(schedule.earliest(), Some(ms(40)));
    }
}
