//! A participant's transport: ICE checks, SRTP with keys that were agreed on elsewhere, and what is sent and received over it.

pub mod checks;
pub mod decoder;
pub mod fault;
pub mod receiver;
pub mod sender;

use std::net::SocketAddr;

use srtp::inbound::{Inbound, OpenError};
use srtp::keys::Keys;
use srtp::outbound::Outbound;
use srtp::rust_crypto::RustCrypto;
use units::rtp::Ssrc;
use units::time::Instant;
use wire::demux::Class;
use wire::rtcp::build::Builder;
use wire::rtcp::{Compound, Packet};
use wire::rtp::{Header, without_padding};

use crate::client::checks::Checks;
use crate::client::receiver::{Arrival, Receiver};
use crate::client::sender::Sender;
use crate::oracle::Oracle;

/// Datagrams on their way out.
pub type Outgoing = Vec<Vec<u8>>;

pub struct Client {
    pub address: SocketAddr,
    pub checks: Checks,
    inbound: Inbound<RustCrypto>,
    outbound: Outbound<RustCrypto>,
    /// Whether the other side has its keys, too.
    is_connected: bool,
    pub sender: Option<Sender>,
    pub receivers: Vec<Receiver>,
    reports_at: Instant,
    /// What could not be read of what came; stays zero.
    pub unreadable: u64,
}

impl Client {
    #[must_use]
    pub fn new(address: SocketAddr, checks: Checks, keys: &Keys) -> Self {
        Self {
            address,
            checks,
            inbound: Inbound::new(keys),
            outbound: Outbound::new(keys),
            is_connected: false,
            sender: None,
            receivers: Vec::new(),
            reports_at: Instant(0),
            unreadable: 0,
        }
    }

    pub fn connect(&mut self, now: Instant) {
        self.is_connected = true;
        self.reports_at = now + REPORT_INTERVAL;
        if let Some(sender) = &mut self.sender {
            sender.start(now);
        }
    }

    pub fn receive(&mut self, now: Instant, datagram: &mut [u8], out: &mut Outgoing, oracle: &mut Oracle) {
        let read = match Class::of(datagram) {
            Ok(Class::Stun) => self.checks.answer(datagram),
            Ok(Class::Rtp) => self.receive_rtp(now, datagram, oracle),
            Ok(Class::Rtcp) => self.receive_rtcp(now, datagram, out),
            Ok(Class::Dtls) | Err(_) => None,
        };
        self.unreadable += u64::from(read.is_none());
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Instant, out: &mut Outgoing, oracle: &mut Oracle) {
        self.checks.tick(now, out);
        if !self.is_connected {
            return;
        }
        if let Some(sender) = &mut self.sender {
            sender.tick(now, &mut self.outbound, out, oracle);
        }
        for receiver in &mut self.receivers {
            receiver.tick(now, &mut self.outbound, out, oracle);
        }
        if self.reports_at <= now {
            self.reports_at = now + REPORT_INTERVAL;
            self.report(now, out);
        }
    }

    #[must_use]
    pub fn next_at(&self) -> Instant {
        let checks = self.checks.next_at();
        if !self.is_connected {
            return checks;
        }
        let sender = self.sender.as_ref().map(Sender::next_at);
        let receivers = self.receivers.iter().filter_map(Receiver::next_at);
        sender.into_iter().chain(receivers).chain([checks, self.reports_at]).min().unwrap_or(checks)
    }

    fn receive_rtp(&mut self, now: Instant, datagram: &mut [u8], oracle: &mut Oracle) -> Option<()> {
        let (header_len, ssrc, duplicate) = {
            let header = Header::parse(datagram).ok()?;
            (header.header_len(), header.ssrc(), self.inbound.is_duplicate(header.ssrc(), header.sequence()))
        };
        if duplicate {
            return Some(());
        }
        let opened = self.inbound.open_rtp(datagram, header_len).ok()?;
        let packet = datagram.get(..opened.len)?;
        let header = Header::parse(packet).ok()?;
        let payload = without_padding(packet.get(header_len..)?, header.has_padding()).ok()?;
        let receiver = self.receivers.iter_mut().find(|receiver| receiver.receives(ssrc))?;
        let arrival = Arrival {
            ssrc,
            sequence: header.sequence(),
            timestamp: header.timestamp(),
            marker: header.marker(),
            payload,
        };
        receiver.receive(now, &arrival, oracle)
    }

    fn receive_rtcp(&mut self, now: Instant, datagram: &mut [u8], out: &mut Outgoing) -> Option<()> {
        let len = match self.inbound.open_rtcp(datagram) {
            Err(OpenError::Replay) => return Some(()),
            opened => opened.ok()?,
        };
        for member in Compound::new(datagram.get(..len)?) {
            let member = member.ok()?;
            if let Packet::SenderReport(report) = member {
                let receiver =
                    self.receivers.iter_mut().find(|receiver| receiver.receives(report.info.ssrc))?;
                receiver.sender_reported(now, report.info.ntp);
            } else if let Some(sender) = &mut self.sender {
                sender.feedback(now, &member, &mut self.outbound, out);
            }
        }
        Some(())
    }

    fn report(&mut self, now: Instant, out: &mut Outgoing) {
        let blocks: Vec<_> = self.receivers.iter().filter_map(|receiver| receiver.report(now)).collect();
        if !blocks.is_empty() {
            out.extend(sealed_rtcp(&mut self.outbound, |builder| {
                builder.receiver_report(RTCP_SSRC, &blocks).is_ok()
            }));
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("address", &self.address).finish_non_exhaustive()
    }
}

/// An RTCP packet with what `write` puts into it; `None` if that failed.
pub(crate) fn sealed_rtcp(
    outbound: &mut Outbound<RustCrypto>,
    write: impl FnOnce(&mut Builder<'_>) -> bool,
) -> Option<Vec<u8>> {
    let mut bytes = vec![0; DATAGRAM_LEN];
    let mut builder = Builder::new(&mut bytes);
    let len = write(&mut builder).then(|| builder.len())?;
    let sealed_len = outbound.seal_rtcp(&mut bytes, len).ok()?;
    bytes.truncate(sealed_len);
    Some(bytes)
}

pub(crate) const DATAGRAM_LEN: usize = 1_500;
pub(crate) const RTCP_SSRC: Ssrc = Ssrc(0x77);
const REPORT_INTERVAL: std::time::Duration = std::time::Duration::from_secs(1);
