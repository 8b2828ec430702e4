//! Whose datagram it is: by path, and for a path's first check by the ufrag that it names.
//!
//! Only an authenticated check creates or moves a path. Failed ones are counted by address, so that guessing is slow.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::hash::BuildHasher;
use core::net::IpAddr;

use indexmap::IndexMap;
use units::handle::PeerId;
use units::time::Instant;

use crate::config::Limits;
use crate::hash::Seeded;
use crate::path::Path;
use crate::slots::Slot;

#[derive(Debug)]
pub struct Demux {
    paths: IndexMap<Path, Slot<PeerId>, Seeded>,
    ufrags: IndexMap<String, Slot<PeerId>, Seeded>,
    failed: FailedChecks,
}

impl Demux {
    #[must_use]
    pub fn new(limits: &Limits, seed: Seeded) -> Self {
        Self {
            paths: IndexMap::with_hasher(seed),
            ufrags: IndexMap::with_hasher(seed),
            failed: FailedChecks::new(limits, seed),
        }
    }

    pub fn add_path(&mut self, path: Path, peer: Slot<PeerId>) {
        self.paths.insert(path, peer);
    }

    /// Forgets a path, if it is this peer's. The order of paths and ufrags means nothing: nobody walks over them.
    pub fn remove_path(&mut self, path: Path, peer: Slot<PeerId>) {
        if self.by_path(path) == Some(peer) {
            self.paths.swap_remove(&path);
        }
    }

    pub fn add_ufrag(&mut self, ufrag: &str, peer: Slot<PeerId>) {
        self.ufrags.insert(ufrag.into(), peer);
    }

    pub fn remove_ufrag(&mut self, ufrag: &str) {
        self.ufrags.swap_remove(ufrag);
    }

    /// Whether a check from `address` may be verified now.
    #[must_use]
    pub fn may_check(&self, now: Instant, address: IpAddr) -> bool {
        self.failed.allows(now, address)
    }

    pub fn check_failed(&mut self, now: Instant, address: IpAddr) {
        self.failed.count(now, address);
    }

    #[must_use]
    pub fn by_path(&self, path: Path) -> Option<Slot<PeerId>> {
        self.paths.get(&path).copied()
    }

    #[must_use]
    pub fn by_ufrag(&self, ufrag: &str) -> Option<Slot<PeerId>> {
        self.ufrags.get(ufrag).copied()
    }

    #[must_use]
    pub fn path_count(&self) -> usize {
        self.paths.len()
    }

    #[must_use]
    pub fn ufrag_count(&self) -> usize {
        self.ufrags.len()
    }
}

/// Failed checks of the current second, by address in a table of fixed size: of two addresses in one place the last one counts.
#[derive(Debug)]
struct FailedChecks {
    table: Vec<Failures>,
    all: Failures,
    per_address_max: u32,
    all_max: u32,
    seed: Seeded,
}

#[derive(Clone, Copy, Debug, Default)]
struct Failures {
    address: Option<IpAddr>,
    second: u64,
    count: u32,
}

impl FailedChecks {
    fn new(limits: &Limits, seed: Seeded) -> Self {
        Self {
            table: vec![Failures::default(); TABLE],
            all: Failures::default(),
            per_address_max: limits.failed_checks_per_address,
            all_max: limits.failed_checks,
            seed,
        }
    }

    fn count(&mut self, now: Instant, address: IpAddr) {
        let at = self.index(address);
        self.all.count(second(now), None);
        if let Some(failures) = self.table.get_mut(at) {
            failures.count(second(now), Some(address));
        }
    }

    fn allows(&self, now: Instant, address: IpAddr) -> bool {
        let failures = self.table.get(self.index(address)).copied().unwrap_or_default();
        failures.in_second(second(now), Some(address)) < self.per_address_max
            && self.all.in_second(second(now), None) < self.all_max
    }

    fn index(&self, address: IpAddr) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "less than TABLE")]
        let index = (self.seed.hash_one(address) % TABLE as u64) as usize;
        index
    }
}

impl Failures {
    fn count(&mut self, second: u64, address: Option<IpAddr>) {
        if self.second != second || self.address != address {
            *self = Self { address, second, count: 0 };
        }
        self.count = self.count.saturating_add(1);
    }

    fn in_second(&self, second: u64, address: Option<IpAddr>) -> u32 {
        if self.second == second && self.address == address { self.count } else { 0 }
    }
}

const fn second(now: Instant) -> u64 {
    now.0 / 1_000_000_000
}

const TABLE: usize = 1_024;

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use super::*;

    #[test]
    fn failed_checks_stop_an_address_for_the_rest_of_the_second() {
        let limits = Limits { failed_checks_per_address: 3, failed_checks: 5, ..Limits::default() };
        let mut failed = FailedChecks::new(&limits, Seeded(1));
        let address = |last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last));
        let now = Instant(7_100_000_000);
        for _ in 0..3 {
            assert!(failed.allows(now, address(1)));
            failed.count(now, address(1));
        }
        assert!(!failed.allows(now, address(1)));
        assert!(failed.allows(now, address(2)));
        failed.count(now, address(2));
        failed.count(now, address(3));
        assert!(!failed.allows(now, address(4)), "altogether too many");
        assert!(failed.allows(Instant(8_000_000_000), address(1)), "the next second");
    }
}
