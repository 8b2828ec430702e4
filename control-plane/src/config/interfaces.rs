//! The addresses of this host that `rtc.interfaces` and `rtc.ips` choose, for candidates.

use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

use crate::config::Rtc;

/// `None`: there is nothing to choose by, or the address is told.
///
/// # Errors
/// A sentence, if no address is left.
pub fn chosen(rtc: &Rtc) -> Result<Option<Vec<IpAddr>>, String> {
    if !rtc.node_ip.is_empty() || (rtc.interfaces.is_everything() && rtc.ips.is_everything()) {
        return Ok(None);
    }
    let addresses = choose(rtc, &of_this_host());
    if addresses.is_empty() {
        return Err("rtc.interfaces and rtc.ips leave no address of this host to tell clients".to_owned());
    }
    Ok(Some(addresses))
}

/// Interfaces that are up, with their addresses.
fn of_this_host() -> Vec<(String, IpAddr)> {
    let Ok(interfaces) = getifaddrs() else { return Vec::new() };
    interfaces
        .filter(|interface| interface.flags.contains(InterfaceFlags::IFF_UP))
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|address| IpAddr::from(address.ip()));
            let address =
                v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::from(address.ip())))?;
            Some((interface.interface_name, address))
        })
        .collect()
}

/// Those of one host alone are left out unless an interface or a network with them is named.
fn choose(rtc: &Rtc, all: &[(String, IpAddr)]) -> Vec<IpAddr> {
    let named = |name: &str, address: IpAddr| {
        rtc.interfaces.includes.iter().any(|included| included == name)
            || rtc.ips.includes.iter().any(|network| network.contains(address))
    };
    let chosen = all.iter().filter(|(name, address)| {
        rtc.interfaces.takes(|other| other == name)
            && rtc.ips.takes(|network| network.contains(*address))
            && !is_link_local(*address)
            && (!address.is_loopback() || named(name, *address))
    });
    let mut addresses: Vec<IpAddr> = Vec::new();
    for (_, address) in chosen {
        if !addresses.contains(address) {
            addresses.push(*address);
        }
    }
    addresses
}

const fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Choice;

    #[test]
    fn interfaces_and_networks_choose_together() {
        let all = [
            ("lo", "127.0.0.1"),
            ("eth0", "192.0.2.1"),
            ("eth0", "2001:db8::1"),
            ("eth0", "fe80::1"),
            ("eth1", "10.0.0.1"),
            ("docker0", "172.17.0.1"),
        ];
        let all = all.map(|(name, address)| (name.to_owned(), address.parse().unwrap()));
        let names = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let networks = |text: &str| text.split_whitespace().map(|one| one.parse().unwrap()).collect();
        for (name, interfaces, ips, expected) in [
            ("one interface", ("eth0", ""), ("", ""), "192.0.2.1 2001:db8::1"),
            ("not one", ("", "docker0"), ("", ""), "192.0.2.1 2001:db8::1 10.0.0.1"),
            ("both said", ("eth0 docker0", "docker0"), ("", ""), "192.0.2.1 2001:db8::1"),
            ("a network", ("", ""), ("10.0.0.0/8", ""), "10.0.0.1"),
            ("not a network", ("", ""), ("", "::/0 172.16.0.0/12"), "192.0.2.1 10.0.0.1"),
            ("both kinds", ("eth0", ""), ("0.0.0.0/0", ""), "192.0.2.1"),
            ("loopback by name", ("lo", ""), ("", ""), "127.0.0.1"),
            ("loopback by network", ("", ""), ("127.0.0.0/8", ""), "127.0.0.1"),
            ("none", ("wlan0", ""), ("", ""), ""),
        ] {
            let rtc = Rtc {
                interfaces: Choice { includes: names(interfaces.0), excludes: names(interfaces.1) },
                ips: Choice { includes: networks(ips.0), excludes: networks(ips.1) },
                ..Rtc::default()
            };
            let chosen = choose(&rtc, &all);
            let chosen: Vec<String> = chosen.iter().map(ToString::to_string).collect();
            assert_eq!(chosen.join(" "), expected, "{name}");
        }
    }

    #[test]
    fn a_given_address_is_not_chosen_against() {
        let mut rtc = Rtc::default();
        assert_eq!(chosen(&rtc), Ok(None), "nothing said");
        rtc.interfaces.includes = vec!["none-of-this-name".to_owned()];
        assert!(chosen(&rtc).unwrap_err().contains("rtc.interfaces"));
        rtc.node_ip = vec!["192.0.2.1".parse().unwrap()];
        assert_eq!(chosen(&rtc), Ok(None), "given");
    }
}
