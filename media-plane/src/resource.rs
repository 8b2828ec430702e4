//! The table of resources: what the control plane asked for, with its own bytes and revisions.
//!
//! The table is ahead of the workers: an upsert enters it when it is sent to the worker, and what the worker refuses
//! leaves it again. Until the worker answered, the versions before are kept.

pub mod lineage;
pub mod presence;
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
use crate::resource::presence::Presence;
use crate::resource::refusal::Refused;
use crate::resource::status::Status;

#[derive(Debug)]
pub struct Table {
    entries: BTreeMap<Key, Entry>,
    /// Owner and owned.
    owned: BTreeSet<(Key, Key)>,
    presence: Presence,
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

/// What a command means to workers and to the helper, in order.
#[derive(Debug, Default)]
pub struct Change {
    pub media: Vec<(WorkerIndex, Command)>,
    pub data: Vec<Input>,
}

impl Table {
    #[must_use]
    pub fn new(workers: u16, limits: Limits) -> Self {
        Self {
            entries: BTreeMap::new(),
            owned: BTreeSet::new(),
            presence: Presence::default(),
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
        let mut change = Change::default();
        let mut helper_peer = None;
        if let Some(needed) = self.needed_at(lineage, worker)
            && !self.presence.is_at(needed, worker)
        {
            change.media.extend(self.command_at(needed, worker));
        }
        match spec {
            Spec::Peer(peer) => {
                let (media, data) = translate::peer(peer, worker).map_err(invalid)?;
                helper_peer = Some(Box::new(data.clone()));
                change.media.push((worker, Command::UpsertPeer(Box::new(media))));
                change.data.push(Input::UpsertPeer(Box::new(data)));
            }
            Spec::Route(route) => {
                let data = translate::route(route).map_err(invalid)?;
                change.data.push(Input::UpsertRoute(Box::new(data)));
            }
            Spec::Room(_) | Spec::Publication(_) | Spec::Subscription(_) => {
                for at in std::iter::once(worker).chain(self.presence.of(key)) {
                    change.media.push((at, command(spec, worker, at).map_err(invalid)?));
                }
            }
        }
        let answered_at_once = change.media.is_empty();
        let resource = Arc::new(Resource { revision, lease_epoch: epoch, status: None, ..resource });
        self.enter(key, lineage, worker, Version { resource, data: helper_peer });
        self.take_lease(epoch, key, lineage);
        if answered_at_once {
            self.applied(key, revision);
        }
        Ok((key, change))
    }

    /// Deletes a resource and what belongs to it; `None` if it is not there.
    ///
    /// # Errors
    /// When a later control plane has the room.
    pub fn delete(&mut self, epoch: u64, key: Key) -> Result<Option<Change>, Refused> {
        let Some(entry) = self.entries.get(&key) else { return Ok(None) };
        let lineage = entry.lineage;
        self.check_lease(epoch, key, lineage)?;
        self.take_lease(epoch, key, lineage);
        Ok(Some(self.remove(key)))
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

    /// A worker refused the upsert of `revision`: it is taken back. What others must be told for that.
    #[must_use]
    pub fn refused(&mut self, key: Key, revision: u64) -> Change {
        let Some(entry) = self.entries.get_mut(&key) else { return Change::default() };
        let Some(index) = entry.versions.iter().position(|version| version.resource.revision == revision)
        else {
            return Change::default();
        };
        if entry.versions.len() == 1 {
            return self.remove(key);
        }
        let was_newest = index + 1 == entry.versions.len();
        if let Some(version) = entry.versions.remove(index) {
            self.state_len -= version.resource.state.len();
        }
        if !was_newest {
            return Change::default();
        }
        let restored = entry.versions.back().and_then(|version| version.data.clone());
        // Of several workers some may have applied it.
        let workers: Vec<WorkerIndex> = match self.presence.of(key).collect::<Vec<_>>() {
            others if others.is_empty() => others,
            others => self.worker_of(key).into_iter().chain(others).collect(),
        };
        Change {
            media: workers.into_iter().filter_map(|worker| self.command_at(key, worker)).collect(),
            data: restored.map(Input::UpsertPeer).into_iter().collect(),
        }
    }

    /// Removes a resource and what belongs to it; tells what workers and helper must delete for that.
    pub fn remove(&mut self, key: Key) -> Change {
        let mut change = self.worker_of(key).map_or_else(Change::default, |worker| deletion(key, worker));
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
        // Children first.
        for key in removed.into_iter().rev() {
            for (key, worker) in self.remove_one(key) {
                change.media.extend(deletion(key, worker).media);
            }
        }
        change
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

    /// The workers that have a room: its own, and those of its other peers.
    #[must_use]
    pub fn workers_of_room(&self, room: u64) -> Vec<WorkerIndex> {
        let key = Key::Room(room);
        self.worker_of(key).into_iter().chain(self.presence.of(key)).collect()
    }

    /// The rooms or peers whose own worker it is, as they were asked for.
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
            return self.known_worker(key, worker);
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
        let of_room = self.worker_of(Key::Room(room)).ok_or_else(|| unknown(Key::Room(room)))?;
        match lineage {
            Lineage::Peer { worker: Some(worker), .. } => self.known_worker(key, worker),
            Lineage::Publication { peer, .. } | Lineage::Subscription { peer, .. } => {
                self.worker_of(Key::Peer(peer)).ok_or_else(|| unknown(Key::Peer(peer)))
            }
            Lineage::Room { .. } | Lineage::Peer { worker: None, .. } | Lineage::Route { .. } => Ok(of_room),
        }
    }

    fn known_worker(&self, key: Key, worker: u32) -> Result<WorkerIndex, Refused> {
        match u16::try_from(worker) {
            Ok(index) if usize::from(index) < self.peers_by_worker.len() => Ok(WorkerIndex(index)),
            _ => {
                let workers = self.peers_by_worker.len();
                Err(Refused::invalid(format!("{key} is on worker {worker} of {workers}")))
            }
        }
    }

    /// What must be on `worker`, which is not its own, before a resource of this lineage is.
    fn needed_at(&self, lineage: Lineage, worker: WorkerIndex) -> Option<Key> {
        let needed = match lineage {
            Lineage::Peer { room, .. } => Key::Room(room),
            Lineage::Subscription { publication, .. } => Key::Publication(publication),
            Lineage::Room { .. } | Lineage::Publication { .. } | Lineage::Route { .. } => return None,
        };
        self.worker_of(needed).filter(|own| *own != worker).map(|_| needed)
    }

    /// The upsert of a room or publication as it is now, for one of its workers.
    fn command_at(&self, key: Key, worker: WorkerIndex) -> Option<(WorkerIndex, Command)> {
        let entry = self.entries.get(&key)?;
        let spec = entry.newest()?.spec.as_ref()?;
        // What is in the table was translated before.
        Some((worker, command(spec, entry.worker, worker).ok()?))
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
        if let Some(needed) = self.needed_at(lineage, worker) {
            self.presence.begin(needed, worker);
        }
        let status = Status::new(key.kind());
        self.entries.insert(key, Entry { lineage, worker, versions: VecDeque::from([version]), status });
    }

    /// Tells what nobody needs any more on workers that are not its own.
    fn remove_one(&mut self, key: Key) -> Vec<(Key, WorkerIndex)> {
        let Some(entry) = self.entries.remove(&key) else { return Vec::new() };
        self.counts[key.kind() as usize] -= 1;
        let peers = self.peers_by_worker.get_mut(usize::from(entry.worker.0));
        if let (Kind::Peer, Some(peers)) = (key.kind(), peers) {
            *peers -= 1;
        }
        self.state_len -= entry.versions.iter().map(|version| version.resource.state.len()).sum::<usize>();
        for owner in entry.lineage.owners() {
            self.owned.remove(&(owner, key));
        }
        let mut ended: Vec<_> = self.presence.forget(key).into_iter().map(|worker| (key, worker)).collect();
        if let Some(needed) = self.needed_at(entry.lineage, entry.worker)
            && self.presence.end(needed, entry.worker)
        {
            ended.push((needed, entry.worker));
        }
        ended
    }
}

impl Entry {
    fn newest(&self) -> Option<&Arc<Resource>> {
        self.versions.back().map(|version| &version.resource)
    }
}

/// The upsert of a room, publication or subscription for the engine of worker `at`; its own worker is `own`.
fn command(spec: &Spec, own: WorkerIndex, at: WorkerIndex) -> Result<Command, String> {
    Ok(match spec {
        Spec::Room(room) => Command::UpsertRoom(translate::room(room)?),
        Spec::Publication(publication) => {
            let home = (own != at).then_some(own);
            Command::UpsertPublication(Box::new(translate::publication(publication, home)?))
        }
        Spec::Subscription(subscription) => {
            Command::UpsertSubscription(Box::new(translate::subscription(subscription)?))
        }
        Spec::Peer(_) | Spec::Route(_) => return Err("is translated for the helper, too".into()),
    })
}

/// Engine and helper delete what belongs to the resource themselves.
fn deletion(key: Key, worker: WorkerIndex) -> Change {
    let (media, data) = match key {
        Key::Room(id) => (Some(Command::DeleteRoom(RoomId(id))), Some(Input::DeleteRoom(RoomId(id)))),
        Key::Peer(id) => (Some(Command::DeletePeer(PeerId(id))), Some(Input::DeletePeer(PeerId(id)))),
        Key::Publication(id) => (Some(Command::DeletePublication(PublicationId(id))), None),
        Key::Subscription(id) => (Some(Command::DeleteSubscription(SubscriptionId(id))), None),
        Key::Route(id) => (None, Some(Input::DeleteRoute(RouteId(id)))),
    };
    Change {
        media: media.map(|command| (worker, command)).into_iter().collect(),
        data: data.into_iter().collect(),
    }
}

fn unknown(key: Key) -> Refused {
    Refused::new(RefusalReason::Unknown, format!("there is no {key}"))
}

/// Upserts of one resource that may wait for the worker's answer.
const VERSIONS_MAX: usize = 64;

#[cfg(test)]
mod tests;
