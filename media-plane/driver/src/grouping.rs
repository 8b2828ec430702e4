//! Brings what goes to one destination together, without changing its order, so that it can leave as trains.

use std::net::IpAddr;

use engine::path::Path;

use crate::slab::Departure;

/// Scratch memory for as many departures as there are slots.
#[derive(Debug)]
pub(crate) struct Grouping {
    /// By the path's hash: one more than the group's index, or 0.
    table: Box<[u32]>,
    groups: Vec<Group>,
    /// Of each departure.
    group_of: Vec<u32>,
    arranged: Vec<Departure>,
    seed: u64,
}

#[derive(Debug)]
struct Group {
    /// The departure that it was made for.
    first: usize,
    cell: Option<usize>,
    count: usize,
}

impl Grouping {
    /// The seed keeps others from choosing addresses that meet in one place.
    pub(crate) fn new(slots: usize, seed: u64) -> Self {
        Self {
            table: vec![0; (2 * slots).next_power_of_two()].into_boxed_slice(),
            groups: Vec::new(),
            group_of: Vec::new(),
            arranged: Vec::new(),
            seed: seed | 1,
        }
    }

    /// Destinations keep the order of their first packets, and packets that of their destination.
    pub(crate) fn arrange(&mut self, departures: &mut Vec<Departure>) {
        // Fewer can't lie apart.
        if departures.len() < 3 {
            return;
        }
        let mut runs = 0;
        let mut previous: Option<(&Path, u32)> = None;
        for (index, departure) in departures.iter().enumerate() {
            let group = match previous {
                Some((path, group)) if *path == departure.path => group,
                _ => {
                    runs += 1;
                    self.group(index, departures)
                }
            };
            previous = Some((&departure.path, group));
            self.groups[group as usize].count += 1;
            self.group_of.push(group);
        }
        if runs > self.groups.len() {
            self.sort(departures);
        }
        for group in self.groups.drain(..) {
            if let Some(cell) = group.cell {
                self.table[cell] = 0;
            }
        }
        self.group_of.clear();
    }

    /// A stable counting sort by group.
    fn sort(&mut self, departures: &mut Vec<Departure>) {
        let mut start = 0;
        for group in &mut self.groups {
            start += group.count;
            // From here on: where its next departure goes.
            group.count = start - group.count;
        }
        self.arranged.clear();
        self.arranged.extend_from_slice(departures);
        for (departure, group) in departures.iter().zip(&self.group_of) {
            let place = &mut self.groups[*group as usize].count;
            self.arranged[*place] = *departure;
            *place += 1;
        }
        std::mem::swap(departures, &mut self.arranged);
    }

    /// The group of the departure at `index`, by the first few places where it may be. If these are taken by others it
    /// gets a group of its own, then and ever after: that costs trains and not their order.
    fn group(&mut self, index: usize, departures: &[Departure]) -> u32 {
        let path = &departures[index].path;
        let mask = self.table.len() - 1;
        let start = hash(self.seed, path);
        #[expect(clippy::cast_possible_truncation, reason = "at most one group for each slot")]
        let next = self.groups.len() as u32;
        for step in 0..PROBES {
            let cell = (start + step) & mask;
            match self.table[cell].checked_sub(1) {
                None => {
                    self.table[cell] = next + 1;
                    self.groups.push(Group { first: index, cell: Some(cell), count: 0 });
                    return next;
                }
                Some(group) if departures[self.groups[group as usize].first].path == *path => return group,
                Some(_) => {}
            }
        }
        self.groups.push(Group { first: index, cell: None, count: 0 });
        next
    }
}

/// Places looked at before a destination goes without a group.
const PROBES: usize = 8;

fn hash(seed: u64, path: &Path) -> usize {
    let bits = match path.remote.ip() {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            #[expect(clippy::cast_possible_truncation, reason = "the halves are what is wanted")]
            let (low, high) = (bits as u64, (bits >> 64) as u64);
            (low ^ seed).wrapping_mul(MIX) ^ high
        }
    };
    let mixed = (bits ^ u64::from(path.remote.port()) << 40 ^ seed).wrapping_mul(MIX);
    #[expect(clippy::cast_possible_truncation, reason = "the upper bits are the mixed ones")]
    let hash = (mixed ^ mixed >> 32).wrapping_mul(MIX).rotate_left(32) as usize;
    hash
}

/// 2⁶⁴ divided by the golden ratio: an odd number whose multiples spread evenly.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;
    use engine::path::Protocol;
    use proptest::prelude::*;
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

    fn departure(slot: u32, remote: SocketAddr) -> Departure {
        let path = Path { protocol: Protocol::Udp, local: Ipv4Addr::LOCALHOST.into(), remote };
        Departure { slot, len: 10, path }
    }

    fn to_port(slot: u32, port: u16) -> Departure {
        departure(slot, (Ipv4Addr::LOCALHOST, port).into())
    }

    fn slots(departures: &[Departure]) -> Vec<u32> {
        departures.iter().map(|departure| departure.slot).collect()
    }

    #[test]
    fn what_goes_to_one_destination_comes_together() {
        let ports = [5, 6, 7, 5, 6, 7, 7, 5];
        let mut departures: Vec<_> = (0..).zip(ports).map(|(slot, port)| to_port(slot, port)).collect();
        let mut grouping = Grouping::new(16, 1);
        for _ in 0..2 {
            grouping.arrange(&mut departures);
            assert_eq!(slots(&departures), [0, 3, 7, 1, 4, 2, 5, 6], "and stays so");
        }
    }

    #[test]
    fn destinations_whose_places_are_taken_keep_their_order() {
        // A table of two places for five destinations.
        let mut grouping = Grouping::new(1, 1);
        let mut departures: Vec<_> = (0..30).map(|slot| to_port(slot, 1 + (slot % 5) as u16)).collect();
        grouping.arrange(&mut departures);
        for port in 1..=5 {
            let of_port: Vec<_> =
                departures.iter().filter(|departure| departure.path.remote.port() == port).copied().collect();
            assert!(of_port.is_sorted_by_key(|departure| departure.slot), "{port}");
        }
    }

    #[test]
    fn hashes_spread_over_neighbouring_addresses_and_ports() {
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..1024_u16 {
            for remote in [
                (Ipv4Addr::new(10, 0, 0, 1), number).into(),
                (Ipv4Addr::from_bits(0x0a00_0000 + u32::from(number)), 5000).into(),
                SocketAddr::from((Ipv6Addr::from_bits(u128::from(number) << 64), 5000)),
            ] {
                seen.insert(hash(7, &departure(0, remote).path) % 8192);
            }
        }
        // 3,072 at random over 8,192 places would take some 2,560.
        assert!(seen.len() > 2_300, "{}", seen.len());
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_each_destination_keeps_its_order(
            ports in prop::collection::vec(1..12_u16, 0..200),
            seed: u64,
        ) {
            let before: Vec<_> = (0..).zip(&ports).map(|(slot, port)| to_port(slot, *port)).collect();
            let mut after = before.clone();
            let mut grouping = Grouping::new(64, seed);
            grouping.arrange(&mut after);
            let mut first_seen = Vec::new();
            for port in &ports {
                if !first_seen.contains(port) {
                    first_seen.push(*port);
                }
            }
            let expected: Vec<_> = first_seen
                .iter()
                .flat_map(|port| before.iter().filter(|departure| departure.path.remote.port() == *port))
                .copied()
                .collect();
            prop_assert_eq!(slots(&after), slots(&expected));
        }
    }
}
