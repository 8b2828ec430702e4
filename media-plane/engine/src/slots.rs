//! Resources by slot: the id is looked up once, at command time; the packet path goes by dense indices.

use alloc::vec::Vec;
use core::hash::Hash;
use core::marker::PhantomData;

use indexmap::IndexMap;

use crate::hash::Seeded;

/// Where a resource with an id of type `K` is stored. Whoever deletes a resource removes its slot from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot<K> {
    index: u32,
    kind: PhantomData<K>,
}

impl<K> Slot<K> {
    pub(crate) const fn at(index: u32) -> Self {
        Self { index, kind: PhantomData }
    }

    #[must_use]
    pub const fn index(&self) -> usize {
        self.index as usize
    }
}

/// Resources of one kind, at most `limit` of them.
#[derive(Debug)]
pub struct Slots<K, T> {
    by_id: IndexMap<K, Slot<K>, Seeded>,
    values: Vec<Option<T>>,
    free: Vec<u32>,
    limit: u32,
}

impl<K: Copy + Eq + Hash, T> Slots<K, T> {
    #[must_use]
    pub const fn new(limit: u32, seed: Seeded) -> Self {
        Self { by_id: IndexMap::with_hasher(seed), values: Vec::new(), free: Vec::new(), limit }
    }

    /// `None` if the limit is reached or the id is taken.
    pub fn insert(&mut self, id: K, value: T) -> Option<Slot<K>> {
        if self.len() >= self.limit as usize || self.by_id.contains_key(&id) {
            return None;
        }
        let slot = Slot::at(self.free.pop().unwrap_or_else(|| {
            self.values.push(None);
            u32::try_from(self.values.len() - 1).expect("the limit is a u32")
        }));
        *self.values.get_mut(slot.index())? = Some(value);
        self.by_id.insert(id, slot);
        Some(slot)
    }

    pub fn remove(&mut self, id: K) -> Option<T> {
        let slot = self.by_id.shift_remove(&id)?;
        self.free.push(slot.index);
        self.values.get_mut(slot.index())?.take()
    }

    pub fn get_mut(&mut self, slot: Slot<K>) -> Option<&mut T> {
        self.values.get_mut(slot.index())?.as_mut()
    }

    #[must_use]
    pub fn get(&self, slot: Slot<K>) -> Option<&T> {
        self.values.get(slot.index())?.as_ref()
    }

    #[must_use]
    pub fn find(&self, id: K) -> Option<Slot<K>> {
        self.by_id.get(&id).copied()
    }

    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len() >= self.limit as usize
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// In order of slots.
    pub fn iter(&self) -> impl Iterator<Item = (Slot<K>, &T)> {
        (0..).zip(&self.values).filter_map(|(index, value)| Some((Slot::at(index), value.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slot_is_reused_after_removal_and_limit_holds() {
        let mut slots = Slots::new(2, Seeded(0));
        let first = slots.insert(10_u64, 'a').unwrap();
        let second = slots.insert(20, 'b').unwrap();
        assert_eq!(slots.insert(30, 'c'), None);
        assert_eq!(slots.insert(10, 'x'), None);
        assert_eq!(slots.remove(10), Some('a'));
        assert_eq!(slots.get(first), None);
        assert_eq!(slots.insert(30, 'c'), Some(first));
        assert_eq!(slots.find(20), Some(second));
        assert_eq!(slots.iter().map(|(_, value)| *value).collect::<Vec<_>>(), ['c', 'b']);
    }
}
