//! A client that does nothing but connectivity checks.

use std::net::SocketAddr;
use std::time::Duration;

use proto::media::v1::Attached;
use tokio::net::UdpSocket;
use tokio::time::timeout;
use wire::stun::write::{BindingRequest, request};
use wire::stun::{Kind, Message, Role, Transaction};

use crate::resources::{PASSWORD, REMOTE_UFRAG, ufrag};

#[derive(Debug)]
pub struct Checker {
    socket: UdpSocket,
    username: String,
    transactions: u8,
}

impl Checker {
    /// For a peer of `resources` on a worker.
    pub async fn new(attached: &Attached, worker: u32, peer: u64) -> Self {
        let worker_index = usize::try_from(worker).expect("small");
        let candidate = &attached.workers[worker_index].candidates[0];
        let port = u16::try_from(candidate.port).expect("a port");
        let address = SocketAddr::new(candidate.address.parse().expect("an address"), port);
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        socket.connect(address).await.expect("a route");
        Self { socket, username: format!("{}:{REMOTE_UFRAG}", ufrag(worker, peer)), transactions: 0 }
    }

    /// Sends a nominating check; true if it is answered with success.
    pub async fn check(&mut self) -> bool {
        self.transactions += 1;
        let transaction = Transaction([self.transactions; 12]);
        let check = BindingRequest {
            transaction,
            username: self.username.as_bytes(),
            priority: 1_862_270_975,
            role: Role::Controlling(7),
            use_candidate: true,
        };
        let mut buffer = [0; 512];
        let len = request(&mut buffer, &check, PASSWORD.as_bytes()).expect("it fits");
        self.socket.send(&buffer[..len]).await.expect("sent");
        let mut answer = [0; 1500];
        loop {
            let Ok(received) = timeout(Duration::from_millis(500), self.socket.recv(&mut answer)).await
            else {
                return false;
            };
            let len = received.expect("received");
            // DTLS records may come between.
            if let Ok(message) = Message::parse(&answer[..len])
                && message.transaction == transaction
            {
                return message.kind == Kind::Success;
            }
        }
    }
}
