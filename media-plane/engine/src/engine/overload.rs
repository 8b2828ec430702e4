//! What changes for subscribers when the worker does not keep up, and when it does again.

use alloc::vec::Vec;

use srtp::cipher::Cipher;
use units::handle::PublicationId;
use units::time::Instant;

use crate::command::MediaKind;
use crate::engine::Engine;
use crate::outbox::Outbox;
use crate::overload::Restraint;
use crate::slots::Slot;

impl<C: Cipher> Engine<C> {
    /// The host dropped datagrams before we could take them.
    pub const fn datagrams_lost(&mut self) {
        self.overload.lost();
    }

    /// Leaves out more or less, if it is time to.
    pub(super) fn keep_up(&mut self, now: Instant, out: &mut impl Outbox) {
        if !self.overload.judge(now) {
            return;
        }
        self.counters.overload_step = self.overload.step().into();
        let is_other = |(slot, kind, restraint): &(Slot<PublicationId>, MediaKind, Restraint)| {
            *kind == MediaKind::Video && self.overload.restraint(slot.index()) != *restraint
        };
        let all = self.publications.iter().map(|(slot, one)| (slot, one.spec.kind, one.restraint));
        let changed: Vec<Slot<PublicationId>> = all.filter(is_other).map(|(slot, ..)| slot).collect();
        for slot in changed {
            self.restrain(now, slot, out);
        }
    }

    fn restrain(&mut self, now: Instant, slot: Slot<PublicationId>, out: &mut impl Outbox) {
        let restraint = self.overload.restraint(slot.index());
        let Some(publication) = self.publications.get_mut(slot) else { return };
        let before = core::mem::replace(&mut publication.restraint, restraint);
        if before.paused && !restraint.paused {
            publication.expected_since = Some(now);
        }
        self.retarget(now, slot);
        if restraint.paused && !before.paused {
            self.tell_waiting(slot, out);
        }
    }
}
