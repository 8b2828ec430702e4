//! How many connections without a valid token there may be, and from where: a bound on what strangers can make us hold.
//!
//! Loopback and private addresses are exempt: a proxy or a container's bridge there speaks for everybody. So are trusted
//! proxies; the clients behind them are counted by request.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::config::network::Network;
use crate::http::client_address::is_trusted;

/// Counts connections; cloned into every accept loop.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    trusted: Arc<[Network]>,
    book: Arc<Mutex<Book>>,
}

/// One connection's place. Dropping it gives the place back.
#[derive(Debug)]
pub struct Pass {
    gate: Gate,
    address: IpAddr,
    stranger: AtomicBool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    Full,
    TooManyFromAddress,
    TooFastFromAddress,
}

#[derive(Debug, Default)]
struct Book {
    connections: usize,
    strangers: usize,
    addresses: HashMap<IpAddr, Address>,
}

#[derive(Debug)]
struct Address {
    /// Connections that have shown no valid token yet.
    strangers: usize,
    second_began: Instant,
    accepted_in_second: u32,
}

impl Gate {
    pub fn new(trusted: &[Network]) -> Self {
        Self { trusted: trusted.into(), book: Arc::default() }
    }

    pub fn admit(&self, now: Instant, address: IpAddr) -> Result<Pass, Refusal> {
        let stranger = !speaks_for_others(address) && !is_trusted(address, &self.trusted);
        let mut book = self.book();
        if stranger {
            book.admit_stranger(now, address)?;
        }
        book.connections += 1;
        Ok(Pass { gate: self.clone(), address, stranger: AtomicBool::new(stranger) })
    }

    pub fn connections(&self) -> usize {
        self.book().connections
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass {
    /// A place for a client that calls through a trusted proxy, while its request has no valid token.
    pub fn behind(&self, now: Instant, client: IpAddr) -> Result<Self, Refusal> {
        self.gate.admit(now, client)
    }

    /// The connection showed a valid token: it no longer counts against its address.
    pub fn authenticated(&self) {
        if self.stranger.swap(false, Ordering::Relaxed) {
            self.gate.book().forget_stranger(self.address);
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.authenticated();
        self.gate.book().connections -= 1;
    }
}

impl Book {
    fn admit_stranger(&mut self, now: Instant, address: IpAddr) -> Result<(), Refusal> {
        if self.strangers >= STRANGERS_MAX {
            return Err(Refusal::Full);
        }
        if self.addresses.len() >= ADDRESSES_MAX {
            self.addresses.retain(|_, known| known.strangers > 0 || now - known.second_began < SECOND);
        }
        if self.addresses.len() >= ADDRESSES_MAX && !self.addresses.contains_key(&address) {
            return Err(Refusal::Full);
        }
        let fresh = Address { strangers: 0, second_began: now, accepted_in_second: 0 };
        let known = self.addresses.entry(address).or_insert(fresh);
        if now - known.second_began >= SECOND {
            known.second_began = now;
            known.accepted_in_second = 0;
        }
        if known.accepted_in_second >= ACCEPTS_PER_SECOND_MAX {
            return Err(Refusal::TooFastFromAddress);
        }
        if known.strangers >= STRANGERS_PER_ADDRESS_MAX {
            return Err(Refusal::TooManyFromAddress);
        }
        known.accepted_in_second += 1;
        known.strangers += 1;
        self.strangers += 1;
        Ok(())
    }

    fn forget_stranger(&mut self, address: IpAddr) {
        self.strangers -= 1;
        if let Some(known) = self.addresses.get_mut(&address) {
            known.strangers = known.strangers.saturating_sub(1);
        }
    }
}

fn speaks_for_others(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

const STRANGERS_MAX: usize = 4096;
const STRANGERS_PER_ADDRESS_MAX: usize = 64;
const ACCEPTS_PER_SECOND_MAX: u32 = 50;
const ADDRESSES_MAX: usize = 16 * 1024;
const SECOND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn public(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    #[test]
    fn one_address_gets_so_many_strangers() {
        let gate = Gate::default();
        let start = Instant::now();
        let mut passes = Vec::new();
        for second in 0..2 {
            let now = start + SECOND * second;
            passes.extend((0..100).map_while(|_| gate.admit(now, public(1)).ok()));
        }
        assert_eq!(passes.len(), STRANGERS_PER_ADDRESS_MAX);
        let later = start + SECOND * 9;
        assert_eq!(gate.admit(later, public(1)).err(), Some(Refusal::TooManyFromAddress));
        assert!(gate.admit(later, public(2)).is_ok(), "another address is not concerned");
        passes[0].authenticated();
        passes[0].authenticated();
        let instead = gate.admit(later, public(1));
        assert!(instead.is_ok(), "a token makes room");
        assert_eq!(gate.admit(later, public(1)).err(), Some(Refusal::TooManyFromAddress));
        drop(instead);
        drop(passes);
        assert_eq!(gate.connections(), 0);
        assert!(gate.admit(later + SECOND, public(1)).is_ok());
    }

    #[test]
    fn one_address_connects_so_often_a_second() {
        let gate = Gate::default();
        let start = Instant::now();
        let admitted = (0..100).filter(|_| gate.admit(start, public(1)).is_ok()).count();
        assert_eq!(admitted, 50);
        assert_eq!(gate.admit(start, public(1)).err(), Some(Refusal::TooFastFromAddress));
        assert!(gate.admit(start + SECOND, public(1)).is_ok());
    }

    #[test]
    fn whoever_may_speak_for_others_is_exempt() {
        for address in
            ["127.0.0.1", "10.1.2.3", "172.17.0.1", "192.168.0.1", "::1", "fd00::1", "::ffff:10.0.0.1"]
        {
            let gate = Gate::default();
            let now = Instant::now();
            let passes: Vec<_> = (0..200).map(|_| gate.admit(now, address.parse().unwrap())).collect();
            assert!(passes.iter().all(Result::is_ok), "{address}");
            assert_eq!(gate.connections(), 200);
        }
    }

    #[test]
    fn clients_of_a_trusted_proxy_are_counted_one_by_one() {
        let gate = Gate::new(&["192.0.2.0/24".parse().unwrap()]);
        let start = Instant::now();
        let proxies: Vec<_> = (0..200).map(|_| gate.admit(start, public(1)).unwrap()).collect();
        let client = IpAddr::from([203, 0, 113, 1]);
        let admitted: Vec<_> = (0..100).map_while(|_| proxies[0].behind(start, client).ok()).collect();
        assert_eq!(admitted.len(), 50);
        assert_eq!(proxies[0].behind(start, client).err(), Some(Refusal::TooFastFromAddress));
        assert!(proxies[1].behind(start, IpAddr::from([203, 0, 113, 2])).is_ok());
        drop(admitted);
        assert!(proxies[2].behind(start + SECOND, client).is_ok());
    }

    #[test]
    fn addresses_that_left_are_forgotten() {
        let gate = Gate::default();
        let start = Instant::now();
        for n in 0..u32::try_from(ADDRESSES_MAX).unwrap() {
            let address = IpAddr::from((0x0b00_0000_u32 + n).to_be_bytes());
            assert!(gate.admit(start, address).is_ok());
        }
        assert_eq!(gate.admit(start, public(1)).err(), Some(Refusal::Full));
        assert!(gate.admit(start + SECOND, public(1)).is_ok());
    }
}
