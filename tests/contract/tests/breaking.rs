//! Connections that break, media planes that end, and the child that is started again.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use contract::media::{Media, attached, client, eventually, socket_in, within};
use contract::resources::{call, delete, peer, room, upsert};
use control_plane::media::address::Address;
use control_plane::media::child::{Keeper, Options};
use control_plane::media::event::Event;
use control_plane::media::plane::{Plane, PlaneLost};
use control_plane::media::reconcile::Orphans;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use proto::media::v1::resource_key;
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

/// Passes connections on to a socket until it is cut.
struct Proxy {
    path: PathBuf,
    task: JoinHandle<()>,
}

impl Proxy {
    fn start(directory: &TempDir, target: &Path) -> Self {
        let path = directory.path().join("proxy.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let target = target.to_owned();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (mut from, _) = listener.accept().await.unwrap();
                let mut to = UnixStream::connect(&target).await.unwrap();
                connections.spawn(async move { copy_bidirectional(&mut from, &mut to).await.is_ok() });
            }
        });
        Self { path, task }
    }

    /// Breaks every connection; nobody can connect before the next start.
    async fn cut(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
        std::fs::remove_file(&self.path).unwrap();
    }
}

async fn is_away(plane: &Plane) {
    eventually("the client notices", async || plane.attached().is_none()).await;
}

async fn ids(plane: &Plane) -> Vec<String> {
    let snapshot = plane.snapshot().await.unwrap();
    let names = snapshot.into_iter().map(|resource| String::from_utf8_lossy(&resource.state).into_owned());
    names.collect()
}

#[tokio::test]
async fn what_was_asked_for_during_a_break_is_there_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let media = Media::start_in(&directory);
    let proxy = Proxy::start(&directory, &socket_in(&directory));
    let plane = client(&Address::Unix(proxy.path.clone()), None, Orphans::Drop);
    let before = attached(&plane).await;
    let mut events = plane.watch_room(1);
    within(plane.submit(call(1))).await.unwrap();
    within(plane.submit(call(2))).await.unwrap();

    proxy.cut().await;
    is_away(&plane).await;
    let submissions = [
        plane.submit(vec![upsert(peer(107, 1, 0))]),
        plane.submit(vec![delete(resource_key::Key::Room(2))]),
        plane.submit(vec![upsert(room(3, 0)), upsert(peer(301, 9, 0))]),
    ];
    let proxy = Proxy::start(&directory, &socket_in(&directory));
    let answers = submissions.map(within);
    let [first, second, third] = answers;
    assert_eq!((first.await, second.await), (Ok(vec![]), Ok(vec![])));
    assert_eq!(third.await.unwrap().len(), 1, "there is no room 9");

    let after = attached(&plane).await;
    assert_eq!(after.incarnation, before.incarnation);
    let there = ids(&plane).await;
    assert_eq!(there.len(), 6 + 1 + 1, "room 1 with one more peer, and room 3: {there:?}");
    assert!(events.try_recv().is_err(), "nothing happened to the room");
    proxy.cut().await;
    media.stop().await;
}

#[tokio::test]
async fn what_was_under_way_when_the_connection_broke_is_answered_once() {
    let directory = tempfile::tempdir().unwrap();
    let media = Media::start_in(&directory);
    let mut proxy = Proxy::start(&directory, &socket_in(&directory));
    let plane = client(&Address::Unix(proxy.path.clone()), None, Orphans::Drop);
    attached(&plane).await;
    within(plane.submit(vec![upsert(room(1, 0))])).await.unwrap();
    for round in 0..10 {
        let peers = 1000 + round * 100..1000 + round * 100 + 50;
        let waiting: Vec<_> = peers.map(|id| plane.submit(vec![upsert(peer(id, 1, 0))])).collect();
        proxy.cut().await;
        proxy = Proxy::start(&directory, &socket_in(&directory));
        for submission in waiting {
            assert_eq!(within(submission).await, Ok(vec![]), "round {round}");
        }
    }
    attached(&plane).await;
    assert_eq!(ids(&plane).await.len(), 501);
    proxy.cut().await;
    media.stop().await;
}

#[tokio::test]
async fn another_incarnation_resets_rooms() {
    let directory = tempfile::tempdir().unwrap();
    let media = Media::start_in(&directory);
    let plane = client(&media.address, None, Orphans::Drop);
    let before = attached(&plane).await;
    let mut events = plane.watch_room(1);
    within(plane.submit(call(1))).await.unwrap();

    media.stop().await;
    is_away(&plane).await;
    let lost = plane.submit(vec![upsert(peer(107, 1, 0))]);
    let media = Media::start_in(&directory);
    assert_eq!(within(lost).await, Err(PlaneLost));
    assert_eq!(within(events.recv()).await, Some(Event::PlaneReset));
    let after = attached(&plane).await;
    assert_ne!(after.incarnation, before.incarnation);
    assert_eq!(ids(&plane).await, [""; 0]);
    assert_eq!(within(plane.submit(call(1))).await, Ok(vec![]), "the room begins anew");
    media.stop().await;
}

fn child_options(directory: &TempDir) -> Options {
    let arguments = ["--workers=1", "--no-pin", "--node-ip=127.0.0.1", "--udp-port-range=20000-30000"];
    Options {
        executable: env!("CARGO_BIN_EXE_contract-media").into(),
        socket: socket_in(directory),
        arguments: arguments.map(Into::into).to_vec(),
    }
}

/// The process that listens on the socket.
async fn listener_pid(socket: &Path) -> Option<Pid> {
    let connection = UnixStream::connect(socket).await.ok()?;
    connection.peer_cred().ok()?.pid().map(Pid::from_raw)
}

async fn media_plane_pid(socket: &Path, other_than: Option<Pid>) -> Pid {
    let mut found = None;
    eventually("a media plane listens", async || {
        found = listener_pid(socket).await.filter(|pid| Some(*pid) != other_than);
        found.is_some()
    })
    .await;
    found.unwrap()
}

#[tokio::test]
async fn a_killed_child_is_started_again_and_ends_with_its_keeper() {
    let directory = tempfile::tempdir().unwrap();
    let socket = socket_in(&directory);
    let keeper = Keeper::start(child_options(&directory));
    let plane = client(&Address::Unix(socket.clone()), None, Orphans::Drop);
    let before = attached(&plane).await;
    let first = media_plane_pid(&socket, None).await;
    let session = nix::unistd::getsid(Some(first)).unwrap();
    assert_eq!(session, first, "a session of its own");
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);

    let mut events = plane.watch_room(1);
    within(plane.submit(call(1))).await.unwrap();
    kill(first, Signal::SIGKILL).unwrap();
    assert_eq!(within(events.recv()).await, Some(Event::PlaneReset));
    let second = media_plane_pid(&socket, Some(first)).await;
    assert_ne!(attached(&plane).await.incarnation, before.incarnation);

    within(keeper.stop()).await;
    assert!(kill(second, None).is_err(), "ended and reaped");
    assert!(!socket.exists());
}

#[tokio::test]
async fn a_media_plane_outlives_its_keeper_and_is_taken_over() {
    let directory = tempfile::tempdir().unwrap();
    let socket = socket_in(&directory);
    let keeper = Keeper::start(child_options(&directory));
    let pid = media_plane_pid(&socket, None).await;
    // As when the control plane is killed: nobody says stop.
    drop(keeper);
    let plane = client(&Address::Unix(socket.clone()), None, Orphans::Drop);
    attached(&plane).await;

    let successor = Keeper::start(child_options(&directory));
    within(plane.submit(call(1))).await.unwrap();
    assert_eq!(listener_pid(&socket).await, Some(pid), "the same process");
    within(successor.stop()).await;
    is_away(&plane).await;
    assert!(!socket.exists(), "it ended by SIGTERM");
}

#[tokio::test]
async fn a_media_plane_that_was_taken_over_is_replaced_when_it_dies() {
    let directory = tempfile::tempdir().unwrap();
    let socket = socket_in(&directory);
    let keeper = Keeper::start(child_options(&directory));
    let first = media_plane_pid(&socket, None).await;
    drop(keeper);
    let keeper = Keeper::start(child_options(&directory));
    kill(first, Signal::SIGKILL).unwrap();
    let second = media_plane_pid(&socket, Some(first)).await;
    assert_ne!(first, second);
    within(keeper.stop()).await;
    assert!(!socket.exists());
}
