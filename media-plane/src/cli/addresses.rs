//! The addresses that clients are told: given by the operator, or those of the host's default routes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

/// What is to be advertised as candidates, without duplicates; never empty.
#[must_use]
pub fn advertised(given: &[IpAddr], loopback: bool) -> Vec<IpAddr> {
    let mut addresses = if given.is_empty() { of_this_host() } else { given.to_vec() };
    if loopback || addresses.is_empty() {
        addresses.push(Ipv4Addr::LOCALHOST.into());
    }
    let mut unique = Vec::new();
    for address in addresses {
        if !unique.contains(&address) {
            unique.push(address);
        }
    }
    unique
}

/// What sockets are bound to: where nobody is told of an IPv6 address, all of IPv4, as that family's own sockets send at less cost
/// than those of both; else `None`, all there are.
#[must_use]
pub fn of_sockets(advertised: &[IpAddr]) -> Option<IpAddr> {
    advertised.iter().all(IpAddr::is_ipv4).then_some(Ipv4Addr::UNSPECIFIED.into())
}

/// The source addresses of the default routes; without one, every address that is not this host's alone.
fn of_this_host() -> Vec<IpAddr> {
    // Nothing is sent: connecting a UDP socket only asks for the route (addresses of RFC 5737 and RFC 3849).
    let routed: Vec<IpAddr> = [
        source_towards((Ipv4Addr::UNSPECIFIED, 0).into(), (Ipv4Addr::new(192, 0, 2, 1), 9).into()),
        source_towards(
            (Ipv6Addr::UNSPECIFIED, 0).into(),
            (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9).into(),
        ),
    ]
    .into_iter()
    .flatten()
    .collect();
    if routed.is_empty() { of_interfaces() } else { routed }
}

fn source_towards(from: SocketAddr, to: SocketAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind(from).ok()?;
    socket.connect(to).ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|address| reaches_others(*address))
}

fn of_interfaces() -> Vec<IpAddr> {
    let Ok(interfaces) = getifaddrs() else { return Vec::new() };
    interfaces
        .filter(|interface| interface.flags.contains(InterfaceFlags::IFF_UP))
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|address| IpAddr::from(address.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::from(address.ip())))
        })
        .filter(|address| reaches_others(*address))
        .collect()
}

const fn reaches_others(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            !address.is_loopback() && !address.is_link_local() && !address.is_unspecified()
        }
        IpAddr::V6(address) => {
            !address.is_loopback() && !address.is_unicast_link_local() && !address.is_unspecified()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_addresses_are_taken_as_they_are() {
        let given = ["192.0.2.1", "2001:db8::1", "192.0.2.1"].map(|text| text.parse().unwrap());
        assert_eq!(advertised(&given, false), given[..2]);
        assert_eq!(advertised(&given[..1], true), [given[0], Ipv4Addr::LOCALHOST.into()]);
        assert_eq!(advertised(&[Ipv4Addr::LOCALHOST.into()], true), [IpAddr::from(Ipv4Addr::LOCALHOST)]);
    }

    #[test]
    fn sockets_are_of_ipv4_alone_where_no_ipv6_address_is_advertised() {
        let (v4, v6) = ("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
        for (name, advertised, expected) in [
            ("IPv4", &[v4, Ipv4Addr::LOCALHOST.into()][..], Some(Ipv4Addr::UNSPECIFIED.into())),
            ("both", &[v4, v6], None),
            ("IPv6", &[v6], None),
        ] {
            assert_eq!(of_sockets(advertised), expected, "{name}");
        }
    }

    #[test]
    fn there_is_always_an_address() {
        let found = advertised(&[], false);
        assert!(!found.is_empty());
        assert!(
            found.iter().all(|address| reaches_others(*address))
                || found == [IpAddr::from(Ipv4Addr::LOCALHOST)]
        );
    }

    #[test]
    fn addresses_for_this_host_alone_are_not_advertised() {
        for (address, expected) in [
            ("127.0.0.1", false),
            ("169.254.1.1", false),
            ("fe80::1", false),
            ("::1", false),
            ("10.0.0.1", true),
        ] {
            assert_eq!(reaches_others(address.parse().unwrap()), expected, "{address}");
        }
    }
}
