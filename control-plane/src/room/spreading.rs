//! On which worker a participant lives: its room's, until that is loaded; then as few others as will do.

use std::collections::BTreeMap;

use crate::media::table::Load;
use crate::room::state::Room;

/// For who joins now. `load` is that of each worker of the room's media plane; `spread_above` is how many peer connections
/// fill a worker, 0: a room is never spread. A worker that is busy is full, too.
#[must_use]
pub fn worker(room: &Room, load: &[Load], spread_above: u32) -> u16 {
    let own = room.record.worker;
    if spread_above == 0 {
        return own;
    }
    // What was written lately is not counted yet.
    let mut of_room: BTreeMap<u16, u32> = BTreeMap::from([(own, 0)]);
    for peer in room.participants.values().flat_map(|participant| participant.peers()) {
        *of_room.entry(peer.worker).or_default() += 1;
    }
    let peers = |worker: u16| {
        let known = load.get(usize::from(worker)).map_or(0, |load| load.peers);
        known.max(of_room.get(&worker).copied().unwrap_or(0))
    };
    let is_busy = |worker: u16| load.get(usize::from(worker)).is_some_and(Load::is_busy);
    let is_full = |worker: u16| peers(worker) >= spread_above || is_busy(worker);
    if !is_full(own) {
        return own;
    }
    // Each worker that the room is on costs it a copy of each packet.
    let least = |workers: &mut dyn Iterator<Item = u16>| {
        workers.min_by_key(|worker| (is_busy(*worker), peers(*worker), *worker))
    };
    let not_full = least(&mut of_room.keys().copied()).filter(|worker| !is_full(*worker));
    let count = u16::try_from(load.len()).unwrap_or(u16::MAX);
    not_full.or_else(|| least(&mut (0..count))).unwrap_or(own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::tests::{World, arrival};

    const fn peers(peers: u32) -> Load {
        Load { peers, rooms: 0, busy_permille: 0 }
    }

    #[test]
    fn a_room_is_spread_when_its_worker_is_full_and_no_further_than_it_must() {
        // A room on worker 0, with one participant of two peer connections on worker 2.
        let mut world = World::new();
        world.surroundings.next_worker = 2;
        world.connect(arrival("elsewhere"));
        for (name, spread_above, load, expected) in [
            ("never", 0, [900, 0, 900], 0),
            ("room for more", 10, [9, 0, 0], 0),
            ("full: where the room is already", 10, [10, 0, 9], 2),
            ("both full: the emptiest", 10, [10, 3, 10], 1),
            ("all full: the emptiest", 10, [30, 20, 10], 2),
            ("all full: its own", 10, [10, 20, 20], 0),
            ("what is not counted yet", 2, [2, 0, 0], 1),
        ] {
            assert_eq!(worker(&world.room, &load.map(peers), spread_above), expected, "{name}");
        }
        assert_eq!(worker(&world.room, &[], 1), 0, "the media plane is away");
        for (name, busy, expected) in [
            ("some to spare", [699, 0, 0], 0),
            ("its own is busy: where the room is already", [700, 0, 0], 2),
            ("both are", [700, 0, 800], 1),
            ("all are: the emptiest", [900, 900, 900], 1),
        ] {
            let mut load = [2, 0, 2].map(peers);
            for (load, busy) in load.iter_mut().zip(busy) {
                load.busy_permille = busy;
            }
            assert_eq!(worker(&world.room, &load, 10), expected, "{name}");
        }
        let busy = [Load { busy_permille: 999, ..peers(2) }, peers(0), peers(2)];
        assert_eq!(worker(&world.room, &busy, 0), 0, "never");
    }
}
