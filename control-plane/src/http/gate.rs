//! How many connections without a valid token there may be, and from where: a bound on what strangers can make us hold.
//!
//! Loopback and private addresses are exempt: a proxy or a container's bridge there speaks for everybody.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Counts connections; cloned into every accept loop.
#[derive(Clone, Debug, Default)]
pub struct Gate {
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
    pub fn admit(&self, now: Instant, address: IpAddr) -> Result<Pass, Refusal> {
        let stranger = !speaks_for_others(address);
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
