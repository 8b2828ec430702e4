//! A provided-buffer ring: receive buffers that the kernel takes by itself, completion by completion (io_uring(7)).

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;
use io_uring::{IoUring, cqueue, squeue};

/// Small on purpose: what was received last is still in the cache when its buffer is used again.
pub(crate) const BUFFERS: u16 = 128;
/// The kernel's message header, address and control data, then a whole datagram.
pub(crate) const BUFFER_LEN: usize = 2048;
pub(crate) const GROUP: u16 = 0;

const MASK: u16 = BUFFERS - 1;
const PAGE_LEN: usize = 4096;

pub(crate) struct ReceiveRing {
    entries: NonNull<BufRingEntry>,
    buffers: Box<[[u8; BUFFER_LEN]]>,
    tail: u16,
}

impl std::fmt::Debug for ReceiveRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReceiveRing").field("tail", &self.tail).finish_non_exhaustive()
    }
}

// SAFETY: the ring's memory is owned by this value alone; nothing about it is tied to a thread.
unsafe impl Send for ReceiveRing {}

impl ReceiveRing {
    /// Registers the ring and hands all its buffers to the kernel.
    pub(crate) fn register<S, C>(ring: &IoUring<S, C>) -> io::Result<Self>
    where
        S: squeue::EntryMarker,
        C: cqueue::EntryMarker,
    {
        // SAFETY: the layout has a size above zero.
        let memory = unsafe { alloc_zeroed(Self::layout()) };
        let Some(entries) = NonNull::new(memory.cast::<BufRingEntry>()) else {
            handle_alloc_error(Self::layout())
        };
        let mut this = Self {
            entries,
            buffers: vec![[0; BUFFER_LEN]; usize::from(BUFFERS)].into_boxed_slice(),
            tail: 0,
        };
        // SAFETY: the memory is page-aligned, has room for BUFFERS entries, and lives until `Drop`; the owner of
        // `this` unregisters the group or ends the ring before that.
        unsafe { ring.submitter().register_buf_ring_with_flags(entries.as_ptr() as u64, BUFFERS, GROUP, 0) }?;
        for id in 0..BUFFERS {
            this.give_back(id);
        }
        Ok(this)
    }

    /// The bytes of buffer `id`, which the kernel has filled and named in a completion.
    pub(crate) fn buffer(&mut self, id: u16) -> Option<&mut [u8; BUFFER_LEN]> {
        self.buffers.get_mut(usize::from(id))
    }

    /// Hands buffer `id` to the kernel (again).
    pub(crate) fn give_back(&mut self, id: u16) {
        let Some(buffer) = self.buffers.get_mut(usize::from(id)) else { return };
        let address = buffer.as_mut_ptr() as u64;
        let index = usize::from(self.tail & MASK);
        // SAFETY: `index` is below BUFFERS, so the entry lies in our memory; the kernel does not read an entry
        // at or beyond the tail, which is published below.
        let entry = unsafe { &mut *self.entries.as_ptr().add(index) };
        entry.set_addr(address);
        #[expect(clippy::cast_possible_truncation, reason = "2048")]
        entry.set_len(BUFFER_LEN as u32);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the tail lies in the first entry of our memory, is aligned for u16, and is shared with the kernel
        // only, which reads it atomically; the release order publishes the entry before the tail.
        unsafe {
            let tail = BufRingEntry::tail(self.entries.as_ptr()).cast_mut();
            AtomicU16::from_ptr(tail).store(self.tail, Ordering::Release);
        }
    }

    const fn layout() -> Layout {
        let len = BUFFERS as usize * size_of::<BufRingEntry>();
        match Layout::from_size_align(len, PAGE_LEN) {
            Ok(layout) => layout,
            Err(_) => panic!("a power of two and a small size"),
        }
    }
}

impl Drop for ReceiveRing {
    fn drop(&mut self) {
        // SAFETY: allocated in `register` with the same layout, freed once.
        unsafe { dealloc(self.entries.as_ptr().cast(), Self::layout()) };
    }
}
