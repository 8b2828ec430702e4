//! Revocation: tokens and people that are not let in any more, although their tokens say otherwise.
//!
//! Tokens are valid until they expire, whatever happens; this is the list of exceptions. It is bounded, and kept in
//! memory: an operator's backend knows whom it banned, and says so again after a restart.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::auth::grants::Claims;

#[derive(Debug, Default)]
pub struct Revocations {
    entries: Mutex<HashMap<Subject, Entry>>,
}

/// Whom or what a revocation is about. Without a room: everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    pub room: String,
    pub bearer: Bearer,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Bearer {
    /// `sub`
    Identity(String),
    /// `jti`
    Token(String),
}

/// In seconds since 1970.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// Not let in before.
    banned_until: u64,
    /// Tokens that are older are not valid.
    issued_from: u64,
    /// Nobody has such a token any more.
    kept_until: u64,
}

/// There are as many as are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many revocations")]
pub struct Full;

impl Revocations {
    /// Not before `until`; a time that is over lifts it.
    pub fn ban(&self, now: SystemTime, subject: Subject, until: u64) -> Result<(), Full> {
        self.change(now, subject, |entry| Entry { banned_until: until, ..entry })
    }

    /// Only with a token that is valid from `issued_from` on, or later.
    pub fn revoke_before(&self, now: SystemTime, subject: Subject, issued_from: u64) -> Result<(), Full> {
        let kept_until = seconds(now).saturating_add(KEPT.as_secs());
        self.change(now, subject, |entry| Entry { issued_from, kept_until, ..entry })
    }

    /// Whether the bearer of a token may not enter a room, or, without a room, not do anything.
    #[must_use]
    pub fn concern(&self, now: SystemTime, room: &str, claims: &Claims) -> bool {
        let entries = self.lock();
        if entries.is_empty() {
            return false;
        }
        let now = seconds(now);
        let bearers = [
            (!claims.identity.is_empty()).then(|| Bearer::Identity(claims.identity.clone())),
            (!claims.token_id.is_empty()).then(|| Bearer::Token(claims.token_id.clone())),
        ];
        let subjects = bearers.into_iter().flatten().flat_map(|bearer| {
            let everywhere = Subject { room: String::new(), bearer: bearer.clone() };
            [everywhere, Subject { room: room.to_owned(), bearer }]
        });
        subjects.filter_map(|subject| entries.get(&subject)).any(|entry| {
            now < entry.banned_until || claims.not_before.unwrap_or_default() < entry.issued_from
        })
    }

    /// Whether there is a ban just now.
    #[must_use]
    pub fn holds(&self, now: SystemTime, subject: &Subject) -> bool {
        self.lock().get(subject).is_some_and(|entry| seconds(now) < entry.banned_until)
    }

    /// Whether a token is not valid for anything any more.
    #[must_use]
    pub fn concern_token(&self, now: SystemTime, claims: &Claims) -> bool {
        let token = Claims { token_id: claims.token_id.clone(), ..Claims::default() };
        self.concern(now, "", &token)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn change(
        &self,
        now: SystemTime,
        subject: Subject,
        change: impl FnOnce(Entry) -> Entry,
    ) -> Result<(), Full> {
        let now = seconds(now);
        let mut entries = self.lock();
        if entries.len() >= ENTRIES_MAX && !entries.contains_key(&subject) {
            entries.retain(|_, entry| !entry.is_over(now));
            if entries.len() >= ENTRIES_MAX {
                return Err(Full);
            }
        }
        let changed = change(entries.get(&subject).copied().unwrap_or_default());
        if changed.is_over(now) {
            entries.remove(&subject);
        } else {
            entries.insert(subject, changed);
        }
        Ok(())
    }

    /// A panic while the map is locked cannot leave it half changed.
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Subject, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bearer {
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Identity(name) | Self::Token(name) => name,
        }
    }

    #[must_use]
    pub fn is(&self, claims: &Claims) -> bool {
        match self {
            Self::Identity(identity) => *identity == claims.identity,
            Self::Token(id) => *id == claims.token_id,
        }
    }
}

impl Entry {
    const fn is_over(self, now: u64) -> bool {
        self.banned_until <= now && self.kept_until <= now
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Hardly a token is valid for longer.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3_600);
/// Some 10 MB.
const ENTRIES_MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn at(second: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(second)
    }

    fn claims(identity: &str, token_id: &str, not_before: u64) -> Claims {
        Claims {
            identity: identity.to_owned(),
            token_id: token_id.to_owned(),
            not_before: Some(not_before),
            ..Claims::default()
        }
    }

    fn identity(room: &str, identity: &str) -> Subject {
        Subject { room: room.to_owned(), bearer: Bearer::Identity(identity.to_owned()) }
    }

    fn token(room: &str, id: &str) -> Subject {
        Subject { room: room.to_owned(), bearer: Bearer::Token(id.to_owned()) }
    }

    #[test]
    fn a_ban_holds_for_its_subject_and_its_time() {
        let revocations = Revocations::default();
        let alice = claims("alice", "t1", NOW);
        assert!(!revocations.concern(at(NOW), "r", &alice));
        revocations.ban(at(NOW), identity("r", "alice"), NOW + 60).unwrap();
        revocations.ban(at(NOW), token("", "t2"), NOW + 60).unwrap();
        revocations.ban(at(NOW), token("s", "t3"), NOW + 60).unwrap();
        for (name, second, room, claims, expected) in [
            ("in the room", NOW, "r", alice.clone(), true),
            ("at the last moment", NOW + 59, "r", alice.clone(), true),
            ("when it is over", NOW + 60, "r", alice.clone(), false),
            ("with a new token", NOW + 30, "r", claims("alice", "t4", NOW + 30), true),
            ("elsewhere", NOW, "s", alice.clone(), false),
            ("somebody else", NOW, "r", claims("bob", "t1", NOW), false),
            ("a banned token anywhere", NOW, "r", claims("bob", "t2", NOW), true),
            ("a token banned from the room", NOW, "s", claims("bob", "t3", NOW), true),
            ("a token banned from another room", NOW, "r", claims("bob", "t3", NOW), false),
            ("no token id", NOW, "s", claims("bob", "", NOW), false),
        ] {
            assert_eq!(revocations.concern(at(second), room, &claims), expected, "{name}");
        }
        assert!(revocations.concern_token(at(NOW), &claims("bob", "t2", NOW)));
        assert!(!revocations.concern_token(at(NOW), &claims("bob", "t3", NOW)), "in one room only");
        assert!(!revocations.concern_token(at(NOW), &alice), "who is banned may still call the API");
        revocations.ban(at(NOW), identity("r", "alice"), 0).unwrap();
        assert!(!revocations.concern(at(NOW), "r", &alice), "lifted");
        assert_eq!(revocations.len(), 2);
    }

    #[test]
    fn older_tokens_are_revoked_and_newer_ones_are_not() {
        let revocations = Revocations::default();
        revocations.revoke_before(at(NOW), identity("r", "alice"), NOW + 60).unwrap();
        for (name, not_before, expected) in
            [("older", NOW, true), ("as old", NOW + 60, false), ("newer", NOW + 61, false)]
        {
            assert_eq!(
                revocations.concern(at(NOW + 100), "r", &claims("alice", "", not_before)),
                expected,
                "{name}"
            );
        }
        let timeless = Claims { not_before: None, ..claims("alice", "", 0) };
        assert!(revocations.concern(at(NOW), "r", &timeless), "nobody knows how old it is");
        revocations.ban(at(NOW), identity("r", "alice"), NOW + 5).unwrap();
        assert!(revocations.concern(at(NOW + 6), "r", &claims("alice", "", NOW)), "a ban does not lift it");
    }

    #[test]
    fn there_are_only_so_many_and_those_that_are_over_make_room() {
        let revocations = Revocations::default();
        for index in 0..ENTRIES_MAX {
            revocations.ban(at(NOW), identity("r", &index.to_string()), NOW + 60).unwrap();
        }
        assert_eq!(revocations.ban(at(NOW), identity("r", "alice"), NOW + 60), Err(Full));
        assert_eq!(revocations.ban(at(NOW), identity("r", "7"), NOW + 90), Ok(()), "it is there already");
        assert_eq!(revocations.ban(at(NOW + 60), identity("r", "alice"), NOW + 90), Ok(()));
        assert_eq!(revocations.len(), 2);
    }
}
