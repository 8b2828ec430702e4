//! A real media plane in this process, on a Unix socket or on TCP.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use control_plane::media::address::{Address, Bearer};
use control_plane::media::plane::{Options, Plane};
use control_plane::media::reconcile::Orphans;
use media_plane::cli::Arguments;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

#[derive(Debug)]
pub struct Media {
    pub address: Address,
    pub tcp: Option<SocketAddr>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Media {
    /// On a Unix socket in `directory`.
    #[must_use]
    pub fn start_in(directory: &TempDir) -> Self {
        Self::start_with(directory, 2)
    }

    /// The same with so many workers.
    #[must_use]
    pub fn start_with(directory: &TempDir, workers: u16) -> Self {
        Self::start_on(directory, workers, PORTS)
    }

    /// The same with one UDP port for all of them.
    #[must_use]
    pub fn start_on_one_port(directory: &TempDir, workers: u16) -> Self {
        let probe = std::net::UdpSocket::bind("0.0.0.0:0").expect("a port");
        let port = probe.local_addr().expect("a port").port().to_string();
        drop(probe);
        Self::start_on(directory, workers, ["--udp-port", &port])
    }

    fn start_on(directory: &TempDir, workers: u16, ports: [&str; 2]) -> Self {
        let socket = socket_in(directory);
        let address = Address::Unix(socket.clone());
        Self::start(&format!("unix:{}", socket.display()), workers, &ports, address)
    }

    /// On TCP, with a token.
    #[must_use]
    pub fn start_on_tcp(token: &str) -> Self {
        let nowhere = Address::Unix(PathBuf::new());
        let mut media = Self::start("127.0.0.1:0", 2, &[&PORTS[..], &["--token", token]].concat(), nowhere);
        let address = media.tcp.expect("it listens on TCP");
        media.address = format!("http://{address}").parse().expect("an address");
        media
    }

    fn start(listen: &str, workers: u16, more: &[&str], address: Address) -> Self {
        let workers = workers.to_string();
        let fixed =
            ["millrace-media", "--grpc", listen, "--workers", &workers, "--no-pin", "--node-ip", "127.0.0.1"];
        let words = fixed.iter().chain(more);
        let settings = Arguments::parse_from(words).settings(2).expect("right arguments");
        let plane = media_plane::plane::Plane::start(&settings, None).expect("it starts");
        let tcp = plane.tcp_address();
        let (stop, stopped) = oneshot::channel();
        let end = async {
            let _ = stopped.await;
        };
        let task = tokio::spawn(async move { plane.serve(end).await.expect("it serves") });
        Self { address, tcp, stop, task }
    }

    /// Ends it; control planes see their streams break.
    pub async fn stop(self) {
        self.stop.send(()).expect("it waits for that");
        self.task.await.expect("it ends well");
    }
}

/// Each worker takes a free one.
const PORTS: [&str; 2] = ["--udp-port-range", "20000-30000"];

#[must_use]
pub fn socket_in(directory: &TempDir) -> PathBuf {
    directory.path().join("media.sock")
}

/// The control plane's own client, not yet attached.
#[must_use]
pub fn client(address: &Address, token: Option<&str>, orphans: Orphans) -> Plane {
    let bearer = Bearer::new(token).expect("plain ASCII");
    Plane::start(Options { address: address.clone(), bearer, node: "test".into(), orphans })
}

/// Waits until the client is attached.
pub async fn attached(plane: &Plane) -> std::sync::Arc<proto::media::v1::Attached> {
    within(plane.ready()).await.expect("attached")
}

/// # Panics
/// If it takes longer than anything should here.
pub async fn within<Out>(what: impl Future<Output = Out>) -> Out {
    timeout(Duration::from_secs(10), what).await.expect("within 10 s")
}

/// Waits until `holds` does.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..1000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}: not within 10 s");
}
