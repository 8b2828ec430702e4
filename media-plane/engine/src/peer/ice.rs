//! ICE-lite: whose connectivity checks are accepted, and which of the validated addresses is sent to (RFC 8445).
//!
//! We are always the controlled agent and send no checks. The selected path moves only to a nominated one of higher
//! candidate priority, or when the selected one has had no valid check for 3 s: Firefox nominates aggressively.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use units::time::Instant;

use crate::command::{IceCredentials, PeerSpec};
use crate::path::Path;

#[derive(Debug)]
pub struct Ice {
    credentials: Vec<Credentials>,
    tuples: Vec<Tuple>,
    selected: Option<Path>,
    tuples_max: usize,
    generation: u32,
}

/// Credentials under which checks are accepted: ours, and the client's ufrag for them.
#[derive(Debug)]
pub struct Credentials {
    pub local: IceCredentials,
    /// Empty: not checked.
    pub remote_ufrag: String,
    /// Greater for newer ones.
    generation: u32,
    expires_at: Option<Instant>,
    /// Not valid any more; kept so that the same list again does not bring them back.
    expired: bool,
}

/// An address from which a valid check came.
#[derive(Clone, Copy, Debug)]
struct Tuple {
    path: Path,
    priority: u32,
    nominated: bool,
    checked_at: Instant,
    generation: u32,
}

/// What an authenticated check says.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    pub path: Path,
    pub priority: u32,
    pub use_candidate: bool,
    pub generation: u32,
}

/// What became of an authenticated check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// The path is new among the peer's.
    pub added: bool,
    /// A path that had to give way.
    pub evicted: Option<Path>,
    /// The path that is sent to from now on.
    pub selected: Option<Path>,
}

/// There is no room for another path of this peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyTuples;

impl Ice {
    #[must_use]
    pub const fn new(tuples_max: usize) -> Self {
        Self { credentials: Vec::new(), tuples: Vec::new(), selected: None, tuples_max, generation: 0 }
    }

    /// Takes the credentials of `spec`, newest first; those that stay keep their age.
    pub fn update(&mut self, spec: &PeerSpec) {
        let mut before = core::mem::take(&mut self.credentials);
        for (index, local) in spec.local_ice.iter().enumerate().rev() {
            let remote_ufrag = spec.remote_ufrags.get(index).cloned().unwrap_or_default();
            let known = before.iter().position(|credentials| credentials.local == *local);
            let credentials = if let Some(at) = known {
                Credentials { remote_ufrag, ..before.remove(at) }
            } else {
                self.generation += 1;
                Credentials {
                    local: local.clone(),
                    remote_ufrag,
                    generation: self.generation,
                    expires_at: None,
                    expired: false,
                }
            };
            self.credentials.push(credentials);
        }
    }

    /// Learns from a check whose integrity was verified.
    pub fn checked(&mut self, now: Instant, check: &Check) -> Result<Checked, TooManyTuples> {
        let mut outcome = Checked::default();
        if let Some(tuple) = self.tuples.iter_mut().find(|tuple| tuple.path == check.path) {
            tuple.checked_at = now;
            // A check that was on its way when newer credentials came says nothing new.
            if check.generation >= tuple.generation {
                tuple.priority = check.priority;
                tuple.nominated =
                    check.use_candidate || (tuple.nominated && tuple.generation == check.generation);
                tuple.generation = check.generation;
            }
        } else {
            outcome.evicted = self.make_room(now)?;
            outcome.added = true;
            self.tuples.push(Tuple {
                path: check.path,
                priority: check.priority,
                nominated: check.use_candidate,
                checked_at: now,
                generation: check.generation,
            });
        }
        self.retire_older(now, check.generation);
        if self.should_move_to(now, check.path) {
            self.selected = Some(check.path);
            outcome.selected = self.selected;
        }
        Ok(outcome)
    }

    /// Ends credentials whose time is over and hands over their ufrags.
    pub fn expire(&mut self, now: Instant, mut forget: impl FnMut(&str)) {
        for credentials in self.credentials.iter_mut().filter(|credentials| !credentials.expired) {
            if credentials.expires_at.is_some_and(|at| at <= now) {
                credentials.expired = true;
                forget(&credentials.local.ufrag);
            }
        }
    }

    #[must_use]
    pub fn next_expiry(&self) -> Option<Instant> {
        self.valid().filter_map(|credentials| credentials.expires_at).min()
    }

    /// The credentials with this ufrag of ours.
    #[must_use]
    pub fn credentials(&self, ufrag: &str) -> Option<&Credentials> {
        self.valid().find(|credentials| credentials.local.ufrag == ufrag)
    }

    pub fn ufrags(&self) -> impl Iterator<Item = &str> {
        self.valid().map(|credentials| credentials.local.ufrag.as_str())
    }

    pub fn paths(&self) -> impl Iterator<Item = Path> {
        self.tuples.iter().map(|tuple| tuple.path)
    }

    #[must_use]
    pub const fn selected(&self) -> Option<Path> {
        self.selected
    }

    fn valid(&self) -> impl Iterator<Item = &Credentials> {
        self.credentials.iter().filter(|credentials| !credentials.expired)
    }

    /// Drops the oldest path that is neither selected nor recent, if the table is full.
    fn make_room(&mut self, now: Instant) -> Result<Option<Path>, TooManyTuples> {
        if self.tuples.len() < self.tuples_max {
            return Ok(None);
        }
        let oldest = (0..)
            .zip(&self.tuples)
            .filter(|(_, tuple)| Some(tuple.path) != self.selected && !tuple.is_recent(now))
            .min_by_key(|(_, tuple)| tuple.checked_at);
        let (at, _) = oldest.ok_or(TooManyTuples)?;
        Ok(Some(self.tuples.remove(at).path))
    }

    /// Older credentials live on for a while after the first check with newer ones (RFC 8445 §12: ICE restart).
    fn retire_older(&mut self, now: Instant, generation: u32) {
        for credentials in self.credentials.iter_mut().filter(|older| older.generation < generation) {
            credentials.expires_at.get_or_insert(now + RETIRE_AFTER);
        }
    }

    fn should_move_to(&self, now: Instant, path: Path) -> bool {
        let Some(candidate) = self.tuple(path) else { return false };
        let sole = !self.tuples.iter().any(|tuple| tuple.path != path && tuple.is_recent(now));
        let Some(selected) = self.selected.and_then(|selected| self.tuple(selected)) else {
            return candidate.nominated || sole;
        };
        if selected.path == path {
            return false;
        }
        if !selected.is_recent(now) {
            return candidate.nominated || sole;
        }
        candidate.nominated && candidate.rank() > selected.rank()
    }

    fn tuple(&self, path: Path) -> Option<&Tuple> {
        self.tuples.iter().find(|tuple| tuple.path == path)
    }
}

impl Credentials {
    #[must_use]
    pub const fn generation(&self) -> u32 {
        self.generation
    }
}

impl Tuple {
    fn is_recent(&self, now: Instant) -> bool {
        now - self.checked_at < STALE_AFTER
    }

    /// A nominated path of a newer generation or of higher priority is better; an un-nominated one never is.
    const fn rank(&self) -> (bool, u32, u32) {
        if self.nominated { (true, self.generation, self.priority) } else { (false, 0, 0) }
    }
}

/// A path without a valid check for so long may be left.
const STALE_AFTER: Duration = Duration::from_secs(3);
/// How long credentials stay valid after the first check with newer ones.
const RETIRE_AFTER: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use core::net::{IpAddr, Ipv4Addr, SocketAddr};

    use super::*;
    use crate::path::Protocol;

    const fn ms(ms: u64) -> Instant {
        Instant(ms * 1_000_000)
    }

    fn path(port: u16) -> Path {
        Path {
            protocol: Protocol::Udp,
            local: IpAddr::V4(Ipv4Addr::LOCALHOST),
            remote: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port),
        }
    }

    /// (time in ms, port, priority, nominated, generation)
    type Step = (u64, u16, u32, bool, u32);

    #[test]
    fn selected_path_follows_decision_13() {
        let table: [(&str, &[Step], u16); 13] = [
            ("sole path before nomination", &[(0, 1, 5, false, 1)], 1),
            ("nomination replaces what was only first", &[(0, 1, 9, false, 1), (10, 2, 5, true, 1)], 2),
            ("higher priority wins", &[(0, 1, 5, true, 1), (10, 2, 9, true, 1)], 2),
            ("lower priority does not", &[(0, 1, 9, true, 1), (10, 2, 5, true, 1)], 1),
            ("equal priority does not", &[(0, 1, 9, true, 1), (10, 2, 9, true, 1)], 1),
            ("higher priority without nomination does not", &[(0, 1, 5, true, 1), (10, 2, 9, false, 1)], 1),
            ("fresh selected keeps against lower", &[(0, 1, 9, true, 1), (2_999, 2, 5, true, 1)], 1),
            ("stale selected gives way to lower", &[(0, 1, 9, true, 1), (3_000, 2, 5, true, 1)], 2),
            ("stale selected gives way to the sole one", &[(0, 1, 9, true, 1), (3_000, 2, 5, false, 1)], 2),
            (
                "stale selected does not give way to one of two without nomination",
                &[(0, 1, 9, true, 1), (2_000, 3, 4, false, 1), (3_000, 2, 5, false, 1)],
                1,
            ),
            ("newer generation wins with lower priority", &[(0, 1, 9, true, 1), (10, 2, 5, true, 2)], 2),
            (
                "older generation does not come back",
                &[(0, 1, 9, true, 1), (10, 2, 5, true, 2), (20, 1, 9, true, 1)],
                2,
            ),
            (
                "late check of an older generation says nothing",
                &[(0, 1, 9, true, 2), (10, 1, 1, false, 1), (20, 2, 5, true, 2)],
                1,
            ),
        ];
        for (name, steps, expected) in table {
            let mut ice = Ice::new(8);
            for (at, port, priority, use_candidate, generation) in steps {
                let check = Check {
                    path: path(*port),
                    priority: *priority,
                    use_candidate: *use_candidate,
                    generation: *generation,
                };
                ice.checked(ms(*at), &check).unwrap();
            }
            assert_eq!(ice.selected(), Some(path(expected)), "{name}");
        }
    }

    #[test]
    fn ninth_path_waits_until_one_is_stale() {
        let mut ice = Ice::new(8);
        let check = |port| Check { path: path(port), priority: 1, use_candidate: port == 1, generation: 1 };
        for port in 1..=8 {
            ice.checked(ms(u64::from(port)), &check(port)).unwrap();
        }
        assert_eq!(ice.checked(ms(100), &check(9)), Err(TooManyTuples));
        let outcome = ice.checked(ms(3_003), &check(9)).unwrap();
        assert_eq!((outcome.added, outcome.evicted), (true, Some(path(2))), "the selected one stays");
    }

    #[test]
    fn old_credentials_expire_30_s_after_the_first_check_with_new_ones() {
        let credentials = |ufrag: &str| IceCredentials { ufrag: ufrag.into(), password: "p".into() };
        let mut spec = crate::tests::peer_spec(1, 1);
        spec.local_ice = alloc::vec![credentials("old")];
        let mut ice = Ice::new(8);
        ice.update(&spec);
        spec.local_ice.insert(0, credentials("new"));
        ice.update(&spec);
        ice.update(&spec);
        let generation = ice.credentials("new").unwrap().generation();
        assert!(generation > ice.credentials("old").unwrap().generation());
        assert_eq!(ice.next_expiry(), None);
        ice.checked(ms(0), &Check { path: path(1), priority: 1, use_candidate: true, generation }).unwrap();
        assert_eq!(ice.next_expiry(), Some(ms(30_000)));
        ice.expire(ms(29_999), |_| panic!("not yet"));
        let mut forgotten = String::new();
        ice.expire(ms(30_000), |ufrag| forgotten.push_str(ufrag));
        assert_eq!(forgotten, "old");
        ice.update(&spec);
        assert!(ice.credentials("new").is_some() && ice.credentials("old").is_none(), "the same list again");
    }
}
