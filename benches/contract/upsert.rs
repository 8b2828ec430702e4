//! How long a client waits for write-then-speak: from a submitted batch to its acknowledgement by the worker.
//!
//! The control plane's own client against a real media plane, a process of its own, on a Unix socket. Back to back the
//! worker is awake; after a pause it has to be woken, as it is by most joins.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use contract::media::{attached, client, socket_in, within};
use contract::resources::{delete, peer, room, route, upsert};
use control_plane::media::address::Address;
use control_plane::media::plane::Plane;
use control_plane::media::reconcile::Orphans;
use proto::media::v1::command;
use proto::media::v1::resource_key::Key;
use tempfile::TempDir;

#[tokio::main]
async fn main() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let _media = Media::start(&directory);
    let plane = client(&Address::Unix(socket_in(&directory)), None, Orphans::Drop);
    attached(&plane).await;
    println!("| bench | times | p50, us | p90, us | p99, us | most, us |");
    println!("|---|---:|---:|---:|---:|---:|");
    for (name, written, pause, times) in [
        ("one peer, back to back", Written::Peer, Duration::ZERO, 5_000),
        ("one peer, after a pause", Written::Peer, PAUSE, 2_000),
        ("a join, back to back", Written::Join, Duration::ZERO, 5_000),
        ("a join, after a pause", Written::Join, PAUSE, 2_000),
    ] {
        measure(&plane, written, pause, WARM_UP).await;
        let mut waited = measure(&plane, written, pause, times).await;
        waited.sort_unstable();
        let at = |share: usize| waited[(waited.len() - 1) * share / 100].as_micros();
        println!("| {name} | {times} | {} | {} | {} | {} |", at(50), at(90), at(99), at(100));
    }
}

/// A media plane, killed when this is dropped.
struct Media(Child);

impl Media {
    fn start(directory: &TempDir) -> Self {
        let socket = format!("unix:{}", socket_in(directory).display());
        let child = Command::new(env!("CARGO_BIN_EXE_contract-media"))
            .args(["--grpc", &socket, "--workers", "1", "--node-ip", "127.0.0.1"])
            .args(["--udp-port-range", "20000-30000", "--log-level", "warn"])
            .stdin(Stdio::null())
            .spawn();
        Self(child.expect("it starts"))
    }
}

impl Drop for Media {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What is written before something is said.
#[derive(Clone, Copy)]
enum Written {
    /// A peer that is not there yet.
    Peer,
    /// A room, the two peers of its first participant, and the route.
    Join,
}

impl Written {
    fn commands(self) -> Vec<command::Command> {
        let specs = match self {
            Self::Peer => vec![peer(2, 1, 0)],
            Self::Join => vec![room(9, 0), peer(10, 9, 0), peer(11, 9, 0), route(12, 10, 9)],
        };
        specs.into_iter().map(upsert).collect()
    }

    fn removal(self) -> Vec<command::Command> {
        let keys = match self {
            Self::Peer => vec![Key::Peer(2)],
            Self::Join => vec![Key::Route(12), Key::Peer(11), Key::Peer(10), Key::Room(9)],
        };
        keys.into_iter().map(delete).collect()
    }
}

/// Writes so often, and takes it back each time; only the writing is timed.
async fn measure(plane: &Plane, written: Written, pause: Duration, times: usize) -> Vec<Duration> {
    submit(plane, vec![upsert(room(1, 0))]).await;
    let mut waited = Vec::with_capacity(times);
    for _ in 0..times {
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        let commands = written.commands();
        let start = Instant::now();
        submit(plane, commands).await;
        waited.push(start.elapsed());
        submit(plane, written.removal()).await;
    }
    waited
}

async fn submit(plane: &Plane, commands: Vec<command::Command>) {
    assert_eq!(within(plane.submit(commands)).await, Ok(vec![]), "nothing is refused");
}

/// Long enough for everybody to go to sleep.
const PAUSE: Duration = Duration::from_millis(3);
const WARM_UP: usize = 200;
