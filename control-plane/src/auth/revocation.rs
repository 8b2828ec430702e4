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
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    /// By room, none of them empty.
    rooms: HashMap<String, HashMap<Bearer, Entry>>,
    /// Of all rooms together.
    len: usize,
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

/// Why a revocation is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevocationError {
    /// There are as many as are kept, of the room or of all.
    #[error("too many revocations")]
    Full,
    #[error("the name is too long to be one")]
    NameTooLong,
}

impl Revocations {
    /// Not before `until`; a time that is over lifts it.
    pub fn ban(&self, now: SystemTime, subject: Subject, until: u64) -> Result<(), RevocationError> {
        self.change(now, subject, |entry| Entry { banned_until: until, ..entry })
    }

    /// Only with a token that is valid from `issued_from` on, or later.
    pub fn revoke_before(
        &self,
        now: SystemTime,
        subject: Subject,
        issued_from: u64,
    ) -> Result<(), RevocationError> {
        let kept_until = seconds(now).saturating_add(KEPT.as_secs());
        self.change(now, subject, |entry| Entry { issued_from, kept_until, ..entry })
    }

    /// Whether the bearer of a token may not enter a room, or, without a room, not do anything.
    #[must_use]
    pub fn concern(&self, now: SystemTime, room: &str, claims: &Claims) -> bool {
        let entries = self.lock();
        if entries.len == 0 {
            return false;
        }
        let now = seconds(now);
        let bearers = [
            (!claims.identity.is_empty()).then(|| Bearer::Identity(claims.identity.clone())),
            (!claims.token_id.is_empty()).then(|| Bearer::Token(claims.token_id.clone())),
        ];
        let mut found = bearers.iter().flatten().flat_map(|bearer| {
            let everywhere = entries.get("", bearer);
            everywhere.into_iter().chain(entries.get(room, bearer))
        });
        found.any(|entry| {
            now < entry.banned_until || claims.not_before.unwrap_or_default() < entry.issued_from
        })
    }

    /// Whether there is a ban just now.
    #[must_use]
    pub fn holds(&self, now: SystemTime, subject: &Subject) -> bool {
        self.lock().get(&subject.room, &subject.bearer).is_some_and(|entry| seconds(now) < entry.banned_until)
    }

    /// Whether a token is not valid for anything any more.
    #[must_use]
    pub fn concern_token(&self, now: SystemTime, claims: &Claims) -> bool {
        let token = Claims { token_id: claims.token_id.clone(), ..Claims::default() };
        self.concern(now, "", &token)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().len == 0
    }

    fn change(
        &self,
        now: SystemTime,
        subject: Subject,
        change: impl FnOnce(Entry) -> Entry,
    ) -> Result<(), RevocationError> {
        if subject.room.len().max(subject.bearer.name().len()) > NAME_LEN_MAX {
            return Err(RevocationError::NameTooLong);
        }
        let now = seconds(now);
        let mut entries = self.lock();
        let known = entries.get(&subject.room, &subject.bearer).copied();
        let changed = change(known.unwrap_or_default());
        if changed.is_over(now) {
            entries.remove(&subject);
            return Ok(());
        }
        if known.is_none() && entries.is_full_for(&subject.room) {
            entries.forget_over(now);
            if entries.is_full_for(&subject.room) {
                return Err(RevocationError::Full);
            }
        }
        entries.insert(subject, changed);
        Ok(())
    }

    /// A panic while the map is locked cannot leave it half changed.
    fn lock(&self) -> std::sync::MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn get(&self, room: &str, bearer: &Bearer) -> Option<&Entry> {
        self.rooms.get(room)?.get(bearer)
    }

    fn insert(&mut self, subject: Subject, entry: Entry) {
        let former = self.rooms.entry(subject.room).or_default().insert(subject.bearer, entry);
        self.len += usize::from(former.is_none());
    }

    fn remove(&mut self, subject: &Subject) {
        let Some(of_room) = self.rooms.get_mut(&subject.room) else { return };
        self.len -= usize::from(of_room.remove(&subject.bearer).is_some());
        if of_room.is_empty() {
            self.rooms.remove(&subject.room);
        }
    }

    /// Who administers one room does not take the place of the others'. What holds everywhere has no such bound.
    fn is_full_for(&self, room: &str) -> bool {
        let of_room = || self.rooms.get(room).map_or(0, HashMap::len);
        self.len >= ENTRIES_MAX || (!room.is_empty() && of_room() >= ENTRIES_OF_ROOM_MAX)
    }

    fn forget_over(&mut self, now: u64) {
        self.rooms.retain(|_, of_room| {
            of_room.retain(|_, entry| !entry.is_over(now));
            !of_room.is_empty()
        });
        self.len = self.rooms.values().map(HashMap::len).sum();
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
/// As long as limits let names be by default, and then some.
const NAME_LEN_MAX: usize = 1_024;
/// Some 10 MB with names as they are; 140 MB if each is as long as it may be.
const ENTRIES_MAX: usize = 65_536;
const ENTRIES_OF_ROOM_MAX: usize = 4_096;

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
        let ban = |second: u64, room: &str, name: &str| {
            revocations.ban(at(second), identity(room, name), second + 60)
        };
        for index in 0..ENTRIES_OF_ROOM_MAX {
            ban(NOW, "r", &index.to_string()).unwrap();
        }
        assert_eq!(ban(NOW, "r", "alice"), Err(RevocationError::Full), "of one room");
        assert_eq!(revocations.ban(at(NOW), identity("r", "alice"), NOW), Ok(()), "there is nothing to keep");
        assert_eq!(ban(NOW, "s", "alice"), Ok(()), "another room has places of its own");
        for index in revocations.len()..ENTRIES_MAX {
            ban(NOW, "", &index.to_string()).unwrap();
        }
        assert_eq!(ban(NOW, "", "alice"), Err(RevocationError::Full), "of all rooms");
        assert_eq!(ban(NOW, "s", "bob"), Err(RevocationError::Full), "of all rooms");
        assert_eq!(ban(NOW + 30, "r", "7"), Ok(()), "it is there already");
        assert_eq!(ban(NOW + 60, "r", "alice"), Ok(()));
        assert_eq!(revocations.len(), 2);
    }

    #[test]
    fn names_that_are_none_are_not_kept() {
        let revocations = Revocations::default();
        let long = "x".repeat(NAME_LEN_MAX + 1);
        for subject in [identity("r", &long), token("r", &long), identity(&long, "alice")] {
            assert_eq!(
                revocations.revoke_before(at(NOW), subject.clone(), NOW),
                Err(RevocationError::NameTooLong)
            );
            assert_eq!(revocations.ban(at(NOW), subject, NOW + 60), Err(RevocationError::NameTooLong));
        }
        assert_eq!(revocations.ban(at(NOW), identity(&long[1..], &long[1..]), NOW + 60), Ok(()));
        assert_eq!(revocations.len(), 1);
    }
}
