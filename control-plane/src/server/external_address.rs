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
    let [t0, t1, _, _, cookie @ ..] = header;
    if [*t0, *t1] != BINDING_SUCCESS || !cookie.starts_with(&MAGIC_COOKIE) || !cookie.ends_with(&transaction)
    {
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

#[cfg(test)]
mod tests {
    use super::*;

    const TRANSACTION: [u8; 12] = [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];

    fn response(kind: [u8; 2], transaction: [u8; 12], attributes: &[u8]) -> Vec<u8> {
        let len = u16::try_from(attributes.len()).unwrap().to_be_bytes();
        [&kind[..], &len, &MAGIC_COOKIE, &transaction, attributes].concat()
    }

    #[test]
    fn the_mapped_address_is_found() {
        // The addresses of RFC 5769 §§2.2 and 2.3.
        let v4 = [0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43];
        let v6 = [
            0, 0x20, 0, 20, 0, 2, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25,
            0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9,
        ];
        let software = [0x80, 0x22, 0, 3, b'a', b'b', b'c', 0];
        let padded = [&software[..], &v4].concat();
        for (name, message, expected) in [
            ("IPv4", response(BINDING_SUCCESS, TRANSACTION, &v4), Some("192.0.2.1")),
            (
                "IPv6",
                response(BINDING_SUCCESS, TRANSACTION, &v6),
                Some("2001:db8:1234:5678:11:2233:4455:6677"),
            ),
            ("behind another attribute", response(BINDING_SUCCESS, TRANSACTION, &padded), Some("192.0.2.1")),
            ("another transaction", response(BINDING_SUCCESS, [0; 12], &v4), None),
            ("an error", response([0x01, 0x11], TRANSACTION, &v4), None),
            ("our own request", request(TRANSACTION).to_vec(), None),
            ("no attribute", response(BINDING_SUCCESS, TRANSACTION, &[]), None),
            ("cut", response(BINDING_SUCCESS, TRANSACTION, &v4[..10]), None),
            ("too short an address", response(BINDING_SUCCESS, TRANSACTION, &[0, 0x20, 0, 2, 0, 1]), None),
            ("empty", Vec::new(), None),
        ] {
            let found = mapped_address(&message, TRANSACTION).map(|address| address.to_string());
            assert_eq!(found.as_deref(), expected, "{name}");
        }
    }

    /// Loses the first request, answers the second.
    #[tokio::test]
    async fn a_server_is_asked_again() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap().to_string();
        let answering = tokio::spawn(async move {
            let mut request = [0; 64];
            server.recv_from(&mut request).await.unwrap();
            let (len, client) = server.recv_from(&mut request).await.unwrap();
            assert_eq!(request[..8], [0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]);
            let transaction = request[8..len].try_into().unwrap();
            let attribute = [0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43];
            server.send_to(&response(BINDING_SUCCESS, transaction, &attribute), client).await.unwrap();
        });
        assert_eq!(find(&[address]).await.unwrap().to_string(), "192.0.2.1");
        answering.await.unwrap();
    }

    #[tokio::test]
    async fn nobody_answering_is_none() {
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        assert_eq!(find(&[silent.local_addr().unwrap().to_string()]).await, None);
    }
}
