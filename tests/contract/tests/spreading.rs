//! Rooms on several workers: media and wishes cross between them, and what is deleted is deleted on all.

use std::time::{Duration, Instant};

use contract::client::{Client, Identity, until};
use contract::media::{Media, attached, client, within};
use contract::resources::{
    delete, on_worker, peer, publication, room, subscription, upsert, video, with_certificate,
};
use control_plane::media::plane::Plane;
use control_plane::media::reconcile::Orphans;
use proto::media::v1::command::Command;
use proto::media::v1::resource::Spec;
use proto::media::v1::resource_key::Key;
use tempfile::TempDir;

const ROOM: u64 = 1;
const PUBLISHER: u64 = 2;
const AUDIO: u64 = 4;
const VIDEO: u64 = 5;
/// As `resources` numbers them.
const AUDIO_SSRC: u32 = 2_000_004;
const VIDEO_SSRC: u32 = 2_000_005;

struct Stage {
    _directory: TempDir,
    media: Media,
    plane: Plane,
    identity: Identity,
}

impl Stage {
    async fn start(workers: u16) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let media = Media::start_with(&directory, workers);
        Self::with(directory, media).await
    }

    async fn with(directory: TempDir, media: Media) -> Self {
        let plane = client(&media.address, None, Orphans::Drop);
        attached(&plane).await;
        Self { _directory: directory, media, plane, identity: Identity::generate() }
    }

    async fn submit(&self, commands: Vec<Command>) {
        assert_eq!(self.plane.submit(commands).await.unwrap(), []);
    }

    /// A peer of the room, which is on worker 0.
    fn peer(&self, id: u64, worker: u32) -> Command {
        upsert(with_certificate(on_worker(peer(id, ROOM, worker), worker), &self.identity.certificate_sha256))
    }

    async fn connect(&self, peers: impl IntoIterator<Item = (u64, u32)>) -> Vec<Client> {
        let attached = attached(&self.plane).await;
        let mut clients: Vec<Client> =
            peers.into_iter().map(|(peer, worker)| Client::new(&attached, worker, peer)).collect();
        // A helper thread without optimisation is kept waiting by some dozens.
        let count = clients.len();
        for next in (0..count).step_by(50) {
            let some = &mut clients[next..count.min(next + 50)];
            until("connected", some, &self.identity, |some| some.iter().all(Client::is_connected));
        }
        clients
    }

    /// The sum over workers, and the share of each.
    async fn counter(&self, name: &str) -> (u64, Vec<u64>) {
        let counters = within(self.plane.counters()).await.unwrap();
        let named = |worker: &proto::media::v1::WorkerCounters| {
            worker.counters.iter().find(|counter| counter.name == name).map_or(0, |counter| counter.value)
        };
        let each: Vec<u64> = counters.workers.iter().map(named).collect();
        (each.iter().sum(), each)
    }

    async fn stop(self) {
        drop(self.plane);
        self.media.stop().await;
    }
}

/// One VP8 packet that is a whole picture (RFC 7741 §4.2, §4.3).
fn picture(key_frame: bool) -> Vec<u8> {
    // Start of a partition; then the first byte of a frame header, whose lowest bit is 0 in a key frame.
    vec![0x10, u8::from(!key_frame), 0, 0, 0x9d, 0x01, 0x2a, 16, 0, 16, 0]
}

#[tokio::test(flavor = "multi_thread")]
async fn media_and_key_frame_requests_cross_between_workers() {
    let stage = Stage::start(2).await;
    // Subscriber 3 on the publisher's worker, 6 on the other.
    stage
        .submit(vec![
            upsert(room(ROOM, 0)),
            stage.peer(PUBLISHER, 0),
            stage.peer(3, 0),
            stage.peer(6, 1),
            upsert(publication(AUDIO, PUBLISHER, ROOM)),
            upsert(video(publication(VIDEO, PUBLISHER, ROOM))),
            upsert(subscription(7, 3, AUDIO, ROOM)),
            upsert(subscription(8, 6, AUDIO, ROOM)),
            upsert(video(subscription(9, 6, VIDEO, ROOM))),
        ])
        .await;
    let mut clients = stage.connect([(PUBLISHER, 0), (3, 0), (6, 1)]).await;

    let mut sequence = 0;
    let mut sent_at = Instant::now();
    until("sound on both workers", &mut clients, &stage.identity, |clients| {
        if sent_at.elapsed() > Duration::from_millis(20) {
            (sequence, sent_at) = (sequence + 1, Instant::now());
            clients[0].send_rtp(AUDIO_SSRC, 111, sequence, b"sound");
        }
        clients[1..].iter().all(|client| client.received.len() > 20)
    });
    let far = clients[2].received.clone();
    assert!(far.is_sorted_by(|one, next| *next == one + 1), "in order and without holes: {far:?}");

    // Video begins with a key frame, which the far subscriber's worker asks for through the home.
    clients[2].received.clear();
    let mut sequence = 1_000;
    until("a picture on the other worker", &mut clients, &stage.identity, |clients| {
        if sent_at.elapsed() > Duration::from_millis(20) {
            (sequence, sent_at) = (sequence + 1, Instant::now());
            let is_asked = std::mem::take(&mut clients[0].indications) > 0;
            clients[0].send_rtp(VIDEO_SSRC, 96, sequence, &picture(is_asked));
        }
        clients[2].received.iter().any(|sequence| *sequence > 1_000)
    });
    // So does whatever the subscriber asks for itself.
    clients[0].indications = 0;
    let mut asked_at = Instant::now();
    until("a request at the publisher", &mut clients, &stage.identity, |clients| {
        if asked_at.elapsed() > Duration::from_millis(200) {
            asked_at = Instant::now();
            clients[2].ask_for_key_frame(3_000_009);
        }
        clients[0].indications > 0
    });
    let (relayed, each) = stage.counter("packets_relayed").await;
    assert!(relayed > 20 && each[1] == 0, "from worker 0 only: {each:?}");
    assert!(stage.counter("demands_received").await.1[0] > 0);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_is_deleted_on_every_worker() {
    let stage = Stage::start(3).await;
    stage
        .submit(vec![
            upsert(room(ROOM, 0)),
            stage.peer(PUBLISHER, 0),
            stage.peer(6, 1),
            stage.peer(7, 2),
            upsert(publication(AUDIO, PUBLISHER, ROOM)),
            upsert(subscription(8, 6, AUDIO, ROOM)),
            upsert(subscription(9, 7, AUDIO, ROOM)),
        ])
        .await;
    assert_eq!(stage.counter("rooms").await.1, [1, 1, 1]);
    assert_eq!(stage.counter("publications").await.1, [1, 1, 1]);
    let snapshot = stage.plane.snapshot().await.unwrap();
    let workers: Vec<_> = snapshot
        .iter()
        .filter_map(|resource| match &resource.spec {
            Some(Spec::Peer(peer)) => Some(peer.worker),
            _ => None,
        })
        .collect();
    assert_eq!(workers, [Some(0), Some(1), Some(2)], "a successor knows where who is");
    for (name, key, rooms, publications) in [
        ("last subscription of worker 2", Key::Subscription(9), [1, 1, 1], [1, 1, 0]),
        ("last peer of worker 2", Key::Peer(7), [1, 1, 0], [1, 1, 0]),
        ("publication", Key::Publication(AUDIO), [1, 1, 0], [0, 0, 0]),
        ("room", Key::Room(ROOM), [0, 0, 0], [0, 0, 0]),
    ] {
        stage.submit(vec![delete(key)]).await;
        assert_eq!(stage.counter("rooms").await.1, rooms, "{name}");
        assert_eq!(stage.counter("publications").await.1, publications, "{name}");
    }
    assert_eq!(stage.counter("peers").await.0, 0);
    stage.stop().await;
}

/// 400 subscribers of one voice, on 2 workers and on 4.
#[tokio::test(flavor = "multi_thread")]
async fn a_room_of_400_subscribers_is_heard_on_all_its_workers() {
    for workers in [2, 4] {
        let stage = Stage::start(workers).await;
        let mut commands = vec![
            upsert(room(ROOM, 0)),
            stage.peer(PUBLISHER, 0),
            upsert(publication(AUDIO, PUBLISHER, ROOM)),
        ];
        let subscribers: Vec<(u64, u32)> = (100..500).zip((0..u32::from(workers)).cycle()).collect();
        for (id, worker) in &subscribers {
            commands.push(stage.peer(*id, *worker));
            commands.push(upsert(subscription(id + 1_000, *id, AUDIO, ROOM)));
        }
        stage.submit(commands).await;
        let peers = std::iter::once((PUBLISHER, 0)).chain(subscribers);
        let mut clients = stage.connect(peers).await;

        let mut sequence = 0;
        let mut sent_at = Instant::now();
        until("the first sound everywhere", &mut clients, &stage.identity, |clients| {
            if sent_at.elapsed() > Duration::from_millis(50) {
                (sequence, sent_at) = (sequence + 1, Instant::now());
                clients[0].send_rtp(AUDIO_SSRC, 111, sequence, b"sound");
            }
            clients[1..].iter().all(|client| !client.received.is_empty())
        });
        let first = sequence + 1;
        for _ in 0..PACKETS {
            sequence += 1;
            clients[0].send_rtp(AUDIO_SSRC, 111, sequence, b"sound");
            until("each packet everywhere", &mut clients, &stage.identity, |clients| {
                clients[1..].iter().all(|client| client.received.last() == Some(&sequence))
            });
        }
        for client in &clients[1..] {
            let later: Vec<u16> =
                client.received.iter().copied().filter(|sequence| *sequence >= first).collect();
            assert!(later.iter().copied().eq(first..=sequence), "{workers} workers: {later:?}");
        }
        let (relayed, each) = stage.counter("packets_relayed").await;
        let expected = u64::from(PACKETS) * u64::from(workers - 1);
        assert!(relayed >= expected && each[0] == relayed, "{workers} workers: {each:?}");
        assert_eq!(stage.counter("relayed_discarded_no_room").await.0, 0, "{workers} workers");
        let (_, peers) = stage.counter("peers").await;
        assert!(peers.iter().all(|count| *count >= u64::from(400 / workers)), "{peers:?}");
        stage.stop().await;
    }
}

const PACKETS: u16 = 30;

/// The kernel gives a worker what is another one's, and knows no better.
#[tokio::test(flavor = "multi_thread")]
async fn one_port_serves_all_workers() {
    let directory = tempfile::tempdir().unwrap();
    let media = Media::start_on_one_port(&directory, 3);
    let stage = Stage::with(directory, media).await;
    let attached = attached(&stage.plane).await;
    let ports: Vec<u32> = attached.workers.iter().map(|worker| worker.candidates[0].port).collect();
    assert!(ports.iter().all(|port| *port == ports[0]), "{ports:?}");
    let subscribers: Vec<(u64, u32)> = (100..130).zip((0..3).cycle()).collect();
    let mut commands =
        vec![upsert(room(ROOM, 0)), stage.peer(PUBLISHER, 0), upsert(publication(AUDIO, PUBLISHER, ROOM))];
    for (id, worker) in &subscribers {
        commands.push(stage.peer(*id, *worker));
        commands.push(upsert(subscription(id + 1_000, *id, AUDIO, ROOM)));
    }
    stage.submit(commands).await;
    let mut clients = stage.connect(std::iter::once((PUBLISHER, 0)).chain(subscribers)).await;
    let mut sequence = 0;
    let mut sent_at = Instant::now();
    until("sound on every worker", &mut clients, &stage.identity, |clients| {
        if sent_at.elapsed() > Duration::from_millis(20) {
            (sequence, sent_at) = (sequence + 1, Instant::now());
            clients[0].send_rtp(AUDIO_SSRC, 111, sequence, b"sound");
        }
        clients[1..].iter().all(|client| client.received.len() > 20)
    });
    for client in &clients[1..] {
        assert!(client.received.is_sorted_by(|one, next| *next == one + 1), "{:?}", client.received);
    }
    assert_eq!(stage.counter("peers").await.1, [11, 10, 10]);
    // Of 31 clients some come to another worker than their own: each does with a chance of two in three.
    assert!(stage.counter("worker_datagrams_handed_over").await.0 > 0);
    assert_eq!(stage.counter("worker_datagrams_not_handed_over").await.0, 0);
    stage.stop().await;
}
