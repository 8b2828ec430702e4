//! One port for all workers: what reaches a worker that does not own its path is handed to the one that does.
//!
//! The kernel spreads clients over the sockets of a port by their addresses and knows nothing of peers. A connectivity
//! check names its worker: the first characters of the username are those of a ufrag that was minted for it. That worker
//! says whether the check was right, and only then is whatever else comes from that path handed to it, too. So whoever
//! can't authenticate turns nobody's path away.

use std::collections::HashMap;
use std::time::Duration;

use engine::path::Path;
use units::handle::WorkerIndex;
use units::time::Instant;
use wire::demux::Class;
use wire::stun::Message;

#[derive(Debug)]
pub struct Steering {
    own: WorkerIndex,
    workers: u16,
    /// Of other workers' peers, and when their owner said so last.
    paths: HashMap<Path, (WorkerIndex, Instant)>,
    handed_over: u64,
    dropped: u64,
    /// Paths that there was no room for.
    not_learnt: u64,
    next_sweep: Instant,
}

impl Steering {
    #[must_use]
    pub fn new(own: WorkerIndex, workers: u16) -> Self {
        Self {
            own,
            workers,
            paths: HashMap::new(),
            handed_over: 0,
            dropped: 0,
            not_learnt: 0,
            next_sweep: Instant(0),
        }
    }

    /// The other worker that a datagram is for; `None`: it is ours, or nobody's.
    #[must_use]
    pub fn owner(&self, now: Instant, path: &Path, datagram: &[u8]) -> Option<WorkerIndex> {
        if Class::of(datagram) == Ok(Class::Stun) {
            return self.named(datagram).filter(|worker| *worker != self.own);
        }
        let (worker, _) = self.paths.get(path).filter(|(_, at)| now - *at < FORGOTTEN_AFTER)?;
        Some(*worker)
    }

    /// A worker says that a path is its own. The one that said so before keeps it as long as it goes on saying so.
    pub fn learn(&mut self, now: Instant, path: Path, owner: WorkerIndex) {
        let known = self.paths.get(&path);
        if known.is_some_and(|(before, at)| *before != owner && now - *at < TAKEN_FOR) {
            return;
        }
        if known.is_none() && self.paths.len() >= PATHS_MAX {
            if now >= self.next_sweep {
                self.next_sweep = now + SWEEP_PAUSE;
                self.paths.retain(|_, (_, at)| now - *at < FORGOTTEN_AFTER);
            }
            if self.paths.len() >= PATHS_MAX {
                self.not_learnt += 1;
                return;
            }
        }
        self.paths.insert(path, (owner, now));
    }

    /// A path is ours: a client that was elsewhere came here from the same address.
    pub fn forget(&mut self, path: &Path) {
        self.paths.remove(path);
    }

    pub const fn count(&mut self, handed_over: bool) {
        if handed_over {
            self.handed_over += 1;
        } else {
            self.dropped += 1;
        }
    }

    #[must_use]
    pub fn named_counters(&self) -> [(&'static str, u64); 4] {
        [
            ("worker_datagrams_handed_over", self.handed_over),
            ("worker_datagrams_not_handed_over", self.dropped),
            ("worker_paths_not_learnt", self.not_learnt),
            ("worker_paths_of_others", self.paths.len() as u64),
        ]
    }

    /// The worker whose index in base 36 a check's username begins with.
    fn named(&self, check: &[u8]) -> Option<WorkerIndex> {
        let ufrag = Message::parse(check).ok()?.local_ufrag()?;
        let digit = |byte: u8| char::from(byte).to_digit(36).and_then(|digit| u16::try_from(digit).ok());
        let [high, low] = *ufrag.first_chunk()?;
        let index = digit(high)? * 36 + digit(low)?;
        (index < self.workers).then_some(WorkerIndex(index))
    }
}

/// More than a worker's engine has paths for peers of its own.
const PATHS_MAX: usize = 65_536;
/// Checks renew a path every few seconds; without one for this long, its peer is gone (RFC 7675 §5.1).
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);
/// Browsers check every two or three seconds: whoever does not for this long may be followed by another at its address.
const TAKEN_FOR: Duration = Duration::from_secs(10);
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use engine::path::Protocol;
    use wire::stun::write::{BindingRequest, request};
    use wire::stun::{Role, Transaction};

    use super::*;

    fn path(port: u16) -> Path {
        let address = Ipv4Addr::LOCALHOST;
        Path { protocol: Protocol::Udp, local: address.into(), remote: (address, port).into() }
    }

    fn check(username: &str) -> Vec<u8> {
        let mut datagram = vec![0; 256];
        let check = BindingRequest {
            transaction: Transaction([1; 12]),
            username: username.as_bytes(),
            priority: 1,
            role: Role::Controlling(1),
            use_candidate: false,
        };
        let len = request(&mut datagram, &check, b"whoever checks it knows").unwrap();
        datagram.truncate(len);
        datagram
    }

    const MEDIA: [u8; 12] = [0x80; 12];

    #[test]
    fn a_check_goes_to_the_worker_that_its_username_names() {
        let steering = Steering::new(WorkerIndex(1), 40);
        for (name, username, owner) in [
            ("another", "00abcdef:them", Some(0)),
            ("our own", "01abcdef:them", None),
            ("two digits", "13abcdef:them", Some(39)),
            ("no such worker", "14abcdef:them", None),
            ("no name", "--abcdef:them", None),
            ("too short", "0", None),
        ] {
            let owner = owner.map(WorkerIndex);
            assert_eq!(steering.owner(Instant(0), &path(1), &check(username)), owner, "{name}");
        }
        assert_eq!(steering.owner(Instant(0), &path(1), &[0, 1, 0]), None, "no check at all");
    }

    #[test]
    fn only_what_its_owner_confirmed_is_handed_over() {
        let mut steering = Steering::new(WorkerIndex(1), 2);
        assert_eq!(steering.owner(Instant(0), &path(1), &check("00abcdef:them")), Some(WorkerIndex(0)));
        assert_eq!(steering.owner(Instant(0), &path(1), &MEDIA), None, "a check alone turns nothing away");
        steering.learn(Instant(0), path(1), WorkerIndex(0));
        assert_eq!(steering.owner(Instant(0), &path(1), &MEDIA), Some(WorkerIndex(0)));
        assert_eq!(steering.owner(Instant(0), &path(2), &MEDIA), None, "another path");
        steering.forget(&path(1));
        assert_eq!(steering.owner(Instant(0), &path(1), &MEDIA), None, "it came to us");
    }

    #[test]
    fn a_path_in_use_is_not_taken_over() {
        let mut steering = Steering::new(WorkerIndex(1), 3);
        let mut now = Instant(0);
        for _ in 0..5 {
            steering.learn(now, path(1), WorkerIndex(0));
            steering.learn(now + Duration::from_secs(9), path(1), WorkerIndex(2));
            now += Duration::from_secs(9);
            assert_eq!(steering.owner(now, &path(1), &MEDIA), Some(WorkerIndex(0)));
        }
        steering.learn(now + Duration::from_secs(10), path(1), WorkerIndex(2));
        assert_eq!(steering.owner(now + Duration::from_secs(10), &path(1), &MEDIA), Some(WorkerIndex(2)));
    }

    #[test]
    fn paths_are_bounded_and_those_of_the_gone_make_room() {
        let mut steering = Steering::new(WorkerIndex(1), 2);
        let number = |index: usize| {
            let address = Ipv4Addr::from(u32::try_from(index).unwrap());
            Path { protocol: Protocol::Udp, local: Ipv4Addr::LOCALHOST.into(), remote: (address, 1).into() }
        };
        for index in 0..PATHS_MAX {
            steering.learn(Instant(0), number(index), WorkerIndex(0));
        }
        let soon = Instant(0) + Duration::from_secs(29);
        steering.learn(soon, number(PATHS_MAX), WorkerIndex(0));
        assert_eq!(steering.owner(soon, &number(PATHS_MAX), &MEDIA), None, "full");
        assert_eq!(steering.not_learnt, 1);
        steering.learn(soon, number(7), WorkerIndex(0));
        let later = Instant(0) + Duration::from_secs(31);
        assert_eq!(steering.owner(later, &number(8), &MEDIA), None, "not confirmed for too long");
        steering.learn(later, number(PATHS_MAX), WorkerIndex(0));
        assert_eq!(steering.owner(later, &number(PATHS_MAX), &MEDIA), Some(WorkerIndex(0)));
        assert_eq!(steering.paths.len(), 2, "the new one, and the one that was renewed");
    }
}
