//! After attaching again: what must be said so that the media plane has what the table says, and nothing else of ours.

use std::collections::{BTreeMap, BTreeSet};

use proto::key::Key;
use proto::media::v1::{Resource, command};

use crate::media::lineage::room_of;
use crate::media::table::Table;

/// What becomes of rooms that no attached control plane has, and that the table does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Orphans {
    /// They were of a control plane that will not come back.
    #[default]
    Drop,
    /// They are going to be adopted from a snapshot.
    Keep,
}

/// Deletions, then upserts, in order. Rooms are left out: they were said before the snapshot was taken.
#[must_use]
pub fn reconcile(
    table: &Table,
    snapshot: &[Resource],
    attached: &BTreeSet<u64>,
    orphans: Orphans,
) -> Vec<command::Command> {
    let mut there = BTreeMap::new();
    let mut deletions = Vec::new();
    for resource in snapshot {
        let Some(spec) = &resource.spec else { continue };
        let key = Key::of(spec);
        there.insert(key, resource.revision);
        if table.contains(key) {
            continue;
        }
        let ours = table.contains(Key::Room(room_of(spec)));
        let orphan = orphans == Orphans::Drop
            && matches!(key, Key::Room(_))
            && !attached.contains(&resource.lease_epoch);
        if ours || orphan {
            deletions.push(command::Command::Delete(key.message()));
        }
    }
    let missing = table
        .iter()
        .filter(|(key, revision, _)| !matches!(key, Key::Room(_)) && there.get(key) != Some(revision))
        .map(|(_, _, resource)| command::Command::Upsert(resource.clone()));
    deletions.into_iter().chain(missing).collect()
}

#[cfg(test)]
mod tests {
    use proto::media::v1::resource::Spec;
    use proto::media::v1::{Peer, Room};

    use super::*;

    fn room(id: u64) -> Spec {
        Spec::Room(Room { id, ..Room::default() })
    }

    fn peer(id: u64, room: u64) -> Spec {
        Spec::Peer(Peer { id, room, ..Peer::default() })
    }

    fn there(spec: Spec, revision: u64, lease_epoch: u64) -> Resource {
        Resource { spec: Some(spec), revision, lease_epoch, ..Resource::default() }
    }

    #[test]
    fn what_differs_is_said_and_nothing_else() {
        let mut table = Table::default();
        let wanted = |spec| command::Command::Upsert(Resource { spec: Some(spec), ..Resource::default() });
        for (revision, spec) in [(1, room(1)), (2, peer(11, 1)), (3, peer(12, 1)), (4, peer(13, 1))] {
            table.note(revision, &wanted(spec));
        }
        let snapshot = [
            there(room(1), 1, 5),
            there(room(2), 9, 3),
            there(room(3), 9, 4),
            there(peer(11, 1), 2, 5),
            there(peer(12, 1), 1, 5),
            there(peer(14, 1), 8, 5),
            there(peer(21, 2), 8, 3),
            there(peer(31, 3), 8, 4),
        ];
        let attached = BTreeSet::from([4]);
        let delete = |key: Key| command::Command::Delete(key.message());
        let missing = [wanted(peer(12, 1)), wanted(peer(13, 1))];
        for (name, orphans, deletions) in [
            ("drop", Orphans::Drop, vec![delete(Key::Room(2)), delete(Key::Peer(14))]),
            ("keep", Orphans::Keep, vec![delete(Key::Peer(14))]),
        ] {
            let commands = reconcile(&table, &snapshot, &attached, orphans);
            assert_eq!(commands, [deletions.as_slice(), &missing].concat(), "{name}");
        }
    }
}
