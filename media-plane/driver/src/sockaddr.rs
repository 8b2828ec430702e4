//! Socket addresses as the kernel writes them, read and written byte by byte.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Room for the larger of `sockaddr_in` (16 bytes) and `sockaddr_in6` (28 bytes).
pub const LEN_MAX: usize = 28;

/// An IPv4 address is never written as IPv4-mapped IPv6 inside.
#[must_use]
pub fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// Reads what `recvmsg` left in `msg_name`; `None` for families other than IP.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<SocketAddr> {
    let family = i32::from(u16::from_ne_bytes(*bytes.first_chunk()?));
    let port = u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?);
    match family {
        libc::AF_INET => {
            let address: [u8; 4] = *bytes.get(4..)?.first_chunk()?;
            Some(SocketAddr::new(Ipv4Addr::from(address).into(), port))
        }
        libc::AF_INET6 => {
            let address = Ipv6Addr::from(*bytes.get(8..)?.first_chunk::<16>()?);
            let scope = u32::from_ne_bytes(*bytes.get(24..)?.first_chunk()?);
            Some(match plain(address.into()) {
                IpAddr::V4(address) => SocketAddr::new(address.into(), port),
                IpAddr::V6(address) => SocketAddrV6::new(address, port, 0, scope).into(),
            })
        }
        _ => None,
    }
}

/// Writes `address` for a socket of the given family and tells the length.
///
/// `None` for an IPv6 address on an IPv4 socket.
#[must_use]
pub fn write(address: &SocketAddr, dual_stack: bool, out: &mut [u8; LEN_MAX]) -> Option<u32> {
    *out = [0; LEN_MAX];
    if dual_stack {
        let (ip, scope) = match address {
            SocketAddr::V4(address) => (address.ip().to_ipv6_mapped(), 0),
            SocketAddr::V6(address) => (*address.ip(), address.scope_id()),
        };
        #[expect(clippy::cast_possible_truncation, reason = "sa_family_t is 16 bits")]
        out[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
        out[2..4].copy_from_slice(&address.port().to_be_bytes());
        out[8..24].copy_from_slice(&ip.octets());
        out[24..28].copy_from_slice(&scope.to_ne_bytes());
        return Some(28);
    }
    let SocketAddr::V4(address) = address else { return None };
    #[expect(clippy::cast_possible_truncation, reason = "sa_family_t is 16 bits")]
    out[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
    out[2..4].copy_from_slice(&address.port().to_be_bytes());
    out[4..8].copy_from_slice(&address.ip().octets());
    Some(16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_kernels_form() {
        for (name, address, dual_stack) in [
            ("v4 on v4", "192.0.2.1:7882", false),
            ("v4 on dual stack", "192.0.2.1:7882", true),
            ("v6", "[2001:db8::1]:65535", true),
            ("v6 with scope", "[fe80::1%3]:1", true),
        ] {
            let address: SocketAddr = address.parse().unwrap();
            let mut bytes = [0; LEN_MAX];
            let len = write(&address, dual_stack, &mut bytes).unwrap();
            assert_eq!(read(&bytes[..len as usize]), Some(address), "{name}");
        }
    }

    #[test]
    fn v6_is_refused_on_a_v4_socket_and_short_input_is_none() {
        assert_eq!(write(&"[::1]:1".parse().unwrap(), false, &mut [0; LEN_MAX]), None);
        for len in 0..8 {
            assert_eq!(read(&[2, 0, 0, 0, 0, 0, 0, 0][..len]), None);
        }
    }
}
