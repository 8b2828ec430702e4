//! This host's address as the Internet sees it: one STUN Binding request, RFC 8489 §§5, 6 and 14.2.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rand::Rng;
use tokio::net::{UdpSocket, lookup_host};
use tokio::time::timeout;

/// The first server's answer. None when none answers in time, which the caller has to say loudly: clients beyond
/// the NAT will not reach us.
pub async fn find(servers: &[String]) -> Option<IpAddr> {
    let defaults = DEFAULT_SERVERS.map(str::to_owned);
    for server in if servers.is_empty() { &defaults[..] } else { servers } {
        match timeout(SERVER_MAX, ask(server)).await {
            Ok(Ok(address)) => return Some(address),
            Ok(Err(error)) => tracing::debug!(server, %error, "STUN server gave no address"),
            Err(_) => tracing::debug!(server, "STUN server did not answer"),
        }
    }
    None
}

/// RFC 8489 §6.2.1: the request is repeated, for datagrams get lost.
async fn ask(server: &str) -> io::Result<IpAddr> {
    let host = if has_port(server) { server.to_owned() } else { format!("{server}:3478") };
    let server = lookup_host(host).await?.find(SocketAddr::is_ipv4).ok_or(io::ErrorKind::AddrNotAvailable)?;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect(server).await?;
    let transaction: [u8; 12] = rand::rng().random();
    let request = request(transaction);
    let mut response = [0; RESPONSE_LEN_MAX];
    for wait in RETRANSMISSIONS {
        socket.send(&request).await?;
        let Ok(received) = timeout(wait, socket.recv(&mut response)).await else { continue };
        let message = response.get(..received?).unwrap_or_default();
        if let Some(address) = mapped_address(message, transaction) {
            return Ok(address);
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

fn has_port(server: &str) -> bool {
    server.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok())
}

/// RFC 8489 §5: type, length, magic cookie, transaction.
fn request(transaction: [u8; 12]) -> [u8; HEADER_LEN] {
    let mut message = [0; HEADER_LEN];
    message[..2].copy_from_slice(&BINDING_REQUEST);
    message[4..8].copy_from_slice(&MAGIC_COOKIE);
    message[8..].copy_from_slice(&transaction);
    message
}

/// XOR-MAPPED-ADDRESS of a success response to our transaction.
fn mapped_address(message: &[u8], transaction: [u8; 12]) -> Option<IpAddr> {
    let (header, mut rest) = message.split_first_chunk::<HEADER_LEN>()?;
    let [t0, t1, _, _, cookie @ .., ] = header;
    if [*t0, *t1] != BINDING_SUCCESS || !cookie.starts_with(&MAGIC_COOKIE) || !cookie.ends_with(&transaction) {
        return None;
    }
    while let Some(([k0, k1, l0, l1], after)) = rest.split_first_chunk::<4>() {
        let len = usize::from(u16::from_be_bytes([*l0, *l1]));
        let value = after.get(..len)?;
        if [*k0, *k1] == XOR_MAPPED_ADDRESS {
            return unmask(value, transaction);
        }
        // RFC 8489 §14: padded to four bytes.
        rest = after.get(len.next_multiple_of(4)..)?;
    }
    None
}

/// RFC 8489 §14.2.
fn unmask(value: &[u8], transaction: [u8; 12]) -> Option<IpAddr> {
    let ([_, family, _, _], address) = value.split_first_chunk::<4>()?;
    let mask = MAGIC_COOKIE.into_iter().chain(transaction);
    let clear: Vec<u8> = address.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect();
    match family {
        1 => <[u8; 4]>::try_from(clear).ok().map(|bytes| Ipv4Addr::from(bytes).into()),
        2 => <[u8; 16]>::try_from(clear).ok().map(|bytes| Ipv6Addr::from(bytes).into()),
        _ => None,
    }
}

const HEADER_LEN: usize = 20;
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];
const XOR_MAPPED_ADDRESS: [u8; 2] = [0x00, 0x20];
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const RESPONSE_LEN_MAX: usize = 1280;
const RETRANSMISSIONS: [Duration; 3] =
    [Duration::from_millis(250), Duration::from_millis(500), Duration::from_millis(1000)];
const SERVER_MAX: Duration = Duration::from_secs(3);
/// LiveKit's.
const DEFAULT_SERVERS: [&str; 3] =
    ["global.stun.twilio.com:3478", "stun.l.google.com:19302", "stun1.l.google.com:19302"];
