//! Buffers that hold received packets for retransmission, lent by index and reused, so that a running stream never allocates.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use crate::outbox::DATAGRAM_LEN_MAX;

/// A buffer of the pool; whoever holds it gives it back. It may have several holders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle {
    index: u32,
    size: Size,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    Small,
    Large,
}

/// Two sizes: most audio packets fit the small one.
#[derive(Debug)]
pub struct Pool {
    small: Class,
    large: Class,
}

impl Pool {
    #[must_use]
    pub const fn new(small_max: u32, large_max: u32) -> Self {
        Self { small: Class::new(SMALL_LEN, small_max), large: Class::new(DATAGRAM_LEN_MAX, large_max) }
    }

    /// A buffer with a copy of `bytes`. `None` if all buffers of that size are in use or `bytes` is no datagram.
    pub fn store(&mut self, bytes: &[u8]) -> Option<Handle> {
        let size = if bytes.len() <= SMALL_LEN { Size::Small } else { Size::Large };
        let class = self.class_mut(size);
        let index = class.take()?;
        *class.holders.get_mut(index as usize)? = 1;
        class.buffers.get_mut(index as usize)?.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Handle { index, size })
    }

    /// There is one more who will give the buffer back.
    pub fn hold(&mut self, handle: Handle) {
        if let Some(holders) = self.class_mut(handle.size).holders.get_mut(handle.index as usize) {
            *holders += 1;
        }
    }

    /// The last holder's call frees the buffer.
    pub fn give_back(&mut self, handle: Handle) {
        let class = self.class_mut(handle.size);
        let Some(holders) = class.holders.get_mut(handle.index as usize) else { return };
        debug_assert!(*holders > 0, "each holder gives a buffer back once");
        *holders = holders.saturating_sub(1);
        if *holders == 0 {
            class.free.push(handle.index);
        }
    }

    /// Writes so many bytes of RTP padding (RFC 3550 §5.1) behind the first `len` ones. Returns these with the padding;
    /// `None` if there is no room.
    pub fn padded(&mut self, handle: Handle, len: usize, padding: u8) -> Option<&mut [u8]> {
        let bytes = self.bytes_mut(handle).get_mut(..len + usize::from(padding))?;
        if let Some((_, [zeros @ .., count])) = bytes.split_at_mut_checked(len) {
            zeros.fill(0);
            *count = padding;
        }
        Some(bytes)
    }

    #[must_use]
    pub fn bytes(&self, handle: Handle) -> &[u8] {
        let class = match handle.size {
            Size::Small => &self.small,
            Size::Large => &self.large,
        };
        class.buffers.get(handle.index as usize).map_or(&[], |buffer| buffer)
    }

    pub fn bytes_mut(&mut self, handle: Handle) -> &mut [u8] {
        let buffers = &mut self.class_mut(handle.size).buffers;
        buffers.get_mut(handle.index as usize).map_or(&mut [], |buffer| buffer)
    }

    #[must_use]
    pub fn in_use(&self) -> usize {
        self.small.in_use() + self.large.in_use()
    }

    const fn class_mut(&mut self, size: Size) -> &mut Class {
        match size {
            Size::Small => &mut self.small,
            Size::Large => &mut self.large,
        }
    }
}

#[derive(Debug)]
struct Class {
    buffers: Vec<Box<[u8]>>,
    /// Of each buffer.
    holders: Vec<u8>,
    /// Last in, first out: the warmest buffer is used next.
    free: Vec<u32>,
    len: usize,
    max: u32,
}

impl Class {
    const fn new(len: usize, max: u32) -> Self {
        Self { buffers: Vec::new(), holders: Vec::new(), free: Vec::new(), len, max }
    }

    fn take(&mut self) -> Option<u32> {
        if let Some(index) = self.free.pop() {
            return Some(index);
        }
        let index = u32::try_from(self.buffers.len()).ok().filter(|index| *index < self.max)?;
        self.buffers.push(vec![0; self.len].into_boxed_slice());
        self.holders.push(0);
        Some(index)
    }

    const fn in_use(&self) -> usize {
        self.buffers.len() - self.free.len()
    }
}

const SMALL_LEN: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffer_is_reused_and_the_bound_holds() {
        let mut pool = Pool::new(1, 1);
        let small = pool.store(&[7; 256]).unwrap();
        assert_eq!(pool.store(&[8; 10]), None, "the small class is empty");
        let large = pool.store(&[9; 257]).unwrap();
        assert_eq!(pool.bytes_mut(small)[..256], [7; 256]);
        assert_eq!(pool.bytes_mut(large)[..257], [9; 257]);
        pool.give_back(small);
        assert_eq!(pool.store(&[8; 10]), Some(small));
        assert_eq!(pool.in_use(), 2);
    }

    #[test]
    fn padding_ends_with_its_length_and_stays_within_the_buffer() {
        let mut pool = Pool::new(1, 0);
        let handle = pool.store(&[7; 254]).unwrap();
        assert_eq!(pool.padded(handle, 254, 0).unwrap(), [7; 254]);
        assert_eq!(pool.padded(handle, 254, 2).unwrap()[252..], [7, 7, 0, 2]);
        assert_eq!(pool.padded(handle, 254, 3), None);
        assert_eq!(pool.bytes(handle)[..254], [7; 254]);
    }

    #[test]
    fn buffer_is_free_when_its_last_holder_gave_it_back() {
        let mut pool = Pool::new(1, 0);
        let handle = pool.store(b"one").unwrap();
        pool.hold(handle);
        pool.give_back(handle);
        assert_eq!((pool.store(b"two"), pool.in_use()), (None, 1));
        assert_eq!(&pool.bytes(handle)[..3], b"one");
        pool.give_back(handle);
        assert_eq!(pool.in_use(), 0);
        assert!(pool.store(b"two").is_some());
    }
}
