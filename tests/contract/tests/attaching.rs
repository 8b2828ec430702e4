//! Attaching, writing, refusing, fencing and telling again, over a Unix socket.

use contract::media::{Media, attached, client, eventually, within};
use contract::resources::{call, delete, peer, publication, room, route, state_of, subscription, upsert};
use contract::stream::Stream;
use contract::udp::Checker;
use control_plane::media::plane::Plane;
use control_plane::media::reconcile::Orphans;
use proto::media::v1::command::Command;
use proto::media::v1::resource::Spec;
use proto::media::v1::{
    DataProgressRequest, Event, Refusal, RefusalReason, Resource, SendData, TransportState, event,
    resource_key, status,
};
use tonic::Code;

/// What a counter of the media plane's process says.
async fn process_counter(plane: &Plane, name: &str) -> u64 {
    let counters = plane.counters().await.expect("attached");
    counters.process.iter().find(|counter| counter.name == name).expect("a counter").value
}

async fn resources(plane: &Plane) -> u64 {
    let mut sum = 0;
    for kind in ["room", "peer", "publication", "subscription", "route"] {
        sum += process_counter(plane, &format!("resources_{kind}")).await;
    }
    sum
}

#[tokio::test]
async fn a_call_is_written_acknowledged_and_read_back_with_its_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let media = Media::start_in(&directory);
    let plane = client(&media.address, None, Orphans::Keep);
    let who = attached(&plane).await;
    assert_eq!((who.contract, who.certificate_sha256.len(), who.workers.len()), (1, 32, 2));
    assert_eq!(who.workers[1].candidates[0].address, "127.0.0.1");

    for round in ["first", "again: upserts are idempotent"] {
        assert_eq!(within(plane.submit(call(1))).await, Ok(vec![]), "{round}");
        assert_eq!(resources(&plane).await, 6, "{round}");
    }
    let snapshot = plane.snapshot().await.unwrap();
    let expected: Vec<Spec> = vec![
        room(1, 0),
        peer(102, 1, 0),
        peer(103, 1, 0),
        publication(104, 102, 1),
        subscription(105, 103, 104, 1),
        route(106, 102, 1),
    ];
    assert_eq!(snapshot.len(), expected.len());
    for (resource, spec) in snapshot.into_iter().zip(expected) {
        assert_eq!(resource.state, state_of(&spec));
        assert_eq!(resource.spec, Some(spec));
        assert!(resource.revision > 6, "of the second round");
    }
    let load = plane.load();
    assert_eq!((load[0].peers, load[0].rooms, load[1].peers), (2, 1, 0));

    let gone = plane.submit(vec![delete(resource_key::Key::Room(1)), delete(resource_key::Key::Peer(102))]);
    assert_eq!(within(gone).await, Ok(vec![]));
    assert_eq!(resources(&plane).await, 0);
    media.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_refused_by_index_and_the_rest_is_applied() {
    let directory = tempfile::tempdir().unwrap();
    let media = Media::start_in(&directory);
    let plane = client(&media.address, None, Orphans::Keep);
    attached(&plane).await;
    let mut same_ufrag = peer(3, 1, 0);
    if let Spec::Peer(peer) = &mut same_ufrag {
        peer.local_ice[0].ufrag = contract::resources::ufrag(0, 2);
    }
    let mut no_mid = publication(4, 2, 1);
    if let Spec::Publication(publication) = &mut no_mid {
        publication.mid.clear();
    }
    let large = Command::Upsert(Resource {
        spec: Some(room(9, 0)),
        state: vec![0; 1024 * 1024 + 1],
        ..Resource::default()
    });
    let refused = within(plane.submit(vec![
        upsert(room(1, 0)),
        upsert(peer(2, 1, 0)),
        upsert(same_ufrag),
        upsert(no_mid),
        upsert(publication(5, 99, 1)),
        upsert(room(7, 2)),
        upsert(peer(8, 1, 1)),
        large,
        Command::SendData(SendData { room: 77, ..SendData::default() }),
        upsert(peer(10, 1, 0)),
    ]));
    let refused = refused.await.unwrap();
    let reasons: Vec<_> = refused.iter().map(|refusal| (refusal.command, refusal.reason)).collect();
    use RefusalReason::{Invalid, Unknown};
    assert_eq!(
        reasons,
        [(2, Invalid), (3, Invalid), (4, Unknown), (5, Invalid), (6, Invalid), (7, Invalid), (8, Unknown)],
        "{refused:?}"
    );
    for (index, word) in [(0, "ufrag"), (1, "mid"), (2, "peer 99"), (3, "worker 2"), (4, "01"), (5, "state")]
    {
        assert!(refused[index].detail.contains(word), "{word}: {:?}", refused[index]);
    }
    assert_eq!(resources(&plane).await, 3, "the room and two peers");
    media.stop().await;
}

#[tokio::test]
async fn hello_follows_its_rules() {
    let directory = tempfile::tempdir().unwrap();
    let media = Media::start_in(&directory);
    let channel = media.address.connect().await.unwrap();

    let mut first = Stream::attach(channel.clone(), 0).await;
    assert!(first.submit(vec![upsert(room(1, 0))]).await.refusals.is_empty());

    let mut late = Stream::open(channel.clone()).await;
    assert_eq!((late.attached.lease_epoch_max, late.attached.revision_max), (1, 1));
    assert_eq!(late.attached.lease_epochs_attached, [1]);
    late.hello(1, 0);
    assert_eq!(late.next().await.unwrap_err().code(), Code::FailedPrecondition, "an epoch that was used");

    let mut mute = Stream::open(channel.clone()).await;
    mute.send_commands(vec![upsert(room(2, 0))]);
    assert_eq!(mute.next().await.unwrap_err().code(), Code::FailedPrecondition, "no hello");

    let mut backwards = Stream::attach(channel, 0).await;
    backwards.send_numbered(vec![(9, upsert(room(3, 0))), (9, upsert(room(4, 0)))]);
    assert_eq!(backwards.next().await.unwrap_err().code(), Code::FailedPrecondition, "a revision twice");
    media.stop().await;
}

#[tokio::test]
async fn a_stale_control_plane_is_fenced_and_others_are_not() {
    let directory = tempfile::tempdir().unwrap();
    let media = Media::start_in(&directory);
    let channel = media.address.connect().await.unwrap();
    let mut old = Stream::attach(channel.clone(), 0).await;
    old.submit(vec![upsert(room(1, 0)), upsert(room(2, 0))]).await;

    let mut new = Stream::attach(channel, 0).await;
    assert!(new.submit(vec![upsert(room(1, 0))]).await.refusals.is_empty(), "takes the room");
    let stale = old.submit(vec![
        upsert(room(1, 0)),
        upsert(peer(102, 1, 0)),
        delete(resource_key::Key::Room(1)),
        upsert(peer(202, 2, 0)),
    ]);
    let stale = stale.await.refusals;
    let reasons: Vec<_> = stale.iter().map(Refusal::reason).collect();
    assert_eq!(reasons, [RefusalReason::Stale; 3], "all but its own room: {stale:?}");
    assert!(new.submit(vec![upsert(peer(103, 1, 0))]).await.refusals.is_empty(), "the room is still there");
    media.stop().await;
}

#[tokio::test]
async fn a_successor_finds_everything_and_media_goes_on_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    let media = Media::start_in(&directory);
    let first = client(&media.address, None, Orphans::Keep);
    let who = attached(&first).await;
    within(first.submit(call(1))).await.unwrap();
    let mut checker = Checker::new(&who, 0, 102).await;
    assert!(checker.check().await);

    drop(first);
    assert!(checker.check().await, "without any control plane");

    let keeper = client(&media.address, None, Orphans::Keep);
    let again = attached(&keeper).await;
    assert_eq!(again.incarnation, who.incarnation);
    let snapshot = keeper.snapshot().await.unwrap();
    assert_eq!(snapshot.len(), 6);
    let peer_102 = snapshot.iter().find(|resource| resource.spec == Some(peer(102, 1, 0))).unwrap();
    let state = peer_102.status.as_ref().and_then(|status| status.status.as_ref());
    let Some(status::Status::Peer(state)) = state else { panic!("{state:?}") };
    assert_eq!(state.state(), TransportState::Connecting, "what is so now");

    // Adopts the room by writing it again, as the registry would.
    let adopted = snapshot.into_iter().map(Command::Upsert).collect();
    assert_eq!(within(keeper.submit(adopted)).await, Ok(vec![]));
    assert!(checker.check().await, "the peer is the same");
    drop(keeper);

    let cleaner = client(&media.address, None, Orphans::Drop);
    attached(&cleaner).await;
    assert_eq!(resources(&cleaner).await, 0, "nobody had the room any more");
    assert!(!checker.check().await);
    media.stop().await;
}

#[tokio::test]
async fn rooms_of_a_living_control_plane_are_no_orphans() {
    let directory = tempfile::tempdir().unwrap();
    let media = Media::start_in(&directory);
    let first = client(&media.address, None, Orphans::Drop);
    attached(&first).await;
    within(first.submit(call(1))).await.unwrap();
    let second = client(&media.address, None, Orphans::Drop);
    attached(&second).await;
    assert_eq!(resources(&second).await, 6);
    media.stop().await;
}

#[tokio::test]
async fn events_are_told_to_the_rooms_owner_and_again_to_whom_missed_them() {
    let directory = tempfile::tempdir().unwrap();
    let media = Media::start_in(&directory);
    let channel = media.address.connect().await.unwrap();
    let mut first = Stream::attach(channel.clone(), 0).await;
    let mut other = Stream::attach(channel.clone(), 0).await;
    first.submit(call(1)).await;
    other.submit(call(2)).await;
    let connecting = |event: &Event, room: u64, peer: u64| {
        let Some(event::Event::Transport(changed)) = &event.event else { panic!("{event:?}") };
        assert_eq!((event.room, changed.peer, changed.state()), (room, peer, TransportState::Connecting));
        assert!(changed.remote_address.starts_with("127.0.0.1:"), "{changed:?}");
    };

    assert!(Checker::new(&first.attached, 0, 102).await.check().await);
    let told = first.event().await;
    connecting(&told, 1, 102);
    assert!(Checker::new(&first.attached, 0, 202).await.check().await);
    connecting(&other.event().await, 2, 202);
    drop((first, other));

    let mut missed_all = Stream::attach(channel.clone(), 0).await;
    assert_eq!(missed_all.event().await, told);
    connecting(&missed_all.event().await, 2, 202);
    let mut missed_one = Stream::attach(channel, told.sequence).await;
    connecting(&missed_one.event().await, 2, 202);
    assert!(missed_one.submit(vec![]).await.refusals.is_empty());
    media.stop().await;
}

#[tokio::test]
async fn rooms_hear_their_own_events() {
    let directory = tempfile::tempdir().unwrap();
    let media = Media::start_in(&directory);
    let plane = client(&media.address, None, Orphans::Keep);
    let who = attached(&plane).await;
    let (mut one, mut two) = (plane.watch_room(1), plane.watch_room(2));
    let written = [call(1), call(2)].map(|commands| plane.submit(commands));
    for submission in written {
        within(submission).await.unwrap();
    }
    let (_first, _second) = {
        let mut checkers = (Checker::new(&who, 0, 202).await, Checker::new(&who, 0, 102).await);
        assert!(checkers.0.check().await && checkers.1.check().await);
        checkers
    };
    for (events, peer) in [(&mut one, 102), (&mut two, 202)] {
        let event = within(events.recv()).await.unwrap();
        let control_plane::media::event::Event::Media(event::Event::Transport(changed)) = event else {
            panic!("{event:?}")
        };
        assert_eq!(changed.peer, peer);
    }
    plane.unwatch_room(1);
    assert_eq!(within(one.recv()).await, None);
    media.stop().await;
}

#[tokio::test]
async fn tcp_opens_only_to_the_token() {
    let media = Media::start_on_tcp("the secret");
    let stranger = media.address.connect().await.unwrap();
    let mut stranger = proto::media::v1::media_plane_client::MediaPlaneClient::new(stranger);
    let refused = stranger.data_progress(DataProgressRequest { route: 1 }).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let wrong = client(&media.address, Some("another"), Orphans::Keep);
    let right = client(&media.address, Some("the secret"), Orphans::Keep);
    attached(&right).await;
    assert_eq!(right.data_progress(1).await, Ok(None), "no such route");
    within(right.submit(call(1))).await.unwrap();
    assert_eq!(right.data_progress(106).await, Ok(Some(0)));
    assert!(wrong.attached().is_none());
    media.stop().await;
}

#[tokio::test]
async fn large_calls_arrive_in_batches_and_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let media = Media::start_in(&directory);
    let plane = client(&media.address, None, Orphans::Keep);
    attached(&plane).await;
    // More than a batch may hold, and more than a worker takes unanswered.
    let mut commands = vec![upsert(room(1, 0))];
    for _ in 0..10 {
        let state = vec![7; 1024 * 1024];
        commands.push(Command::Upsert(Resource { spec: Some(room(1, 0)), state, ..Resource::default() }));
    }
    commands.extend((0..4000).map(|id| upsert(peer(1000 + id, 1, 0))));
    commands.push(upsert(room(77, 9)));
    let refused = within(plane.submit(commands)).await.unwrap();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].command, 4011);
    eventually("all are there", async || resources(&plane).await == 4001).await;
    let counters = plane.counters().await.unwrap();
    let peers: Vec<u64> = counters
        .workers
        .iter()
        .filter_map(|worker| worker.counters.iter().find(|counter| counter.name == "peers"))
        .map(|counter| counter.value)
        .collect();
    assert_eq!(peers, [4000, 0], "the workers have them, too");
    media.stop().await;
}
