//! The table: what is refused, what is deleted with what, and on which workers what is.

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
        put(&mut table, 1, 100 + id, Spec::Subscription(samples::subscription(10 + id, 3, 4, 1))).unwrap();
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
    assert!(table.owned.is_empty() && table.presence.is_empty());
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
    assert!(table.refused(Key::Peer(2), 21).data.is_empty(), "the newest counts for the helper");
    assert_eq!(state(&table), b"second");
    let told = table.refused(Key::Peer(2), 22);
    assert!(matches!(told.data.as_slice(), [Input::UpsertPeer(_)]), "the helper hears the old one again");
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
    assert!(matches!(told.data.as_slice(), [Input::DeletePeer(PeerId(2))]));
    assert_eq!(keys(&table), [Key::Room(1)]);
    assert!(table.refused(Key::Publication(4), 3).media.is_empty(), "gone already");
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

/// A peer on a worker that is perhaps not the room's.
fn peer_on(id: u64, worker: u32) -> Spec {
    let mut peer = samples::peer(id, 1);
    peer.local_ice[0].ufrag = format!("0{worker}p{id}xyz");
    peer.worker = Some(worker);
    Spec::Peer(peer)
}

/// A room on worker 0 of 3 with publisher 2 there, its publication 4, and subscribers 3 on worker 1 and 7 on worker 0.
fn spread() -> Table {
    let mut table = Table::new(3, Limits::default());
    let specs = [
        Spec::Room(samples::room(1, 0)),
        Spec::Peer(samples::peer(2, 1)),
        peer_on(3, 1),
        Spec::Peer(samples::peer(7, 1)),
        Spec::Publication(samples::publication(4, 2, 1)),
        Spec::Subscription(samples::subscription(5, 3, 4, 1)),
        Spec::Subscription(samples::subscription(6, 7, 4, 1)),
    ];
    for (revision, spec) in (1..).zip(specs) {
        put(&mut table, 1, revision, spec).unwrap();
    }
    table
}

/// What each worker is told, in short: `0+room` is an upsert on worker 0, `1-peer` a deletion on worker 1.
fn told(change: &Change) -> String {
    let one = |(worker, command): &(WorkerIndex, Command)| {
        let what = match command {
            Command::UpsertRoom(_) => "+room",
            Command::UpsertPeer(_) => "+peer",
            Command::UpsertPublication(_) => "+publication",
            Command::UpsertSubscription(_) => "+subscription",
            Command::DeleteRoom(_) => "-room",
            Command::DeletePeer(_) => "-peer",
            Command::DeletePublication(_) => "-publication",
            Command::DeleteSubscription(_) => "-subscription",
            _ => "?",
        };
        format!("{}{what}", worker.0)
    };
    change.media.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[test]
fn what_a_worker_needs_comes_before_what_needs_it() {
    let mut table = spread();
    for (name, spec, expected) in [
        ("room's worker", Spec::Peer(samples::peer(20, 1)), "0+peer"),
        ("worker that has the room", peer_on(21, 1), "1+peer"),
        ("worker without the room", peer_on(22, 2), "2+room 2+peer"),
        ("the second there", peer_on(23, 2), "2+peer"),
        ("room", Spec::Room(samples::room(1, 0)), "0+room 1+room 2+room"),
        ("publication", Spec::Publication(samples::publication(4, 2, 1)), "0+publication 1+publication"),
        (
            "first subscriber there",
            Spec::Subscription(samples::subscription(24, 22, 4, 1)),
            "2+publication 2+subscription",
        ),
        (
            "another subscriber there",
            Spec::Subscription(samples::subscription(25, 23, 4, 1)),
            "2+subscription",
        ),
        ("the same again", Spec::Subscription(samples::subscription(25, 23, 4, 1)), "2+subscription"),
        ("of a peer elsewhere", Spec::Publication(samples::publication(26, 22, 1)), "2+publication"),
        (
            "the other way round",
            Spec::Subscription(samples::subscription(27, 20, 26, 1)),
            "0+publication 0+subscription",
        ),
    ] {
        let (_, change) = table.upsert(1, 50, samples::resource(spec)).unwrap();
        assert_eq!(told(&change), expected, "{name}");
    }
}

#[test]
fn what_nobody_needs_on_a_worker_is_deleted_there() {
    for (name, key, expected) in [
        ("last subscription there", Key::Subscription(5), "1-subscription 1-publication"),
        ("subscription at home", Key::Subscription(6), "0-subscription"),
        ("last peer there", Key::Peer(3), "1-peer 1-publication 1-room"),
        ("publisher", Key::Peer(2), "0-peer 1-publication"),
        ("publication", Key::Publication(4), "0-publication 1-publication"),
        ("room", Key::Room(1), "0-room 1-publication 1-room"),
    ] {
        let mut table = spread();
        let change = table.delete(1, key).unwrap().unwrap();
        assert_eq!(told(&change), expected, "{name}");
        table.delete(1, Key::Room(1)).unwrap();
        assert!(table.presence.is_empty(), "{name}");
        assert_eq!(table.peers_by_worker, [0; 3], "{name}");
    }
}

#[test]
fn what_one_of_its_workers_refused_is_taken_back_on_all() {
    let mut table = spread();
    let (key, _) =
        table.upsert(1, 50, samples::resource(Spec::Publication(samples::publication(4, 2, 1)))).unwrap();
    assert_eq!(told(&table.refused(key, 50)), "0+publication 1+publication", "the version before");
    let (key, _) = table.upsert(1, 51, samples::resource(peer_on(22, 2))).unwrap();
    assert_eq!(told(&table.refused(key, 51)), "2-peer 2-room", "a new one, and what came for it");
    assert_eq!(table.workers_of_room(1), [WorkerIndex(0), WorkerIndex(1)]);
}

#[test]
fn a_peer_stays_on_its_worker() {
    let mut table = spread();
    assert_eq!(table.worker_of(Key::Peer(3)), Some(WorkerIndex(1)));
    assert_eq!(table.worker_of(Key::Subscription(5)), Some(WorkerIndex(1)));
    assert_eq!((table.peers_on_worker(WorkerIndex(0)), table.peers_on_worker(WorkerIndex(1))), (2, 1));
    for (name, spec) in [
        ("another worker", peer_on(3, 2)),
        ("no such worker", peer_on(30, 3)),
        ("the ufrag of another", Spec::Peer(with_ufrag_of_worker_0())),
    ] {
        let refused = table.upsert(1, 60, samples::resource(spec)).unwrap_err();
        assert_eq!(refused.reason, RefusalReason::Invalid, "{name}: {}", refused.detail);
    }
}

fn with_ufrag_of_worker_0() -> proto::media::v1::Peer {
    proto::media::v1::Peer { worker: Some(1), ..samples::peer(31, 1) }
}
