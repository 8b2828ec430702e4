//! After attaching again: what must be said so that the media plane has what the table says, and nothing else of ours.

use std::collections::{BTreeMap, BTreeSet};

use proto::media::v1::{Resource, command};

use crate::media::key::{Key, room_of};
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
