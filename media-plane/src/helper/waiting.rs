//! Datagrams of peers that we do not know yet: the order that tells of a peer and its first datagram take two ways.

use std::time::{Duration, Instant};

use indexmap::IndexMap;
use units::handle::PeerId;

const PEERS_MAX: usize = 256;
/// A ClientHello in two datagrams, and its retransmission.
const DATAGRAMS_MAX: usize = 4;
const AGE_MAX: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// In the order of arrival.
    peers: IndexMap<PeerId, Early>,
}

#[derive(Debug)]
struct Early {
    since: Instant,
    datagrams: Vec<Box<[u8]>>,
}

impl Waiting {
    /// Returns whether there was room.
    pub(crate) fn push(&mut self, now: Instant, peer: PeerId, bytes: Box<[u8]>) -> bool {
        if !self.peers.contains_key(&peer) && self.peers.len() >= PEERS_MAX {
            return false;
        }
        let early = self.peers.entry(peer).or_insert_with(|| Early { since: now, datagrams: Vec::new() });
        if early.datagrams.len() >= DATAGRAMS_MAX {
            return false;
        }
        early.datagrams.push(bytes);
        true
    }

    pub(crate) fn take(&mut self, peer: PeerId) -> Vec<Box<[u8]>> {
        self.peers.shift_remove(&peer).map(|early| early.datagrams).unwrap_or_default()
    }

    /// Returns how many datagrams waited in vain.
    pub(crate) fn expire(&mut self, now: Instant) -> u64 {
        let mut expired = 0;
        while let Some((_, early)) = self.peers.first()
            && now.saturating_duration_since(early.since) > AGE_MAX
        {
            expired += early.datagrams.len() as u64;
            self.peers.shift_remove_index(0);
        }
        expired
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_wait_and_not_for_long() {
        let start = Instant::now();
        let mut waiting = Waiting::default();
        for index in 0..6 {
            assert_eq!(waiting.push(start, PeerId(1), Box::from([index])), index < 4);
        }
        for peer in 2..=256 {
            assert!(waiting.push(start, PeerId(peer), Box::default()));
        }
        assert!(!waiting.push(start, PeerId(257), Box::default()));
        assert_eq!(waiting.take(PeerId(1)).len(), 4);
        assert!(waiting.take(PeerId(1)).is_empty());
        assert_eq!(waiting.expire(start + Duration::from_millis(900)), 0);
        assert_eq!(waiting.expire(start + Duration::from_millis(1100)), 255);
    }
}
