//! The table of resources: what the control plane asked for, with its own bytes and revisions.
//!
//! The table is ahead of the workers: an upsert enters it when it is sent to the worker, and what the worker refuses
//! leaves it again. Until the worker answered, the versions before are kept.

pub mod lineage;
pub mod refusal;
#[cfg(test)]
pub(crate) mod samples;
pub mod status;
pub mod translate;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use engine::command::Command;
use proto::key::{Key, Kind};
use proto::media::v1::resource::Spec;
use proto::media::v1::{RefusalReason, Resource};
use units::handle::{PeerId, PublicationId, RoomId, RouteId, SubscriptionId, WorkerIndex};

use crate::helper::input::Input;
use crate::resource::lineage::Lineage;
use crate::resource::refusal::Refused;
use crate::resource::status::Status;

#[derive(Debug)]
pub struct Table {
    entries: BTreeMap<Key, Entry>,
    /// Owner and owned.
    owned: BTreeSet<(Key, Key)>,
    counts: [usize; Kind::ALL.len()],
    peers_by_worker: Vec<u32>,
    state_len: usize,
    limits: Limits,
}

/// How much there may be in a media plane; engines have their own bounds per worker.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// By kind, in the order of [`Kind::ALL`].
    pub counts: [usize; Kind::ALL.len()],
    /// Bytes of control-plane state: of one resource, and of all.
    pub state_len: usize,
    pub state_len_total: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            counts: [65_536, 65_536, 262_144, 1_048_576, 65_536],
            state_len: 1024 * 1024,
            state_len_total: 512 * 1024 * 1024,
        }
    }
}

#[derive(Debug)]
struct Entry {
    lineage: Lineage,
    worker: WorkerIndex,
    /// Oldest first: the one that the worker applied last, then those that it has not answered yet. Never empty.
    versions: VecDeque<Version>,
    status: Status,
}

#[derive(Debug)]
struct Version {
    resource: Arc<Resource>,
    /// What the helper was told, in case that it must be told again.
    data: Option<Box<crate::helper::input::PeerSpec>>,
}

/// What a command means to a worker and to the helper.
#[derive(Debug)]
pub struct Change {
    pub worker: WorkerIndex,
    pub media: Option<Command>,
    pub data: Option<Input>,
}

impl Table {
    #[must_use]
    pub fn new(workers: u16, limits: Limits) -> Self {
        Self {
            entries: BTreeMap::new(),
            owned: BTreeSet::new(),
            counts: [0; Kind::ALL.len()],
            peers_by_worker: vec![0; workers.into()],
            state_len: 0,
            limits,
        }
    }

    /// Enters a resource, as control plane `epoch` wants it.
    ///
    /// # Errors
    /// When the resource is not of a form that is allowed, refers to what is not there, or is another's.
    pub fn upsert(
        &mut self,
        epoch: u64,
        revision: u64,
        resource: Resource,
    ) -> Result<(Key, Change), Refused> {
        let spec =
            resource.spec.as_ref().ok_or_else(|| Refused::invalid("the resource has no spec".into()))?;
        let (key, lineage) = (Key::of(spec), Lineage::of(spec));
        self.check_form(key, lineage, &resource)?;
        let worker = self.check_place(epoch, key, lineage)?;
        let invalid = |detail: String| Refused::invalid(format!("{key}: {detail}"));
        let mut helper_peer = None;
        let (media, data) = match spec {
            Spec::Room(room) => (Some(Command::UpsertRoom(translate::room(room).map_err(invalid)?)), None),
            Spec::Peer(peer) => {
                let (media, data) = translate::peer(peer, worker).map_err(invalid)?;
                helper_peer = Some(Box::new(data.clone()));
                (Some(Command::UpsertPeer(Box::new(media))), Some(Input::UpsertPeer(Box::new(data))))
            }
            Spec::Publication(publication) => {
                let media = translate::publication(publication).map_err(invalid)?;
                (Some(Command::UpsertPublication(Box::new(media))), None)
            }
            Spec::Subscription(subscription) => {
                let media = translate::subscription(subscription).map_err(invalid)?;
                (Some(Command::UpsertSubscription(Box::new(media))), None)
            }
            Spec::Route(route) => {
                (None, Some(Input::UpsertRoute(Box::new(translate::route(route).map_err(invalid)?))))
            }
        };
        let answered_at_once = media.is_none();
        let resource = Arc::new(Resource { revision, lease_epoch: epoch, status: None, ..resource });
        self.enter(key, lineage, worker, Version { resource, data: helper_peer });
        self.take_lease(epoch, key, lineage);
        if answered_at_once {
            self.applied(key, revision);
        }
        Ok((key, Change { worker, media, data }))
    }

    /// Deletes a resource and what belongs to it; `None` if it is not there.
    ///
    /// # Errors
    /// When a later control plane has the room.
    pub fn delete(&mut self, epoch: u64, key: Key) -> Result<Option<Change>, Refused> {
        let Some(entry) = self.entries.get(&key) else { return Ok(None) };
        let (lineage, worker) = (entry.lineage, entry.worker);
        self.check_lease(epoch, key, lineage)?;
        self.take_lease(epoch, key, lineage);
        self.remove(key);
        Ok(Some(deletion(key, worker)))
    }

    /// The worker applied the upsert of `revision`: versions before it are forgotten.
    pub fn applied(&mut self, key: Key, revision: u64) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let Some(index) = entry.versions.iter().position(|version| version.resource.revision == revision)
        else {
            return;
        };
        for version in entry.versions.drain(..index) {
            self.state_len -= version.resource.state.len();
        }
    }

    /// The worker refused the upsert of `revision`: it is taken back. What the helper must be told for that.
    #[must_use]
    pub fn refused(&mut self, key: Key, revision: u64) -> Vec<Input> {
        let Some(entry) = self.entries.get_mut(&key) else { return Vec::new() };
        let Some(index) = entry.versions.iter().position(|version| version.resource.revision == revision)
        else {
            return Vec::new();
        };
        if entry.versions.len() == 1 {
            let orphans = self.remove(key);
            return orphans.into_iter().filter_map(|orphan| deletion(orphan, WorkerIndex(0)).data).collect();
        }
        let was_newest = index + 1 == entry.versions.len();
        if let Some(version) = entry.versions.remove(index) {
            self.state_len -= version.resource.state.len();
        }
        let restored = entry.versions.back().and_then(|version| version.data.clone());
        restored.filter(|_| was_newest).map(Input::UpsertPeer).into_iter().collect()
    }

    /// Removes a resource and what belongs to it; tells everything that was removed.
    pub fn remove(&mut self, key: Key) -> Vec<Key> {
        let mut removed = vec![key];
        // A subscription has three owners, and a room may have a hundred thousand of them.
        let mut seen = BTreeSet::from([key]);
        let mut next = 0;
        while let Some(&owner) = removed.get(next) {
            next += 1;
            let children = self.owned.range((owner, Key::Room(0))..).take_while(|(of, _)| *of == owner);
            for (_, child) in children {
                if seen.insert(*child) {
                    removed.push(*child);
                }
            }
        }
        removed.retain(|key| self.remove_one(*key));
        removed
    }

    pub fn status(&mut self, key: Key) -> Option<&mut Status> {
        self.entries.get_mut(&key).map(|entry| &mut entry.status)
    }

    /// The room of a resource, which is itself for a room.
    #[must_use]
    pub fn room_of(&self, key: Key) -> Option<u64> {
        let entry = self.entries.get(&key)?;
        Some(entry.lineage.room().unwrap_or_else(|| key.id()))
    }

    #[must_use]
    pub fn worker_of(&self, key: Key) -> Option<WorkerIndex> {
        self.entries.get(&key).map(|entry| entry.worker)
    }

    /// The lease epoch of the control plane that a room belongs to.
    #[must_use]
    pub fn lease_of(&self, room: u64) -> Option<u64> {
        self.entries.get(&Key::Room(room)).and_then(Entry::newest).map(|resource| resource.lease_epoch)
    }

    /// Whether control plane `epoch` may command what is in the room of `key`; it has the room then.
    ///
    /// # Errors
    /// When the resource is not there, or a later control plane has its room.
    pub fn claim(&mut self, epoch: u64, key: Key) -> Result<WorkerIndex, Refused> {
        let entry = self.entries.get(&key).ok_or_else(|| unknown(key))?;
        let (lineage, worker) = (entry.lineage, entry.worker);
        self.check_lease(epoch, key, lineage)?;
        self.take_lease(epoch, key, lineage);
        Ok(worker)
    }

    /// Every resource with what is so now, in the order in which it could be upserted.
    #[must_use]
    pub fn snapshot(&self) -> Vec<(Arc<Resource>, Status)> {
        self.entries
            .values()
            .filter_map(|entry| Some((Arc::clone(entry.newest()?), entry.status.clone())))
            .collect()
    }

    /// The rooms or peers of one worker, as they were asked for.
    #[must_use]
    pub fn on_worker(&self, worker: WorkerIndex, kind: Kind) -> Vec<(Key, Arc<Resource>)> {
        self.entries
            .iter()
            .filter(|(key, entry)| key.kind() == kind && entry.worker == worker)
            .filter_map(|(key, entry)| Some((*key, Arc::clone(entry.newest()?))))
            .collect()
    }

    #[must_use]
    pub const fn count(&self, kind: Kind) -> usize {
        self.counts[kind as usize]
    }

    /// Peers that a worker has.
    #[must_use]
    pub fn peers_on_worker(&self, worker: WorkerIndex) -> u32 {
        self.peers_by_worker.get(usize::from(worker.0)).copied().unwrap_or(0)
    }

    #[must_use]
    pub const fn state_len(&self) -> usize {
        self.state_len
    }

    /// What can be seen of the resource itself.
    fn check_form(&self, key: Key, lineage: Lineage, resource: &Resource) -> Result<(), Refused> {
        if key.id() == 0 {
            return Err(Refused::invalid(format!("a {} has id 0", key.kind().name())));
        }
        if resource.state.len() > self.limits.state_len {
            return Err(Refused::invalid(format!(
                "{key} has {} bytes of state, more than {}",
                resource.state.len(),
                self.limits.state_len
            )));
        }
        if self.state_len + resource.state.len() > self.limits.state_len_total {
            return Err(Refused::new(RefusalReason::Limit, "there is no room for more state".into()));
        }
        match self.entries.get(&key) {
            Some(entry) if entry.lineage != lineage => {
                Err(Refused::invalid(format!("{key} was {:?} and cannot become {lineage:?}", entry.lineage)))
            }
            Some(entry) if entry.versions.len() > VERSIONS_MAX => {
                Err(Refused::new(RefusalReason::Limit, format!("{key} has too many unanswered upserts")))
            }
            None if self.count(key.kind()) >= self.limits.counts[key.kind() as usize] => {
                let kind = key.kind().name();
                Err(Refused::new(RefusalReason::Limit, format!("this media plane holds no further {kind}")))
            }
            _ => Ok(()),
        }
    }

    /// What can be seen of the resource among the others.
    fn check_place(&self, epoch: u64, key: Key, lineage: Lineage) -> Result<WorkerIndex, Refused> {
        self.check_lease(epoch, key, lineage)?;
        let Some(room) = lineage.room() else {
            let Lineage::Room { worker } = lineage else { return Err(unknown(key)) };
            return match u16::try_from(worker) {
                Ok(index) if usize::from(index) < self.peers_by_worker.len() => Ok(WorkerIndex(index)),
                _ => {
                    let workers = self.peers_by_worker.len();
                    Err(Refused::invalid(format!("{key} is on worker {worker} of {workers}")))
                }
            };
        };
        for needed in lineage.needs() {
            match self.entries.get(&needed) {
                None => return Err(unknown(needed)),
                Some(entry) if entry.lineage.room() != Some(room) => {
                    return Err(Refused::invalid(format!("{key} is in room {room}, {needed} is not")));
                }
                Some(_) => {}
            }
        }
        self.worker_of(Key::Room(room)).ok_or_else(|| unknown(Key::Room(room)))
    }

    fn check_lease(&self, epoch: u64, key: Key, lineage: Lineage) -> Result<(), Refused> {
        let room = lineage.room().unwrap_or_else(|| key.id());
        match self.lease_of(room) {
            Some(lease) if lease > epoch => Err(Refused::new(
                RefusalReason::Stale,
                format!(
                    "room {room} belongs to the control plane with lease epoch {lease}, later than {epoch}"
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Whoever commands a room has it from then on.
    fn take_lease(&mut self, epoch: u64, key: Key, lineage: Lineage) {
        let room = Key::Room(lineage.room().unwrap_or_else(|| key.id()));
        let newest = self.entries.get_mut(&room).and_then(|entry| entry.versions.back_mut());
        if let Some(version) = newest
            && version.resource.lease_epoch < epoch
        {
            Arc::make_mut(&mut version.resource).lease_epoch = epoch;
        }
    }

    fn enter(&mut self, key: Key, lineage: Lineage, worker: WorkerIndex, version: Version) {
        self.state_len += version.resource.state.len();
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.versions.push_back(version);
            return;
        }
        self.counts[key.kind() as usize] += 1;
        if let (Kind::Peer, Some(peers)) = (key.kind(), self.peers_by_worker.get_mut(usize::from(worker.0))) {
            *peers += 1;
        }
        self.owned.extend(lineage.owners().map(|owner| (owner, key)));
        let status = Status::new(key.kind());
        self.entries.insert(key, Entry { lineage, worker, versions: VecDeque::from([version]), status });
    }

    fn remove_one(&mut self, key: Key) -> bool {
        let Some(entry) = self.entries.remove(&key) else { return false };
        self.counts[key.kind() as usize] -= 1;
        let peers = self.peers_by_worker.get_mut(usize::from(entry.worker.0));
        if let (Kind::Peer, Some(peers)) = (key.kind(), peers) {
            *peers -= 1;
        }
        self.state_len -= entry.versions.iter().map(|version| version.resource.state.len()).sum::<usize>();
        for owner in entry.lineage.owners() {
            self.owned.remove(&(owner, key));
        }
        true
    }
}

impl Entry {
    fn newest(&self) -> Option<&Arc<Resource>> {
        self.versions.back().map(|version| &version.resource)
    }
}

/// Engine and helper delete what belongs to the resource themselves.
const fn deletion(key: Key, worker: WorkerIndex) -> Change {
    let (media, data) = match key {
        Key::Room(id) => (Some(Command::DeleteRoom(RoomId(id))), Some(Input::DeleteRoom(RoomId(id)))),
        Key::Peer(id) => (Some(Command::DeletePeer(PeerId(id))), Some(Input::DeletePeer(PeerId(id)))),
        Key::Publication(id) => (Some(Command::DeletePublication(PublicationId(id))), None),
        Key::Subscription(id) => (Some(Command::DeleteSubscription(SubscriptionId(id))), None),
        Key::Route(id) => (None, Some(Input::DeleteRoute(RouteId(id)))),
    };
    Change { worker, media, data }
}

fn unknown(key: Key) -> Refused {
    Refused::new(RefusalReason::Unknown, format!("there is no {key}"))
}

/// Upserts of one resource that may wait for the worker's answer.
const VERSIONS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::samples;

    fn table() -> Table {
        Table::new(2, Limits::default())
    }

    /// Enters a resource under revision and epoch, as applied by the worker.
    fn put(table: &mut Table, epoch: u64, revision: u64, spec: Spec) -> Result<(), Refused> {
        let (key, _) = table.upsert(epoch, revision, samples::resource(spec))?;
        table.applied(key, revision);
        Ok(())
    }

    /// A room with two peers, a publication and a subscription to it, and a route.
    fn full() -> Table {
        let mut table = table();
        let specs = [
            Spec::Room(samples::room(1, 0)),
            Spec::Peer(samples::peer(2, 1)),
            Spec::Peer(samples::peer(3, 1)),
            Spec::Publication(samples::publication(4, 2, 1)),
            Spec::Subscription(samples::subscription(5, 3, 4, 1)),
            Spec::Route(samples::route(6, 2, 1)),
        ];
        for (revision, spec) in (1..).zip(specs) {
            put(&mut table, 1, revision, spec).unwrap();
        }
        table
    }

    fn keys(table: &Table) -> Vec<Key> {
        table.entries.keys().copied().collect()
    }

    #[test]
    fn deletion_takes_what_belongs_to_it() {
        let all = keys(&full());
        for (name, key, gone) in [
            ("subscription", Key::Subscription(5), vec![Key::Subscription(5)]),
            ("publication", Key::Publication(4), vec![Key::Publication(4), Key::Subscription(5)]),
            ("publisher", Key::Peer(2), vec![Key::Peer(2), Key::Publication(4), Key::Subscription(5)]),
            ("subscriber", Key::Peer(3), vec![Key::Peer(3), Key::Subscription(5)]),
            ("route", Key::Route(6), vec![Key::Route(6)]),
            ("room", Key::Room(1), all.clone()),
        ] {
            let mut table = full();
            assert!(table.delete(1, key).unwrap().is_some(), "{name}");
            let left: Vec<Key> = all.iter().copied().filter(|key| !gone.contains(key)).collect();
            assert_eq!(keys(&table), left, "{name}");
            assert!(table.delete(1, key).unwrap().is_none(), "{name}: again");
        }
    }

    #[test]
    fn deletion_of_a_large_room_is_no_stall() {
        let mut table = full();
        for id in 0..50_000 {
            put(&mut table, 1, 100 + id, Spec::Subscription(samples::subscription(10 + id, 3, 4, 1)))
                .unwrap();
        }
        let start = std::time::Instant::now();
        table.delete(1, Key::Room(1)).unwrap();
        assert!(start.elapsed() < std::time::Duration::from_secs(5), "{:?}", start.elapsed());
        assert_eq!(keys(&table), []);
    }

    #[test]
    fn an_empty_table_holds_nothing_back() {
        let mut table = full();
        table.delete(1, Key::Room(1)).unwrap();
        assert!(table.owned.is_empty());
        assert_eq!((table.counts, table.state_len, table.peers_by_worker), ([0; 5], 0, vec![0, 0]));
    }

    #[test]
    fn what_refers_to_nothing_is_refused() {
        use RefusalReason::{Invalid, Stale, Unknown};
        for (name, epoch, spec, reason) in [
            ("no such room", 1, Spec::Peer(samples::peer(9, 7)), Unknown),
            ("no such peer", 1, Spec::Publication(samples::publication(9, 8, 1)), Unknown),
            ("no such publication", 1, Spec::Subscription(samples::subscription(9, 3, 8, 1)), Unknown),
            ("no such peer for a route", 1, Spec::Route(samples::route(9, 8, 1)), Unknown),
            ("peer of another room", 1, Spec::Publication(samples::publication(9, 2, 10)), Invalid),
            ("moved to another peer", 1, Spec::Publication(samples::publication(4, 3, 1)), Invalid),
            ("moved to another worker", 1, Spec::Room(samples::room(1, 1)), Invalid),
            ("no such worker", 1, Spec::Room(samples::room(9, 2)), Invalid),
            ("id 0", 1, Spec::Room(samples::room(0, 0)), Invalid),
            ("older control plane", 0, Spec::Peer(samples::peer(9, 1)), Stale),
        ] {
            let mut table = full();
            put(&mut table, 1, 9, Spec::Room(samples::room(10, 0))).unwrap();
            let before = keys(&table);
            let refused = table.upsert(epoch, 20, samples::resource(spec)).unwrap_err();
            assert_eq!(refused.reason, reason, "{name}: {}", refused.detail);
            assert_eq!(keys(&table), before, "{name}");
        }
    }

    #[test]
    fn limits_refuse() {
        let limits = Limits { counts: [1; 5], state_len: 10, state_len_total: 12 };
        let mut table = Table::new(1, limits);
        put(&mut table, 1, 1, Spec::Room(samples::room(1, 0))).unwrap();
        let second = put(&mut table, 1, 2, Spec::Room(samples::room(2, 0))).unwrap_err();
        assert_eq!(second.reason, RefusalReason::Limit);
        for (name, len, reason) in [("one", 11, RefusalReason::Invalid), ("all", 8, RefusalReason::Limit)] {
            let state = vec![0; len];
            let resource = Resource { state, ..samples::resource(Spec::Room(samples::room(1, 0))) };
            assert_eq!(table.upsert(1, 3, resource).unwrap_err().reason, reason, "{name}");
        }
    }

    #[test]
    fn whoever_commands_a_room_has_it() {
        let mut table = full();
        assert_eq!(table.lease_of(1), Some(1));
        put(&mut table, 3, 20, Spec::Peer(samples::peer(2, 1))).unwrap();
        assert_eq!(table.lease_of(1), Some(3), "by an upsert within it");
        for (name, stale) in [
            ("upsert", table.upsert(2, 21, samples::resource(Spec::Room(samples::room(1, 0)))).map(|_| ())),
            ("delete", table.delete(2, Key::Peer(2)).map(|_| ())),
            ("claim", table.claim(2, Key::Publication(4)).map(|_| ())),
        ] {
            assert_eq!(stale.unwrap_err().reason, RefusalReason::Stale, "{name}");
        }
        table.claim(4, Key::Publication(4)).unwrap();
        assert_eq!(table.lease_of(1), Some(4), "by a claim");
    }

    #[test]
    fn refused_upsert_restores_what_was() {
        let mut table = full();
        let state = |table: &Table| table.entries[&Key::Peer(2)].newest().unwrap().state.clone();
        let upsert = |table: &mut Table, revision, text: &[u8]| {
            let resource = samples::resource(Spec::Peer(samples::peer(2, 1)));
            table.upsert(1, revision, Resource { state: text.to_vec(), ..resource }).unwrap();
        };
        upsert(&mut table, 21, b"first");
        upsert(&mut table, 22, b"second");
        assert_eq!(state(&table), b"second");
        assert!(table.refused(Key::Peer(2), 21).is_empty(), "the newest counts for the helper");
        assert_eq!(state(&table), b"second");
        let told = table.refused(Key::Peer(2), 22);
        assert!(matches!(told.as_slice(), [Input::UpsertPeer(_)]), "the helper hears the old one again");
        assert_eq!(state(&table), b"state");
        table.delete(1, Key::Room(1)).unwrap();
        assert_eq!(table.state_len, 0);
    }

    #[test]
    fn refused_new_resource_goes_with_what_was_built_on_it() {
        let mut table = table();
        put(&mut table, 1, 1, Spec::Room(samples::room(1, 0))).unwrap();
        table.upsert(1, 2, samples::resource(Spec::Peer(samples::peer(2, 1)))).unwrap();
        table.upsert(1, 3, samples::resource(Spec::Publication(samples::publication(4, 2, 1)))).unwrap();
        let told = table.refused(Key::Peer(2), 2);
        assert!(matches!(told.as_slice(), [Input::DeletePeer(PeerId(2))]));
        assert_eq!(keys(&table), [Key::Room(1)]);
        assert!(table.refused(Key::Publication(4), 3).is_empty(), "gone already");
    }

    #[test]
    fn snapshot_is_in_the_order_of_upserts() {
        let table = full();
        let mut again = self::table();
        for (resource, _) in table.snapshot() {
            let revision = resource.revision;
            again.upsert(2, revision, Arc::unwrap_or_clone(resource)).unwrap();
        }
        assert_eq!(keys(&again), keys(&table));
    }
}
