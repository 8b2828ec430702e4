//! What the kernel reads of a message to be sent: destination, source, where its bytes are, and how to cut them up.

use engine::path::Path;

use crate::slab::{Departure, Slab, Slot};
use crate::train::SEGMENTS_MAX;
use crate::{control, sockaddr};

/// One `msghdr` with everything it points to, in one place that does not move while the kernel may look at it.
#[repr(C, align(8))]
pub(crate) struct SendHeader {
    message: libc::msghdr,
    control: [u8; control::LEN_MAX],
    name: [u8; sockaddr::LEN_MAX],
    vectors: [libc::iovec; SEGMENTS_MAX],
    train: Train,
}

/// What was described last, for when the kernel is done with it.
#[derive(Clone, Copy)]
struct Train {
    path: Option<Path>,
    slots: [Slot; SEGMENTS_MAX],
    count: usize,
}

impl std::fmt::Debug for SendHeader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SendHeader").field("segments", &self.train.count).finish_non_exhaustive()
    }
}

impl SendHeader {
    pub(crate) const fn empty() -> Self {
        // SAFETY: msghdr is plain data for which all zeroes (null pointers, lengths of zero) is a value.
        let message = unsafe { std::mem::zeroed() };
        let vector = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        Self {
            message,
            control: [0; control::LEN_MAX],
            name: [0; sockaddr::LEN_MAX],
            vectors: [vector; SEGMENTS_MAX],
            train: Train { path: None, slots: [0; SEGMENTS_MAX], count: 0 },
        }
    }

    /// Describes a train as [`next_train`](crate::train::next_train) cuts it; `None` when the socket's family can't reach
    /// its destination.
    ///
    /// The pointer is good as long as neither `self` nor the slab's buffers move or are written.
    pub(crate) fn describe(
        &mut self,
        slab: &Slab,
        train: &[Departure],
        dual_stack: bool,
    ) -> Option<*const libc::msghdr> {
        let first = train.first()?;
        let name_len = sockaddr::write(&first.path.remote, dual_stack, &mut self.name)?;
        let mut control_len = control::write_source(first.path.local, dual_stack, &mut self.control);
        if train.len() > 1 {
            control_len = control::write_segment_len(first.len, control_len, &mut self.control);
        }
        self.train.path = Some(first.path);
        self.train.count = train.len().min(SEGMENTS_MAX);
        for ((departure, vector), slot) in train.iter().zip(&mut self.vectors).zip(&mut self.train.slots) {
            let bytes = &slab.buffer(departure.slot)[..departure.len];
            *vector = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
            *slot = departure.slot;
        }
        self.message.msg_name = self.name.as_mut_ptr().cast();
        self.message.msg_namelen = name_len;
        self.message.msg_iov = self.vectors.as_mut_ptr();
        self.message.msg_iovlen = self.train.count;
        self.message.msg_control = self.control.as_mut_ptr().cast();
        self.message.msg_controllen = control_len;
        Some(&raw const self.message)
    }

    /// How many segments were described.
    pub(crate) const fn segments(&self) -> usize {
        self.train.count
    }

    /// What was described last, packet by packet.
    pub(crate) fn departures(&self) -> impl Iterator<Item = Departure> {
        let path = self.train.path;
        let parts = self.vectors.iter().zip(&self.train.slots).take(self.train.count);
        parts.filter_map(move |(vector, slot)| {
            Some(Departure { slot: *slot, len: vector.iov_len, path: path? })
        })
    }
}
