//! The resources that one media plane should have: what rooms asked for, ready to be said again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proto::key::Key;
use proto::media::v1::resource::Spec;
use proto::media::v1::{Resource, command};

use crate::media::lineage::{owners, room_of};

#[derive(Debug, Default)]
pub struct Table {
    /// Versions of each resource, oldest first: the last acknowledged one, then those on their way. Never empty.
    entries: BTreeMap<Key, VecDeque<Version>>,
    /// Owner and owned.
    owned: BTreeSet<(Key, Key)>,
}

#[derive(Debug)]
struct Version {
    revision: u64,
    resource: Resource,
}

impl Table {
    /// Notes a command as it is sent.
    pub fn note(&mut self, revision: u64, command: &command::Command) {
        match command {
            command::Command::Upsert(resource) => self.upsert(revision, resource.clone()),
            command::Command::Delete(named) => {
                if let Some(key) = Key::named_by(named) {
                    self.remove(key);
                }
            }
            command::Command::SendData(_)
            | command::Command::ReplayData(_)
            | command::Command::RequestKeyFrame(_) => {}
        }
    }

    /// Everything up to this version of the resource is behind us.
    pub fn acknowledged(&mut self, key: Key, revision: u64) {
        let Some(versions) = self.entries.get_mut(&key) else { return };
        if let Some(index) = versions.iter().position(|version| version.revision == revision) {
            versions.drain(..index);
        }
    }

    /// The media plane did not take it: what was before counts again.
    pub fn refused(&mut self, key: Key, revision: u64) {
        let Some(versions) = self.entries.get_mut(&key) else { return };
        let Some(index) = versions.iter().position(|version| version.revision == revision) else { return };
        if versions.len() == 1 {
            self.remove(key);
        } else {
            versions.remove(index);
        }
    }

    /// It was said again under another revision.
    pub fn renumber(&mut self, key: Key, revision: u64) {
        let Some(versions) = self.entries.get_mut(&key) else { return };
        let last = versions.len().saturating_sub(1);
        versions.drain(..last);
        if let Some(version) = versions.front_mut() {
            version.revision = revision;
        }
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Removes a resource with what belongs to it.
    pub fn remove(&mut self, key: Key) {
        let mut waiting = vec![key];
        while let Some(owner) = waiting.pop() {
            let range = (owner, Key::Room(0))..=(owner, Key::Route(u64::MAX));
            waiting.extend(self.owned.range(range).map(|(_, child)| *child));
            let Some(versions) = self.entries.remove(&owner) else { continue };
            let spec = versions.back().and_then(|version| version.resource.spec.as_ref());
            for above in spec.into_iter().flat_map(owners) {
                self.owned.remove(&(above, owner));
            }
        }
    }

    #[must_use]
    pub fn contains(&self, key: Key) -> bool {
        self.entries.contains_key(&key)
    }

    /// Key, revision and resource, in an order in which they can be upserted.
    pub fn iter(&self) -> impl Iterator<Item = (Key, u64, &Resource)> {
        self.entries
            .iter()
            .filter_map(|(key, versions)| versions.back().map(|last| (*key, last.revision, &last.resource)))
    }

    /// How many peers, and how many rooms, are on each worker.
    #[must_use]
    pub fn load(&self, workers: usize) -> Vec<Load> {
        let mut load = vec![Load::default(); workers];
        let mut workers_of_rooms = BTreeMap::new();
        for (_, _, resource) in self.iter().take_while(|(key, ..)| *key < Key::Publication(0)) {
            match &resource.spec {
                Some(Spec::Room(room)) => {
                    workers_of_rooms.insert(room.id, room.worker);
                    let index = usize::try_from(room.worker).unwrap_or(usize::MAX);
                    if let Some(load) = load.get_mut(index) {
                        load.rooms += 1;
                    }
                }
                Some(Spec::Peer(peer)) => {
                    let worker = peer.worker.or_else(|| workers_of_rooms.get(&peer.room).copied());
                    let index = worker.and_then(|worker| usize::try_from(worker).ok());
                    if let Some(load) = index.and_then(|index| load.get_mut(index)) {
                        load.peers += 1;
                    }
                }
                _ => {}
            }
        }
        load
    }

    fn upsert(&mut self, revision: u64, resource: Resource) {
        let Some(spec) = &resource.spec else { return };
        let key = Key::of(spec);
        let orphan = !matches!(key, Key::Room(_)) && !self.contains(Key::Room(room_of(spec)));
        if orphan {
            // It will be refused; to say it again later would be no better.
            return;
        }
        self.owned.extend(owners(spec).map(|owner| (owner, key)));
        self.entries.entry(key).or_default().push_back(Version { revision, resource });
    }
}

/// What one worker has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    pub peers: u32,
    pub rooms: u32,
    /// Its thread's share of a core lately, in thousandths.
    pub busy_permille: u32,
}

impl Load {
    /// A worker that uses as much of its core has little to spare for who is there already.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        self.busy_permille >= BUSY_PERMILLE
    }
}

const BUSY_PERMILLE: u32 = 700;

#[cfg(test)]
mod tests {
    use proto::media::v1::{Peer, Publication, Room, Route, Subscription};

    use super::*;

    fn upsert(spec: Spec, state: &str) -> command::Command {
        command::Command::Upsert(Resource {
            spec: Some(spec),
            state: state.as_bytes().to_vec(),
            ..Resource::default()
        })
    }

    fn specs() -> [Spec; 5] {
        let (room, peer) = (1, 2);
        [
            Spec::Room(Room { id: room, worker: 1, ..Room::default() }),
            Spec::Peer(Peer { id: peer, room, ..Peer::default() }),
            Spec::Publication(Publication { id: 3, room, peer, ..Publication::default() }),
            Spec::Subscription(Subscription { id: 4, room, peer, publication: 3, ..Subscription::default() }),
            Spec::Route(Route { id: 5, room, receive_peer: peer, send_peer: peer, ..Route::default() }),
        ]
    }

    fn full() -> Table {
        let mut table = Table::default();
        for (revision, spec) in (1..).zip(specs()) {
            table.note(revision, &upsert(spec, "old"));
        }
        table
    }

    fn keys(table: &Table) -> Vec<Key> {
        table.iter().map(|(key, ..)| key).collect()
    }

    #[test]
    fn deletion_takes_what_belongs_to_it() {
        for (name, key, left) in [
            ("publication", Key::Publication(3), vec![Key::Room(1), Key::Peer(2), Key::Route(5)]),
            ("peer", Key::Peer(2), vec![Key::Room(1), Key::Route(5)]),
            ("room", Key::Room(1), vec![]),
            ("unknown", Key::Peer(9), specs().iter().map(Key::of).collect()),
        ] {
            let mut table = full();
            table.note(9, &command::Command::Delete(key.message()));
            assert_eq!(keys(&table), left, "{name}");
        }
        let mut table = full();
        table.remove(Key::Room(1));
        assert!(table.owned.is_empty());
    }

    #[test]
    fn refused_version_gives_way_to_the_one_before() {
        let newest = |table: &Table| {
            let (_, revision, resource) = table.iter().find(|(key, ..)| *key == Key::Peer(2)).unwrap();
            (revision, String::from_utf8(resource.state.clone()).unwrap())
        };
        let [_, peer, ..] = specs();
        let mut table = full();
        table.note(10, &upsert(peer.clone(), "new"));
        table.note(11, &upsert(peer, "newest"));
        table.refused(Key::Peer(2), 10);
        assert_eq!(newest(&table), (11, "newest".into()), "one between");
        table.refused(Key::Peer(2), 11);
        assert_eq!(newest(&table), (2, "old".into()), "the newest");
        table.refused(Key::Peer(2), 99);
        assert_eq!(newest(&table), (2, "old".into()), "one that is not there");
        table.refused(Key::Peer(2), 2);
        assert_eq!(keys(&table), [Key::Room(1), Key::Route(5)], "the only one");
    }

    #[test]
    fn acknowledged_version_is_all_that_is_kept() {
        let [_, peer, ..] = specs();
        let mut table = full();
        table.note(10, &upsert(peer.clone(), "new"));
        table.note(11, &upsert(peer, "newest"));
        table.acknowledged(Key::Peer(2), 11);
        assert_eq!(table.entries[&Key::Peer(2)].len(), 1);
        table.acknowledged(Key::Peer(2), 10);
        assert_eq!(table.entries[&Key::Peer(2)].len(), 1, "late");
    }

    #[test]
    fn what_has_no_room_is_not_kept() {
        let mut table = Table::default();
        let [_, peer, ..] = specs();
        table.note(1, &upsert(peer, "lost"));
        assert_eq!(keys(&table), []);
    }

    #[test]
    fn load_counts_by_the_peers_worker_or_the_rooms() {
        let mut table = full();
        let elsewhere = Spec::Peer(Peer { id: 9, room: 1, worker: Some(0), ..Peer::default() });
        assert_eq!(table.load(2), [Load::default(), Load { peers: 1, rooms: 1, busy_permille: 0 }]);
        table.note(9, &upsert(elsewhere, ""));
        let rooms: Vec<u32> = table.load(2).iter().map(|load| load.rooms).collect();
        let peers: Vec<u32> = table.load(2).iter().map(|load| load.peers).collect();
        assert_eq!((peers, rooms), (vec![1, 1], vec![0, 1]));
        assert_eq!(full().load(1), [Load::default()], "a worker that is not there");
    }
}
