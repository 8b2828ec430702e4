//! The client's end of one peer connection: a socket, and what its datagrams are for.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use units::time::Instant;
use wire::demux::Class;

use crate::ice::{Agent, Outcome};
use crate::keys::Keys;
use crate::measure::Tally;
use crate::publisher::{Outlet, Publisher};
use crate::receiver::Receiver;

pub struct Peer {
    socket: Arc<UdpSocket>,
    pub agent: Agent,
    /// Where the socket is connected to.
    remote: Option<SocketAddr>,
    /// DTLS runs elsewhere.
    dtls: mpsc::Sender<Vec<u8>>,
    /// Told once that data may flow.
    connected: Option<oneshot::Sender<()>>,
    pub keys: Option<Keys>,
    pub work: Work,
}

#[derive(Debug)]
pub enum Work {
    Publishes(Vec<Publisher>),
    Receives(Box<Receiver>),
}

impl Peer {
    #[must_use]
    pub const fn new(
        socket: Arc<UdpSocket>,
        agent: Agent,
        dtls: mpsc::Sender<Vec<u8>>,
        connected: oneshot::Sender<()>,
        work: Work,
    ) -> Self {
        Self { socket, agent, remote: None, dtls, connected: Some(connected), keys: None, work }
    }

    /// `arrived` is when the kernel had it.
    pub fn receive(&mut self, now: Instant, arrived: Instant, datagram: &[u8], tally: &mut Tally) {
        match Class::of(datagram) {
            Ok(Class::Rtp) => {
                if let (Some(keys), Work::Receives(receiver)) = (&mut self.keys, &mut self.work) {
                    receiver.rtp(now, arrived, datagram, keys, tally);
                }
            }
            Ok(Class::Rtcp) => self.rtcp(now, datagram, tally),
            Ok(Class::Stun) => self.stun(datagram),
            // A full queue is a lost datagram; DTLS copes.
            Ok(Class::Dtls) => _ = self.dtls.try_send(datagram.to_vec()),
            Err(_) => {}
        }
    }

    pub fn advance(&mut self, now: Instant, tally: &mut Tally) {
        let mut out = [0; STUN_LEN_MAX];
        if let Some((len, to)) = self.agent.check(now, &mut out) {
            if self.remote != Some(to) && self.socket.connect(to).is_ok() {
                self.remote = Some(to);
            }
            // What is lost is sent again.
            let _ = self.socket.send(&out[..len]);
        }
        let Some(keys) = &mut self.keys else { return };
        let mut outlet = Line { keys, socket: &self.socket };
        match &mut self.work {
            Work::Publishes(publishers) => {
                for publisher in publishers {
                    publisher.advance(now, &mut outlet, tally);
                }
            }
            Work::Receives(receiver) => receiver.advance(now, &mut outlet),
        }
    }

    #[must_use]
    pub fn deadline(&self) -> Instant {
        let check = self.agent.deadline();
        if self.keys.is_none() {
            return check;
        }
        match &self.work {
            Work::Publishes(publishers) => {
                publishers.iter().map(Publisher::deadline).fold(check, Instant::min)
            }
            Work::Receives(receiver) => check.min(receiver.deadline()),
        }
    }

    fn rtcp(&mut self, now: Instant, datagram: &[u8], tally: &mut Tally) {
        let Some(keys) = &mut self.keys else { return };
        let Some(compound) = keys.open_rtcp(datagram) else {
            tally.not_authentic += 1;
            return;
        };
        let mut outlet = Line { keys, socket: &self.socket };
        match &mut self.work {
            Work::Publishes(publishers) => {
                for publisher in publishers {
                    publisher.receive(&compound, &mut outlet, tally);
                }
            }
            Work::Receives(receiver) => receiver.rtcp(now, &compound),
        }
    }

    fn stun(&mut self, datagram: &[u8]) {
        let mut out = [0; STUN_LEN_MAX];
        match self.agent.receive(datagram, &mut out) {
            Outcome::Answer(len) => _ = self.socket.send(&out[..len]),
            Outcome::Connected => {
                if let Some(connected) = self.connected.take() {
                    let _ = connected.send(());
                }
            }
            Outcome::Nothing => {}
        }
    }
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peer").field("remote", &self.remote).field("work", &self.work).finish_non_exhaustive()
    }
}

/// The way out of a peer connection.
struct Line<'a> {
    keys: &'a mut Keys,
    socket: &'a UdpSocket,
}

impl Outlet for Line<'_> {
    fn rtp(&mut self, packet: &[u8]) -> bool {
        self.keys.seal_rtp(packet).is_some_and(|sealed| send(self.socket, &sealed).is_ok())
    }

    fn rtcp(&mut self, packet: &[u8]) {
        if let Some(sealed) = self.keys.seal_rtcp(packet) {
            // Reports are repeated.
            let _ = send(self.socket, &sealed);
        }
    }
}

fn send(socket: &UdpSocket, datagram: &[u8]) -> io::Result<usize> {
    // The first send after the server's port was closed reports that, and sends nothing.
    socket.send(datagram).or_else(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => socket.send(datagram),
        _ => Err(error),
    })
}

const STUN_LEN_MAX: usize = 512;
