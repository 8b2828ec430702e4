//! Where receivers may be: at public addresses, and where the configuration allows it besides.
//!
//! Names are judged by the addresses that are connected to, at each connection: a name that points elsewhere meanwhile
//! gains nothing.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::LazyLock;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::net::lookup_host;

use crate::config::Config;
use crate::config::live::Live;
use crate::config::network::Network;

/// Why a receiver is not connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a public address, and webhook.allow_private does not have it")]
pub struct Private(pub IpAddr);

/// # Errors
/// When it is not to be connected to.
pub fn check(config: &Config, address: IpAddr) -> Result<(), Private> {
    let canonical = address.to_canonical();
    let allowed = is_public(canonical)
        || (config.development && canonical.is_loopback())
        || config.webhook.allow_private.iter().any(|network| network.contains(canonical));
    allowed.then_some(()).ok_or(Private(address))
}

/// Finds addresses, and passes on those that may be connected to.
#[derive(Clone, Debug)]
pub struct Resolver {
    pub config: Live,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let config = self.config.now();
        Box::pin(async move {
            let found: Vec<SocketAddr> = lookup_host((name.as_str(), 0)).await?.collect();
            let mut refused = None;
            let mut allowed = Vec::new();
            for address in found {
                match check(&config, address.ip()) {
                    Ok(()) => allowed.push(address),
                    Err(private) => refused = Some(private),
                }
            }
            match refused {
                Some(private) if allowed.is_empty() => Err(private.into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

/// IANA's registries of special-purpose addresses.
fn is_public(address: IpAddr) -> bool {
    match address {
        // RFC 6052 §2.1: an IPv4 address behind a translator is what is translated to.
        IpAddr::V6(v6) if v6.octets().starts_with(&TRANSLATED) => {
            let [.., a, b, c, d] = v6.octets();
            is_public(Ipv4Addr::new(a, b, c, d).into())
        }
        address => !SPECIAL.iter().any(|network| network.contains(address)),
    }
}

const TRANSLATED: [u8; 12] = [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0];

static SPECIAL: LazyLock<Vec<Network>> = LazyLock::new(|| {
    let networks = [
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/96",
        "::ffff:0:0:0/96",
        "64:ff9b:1::/48",
        "100::/64",
        "100:0:0:1::/64",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    ];
    networks.iter().map(|network| network.parse().expect("each is a network")).collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receivers_are_public_or_allowed() {
        let strict = Config::default();
        let development = Config { development: true, ..Config::default() };
        let mut allowing = Config::default();
        allowing.webhook.allow_private = vec!["10.1.0.0/16".parse().unwrap(), "fd00::/8".parse().unwrap()];
        for (address, expected, in_development, allowed) in [
            ("1.1.1.1", true, true, true),
            ("2606:4700::1111", true, true, true),
            ("64:ff9b::101:101", true, true, true),
            ("127.0.0.1", false, true, false),
            ("127.9.9.9", false, true, false),
            ("::1", false, true, false),
            ("::ffff:127.0.0.1", false, true, false),
            ("::ffff:10.1.2.3", false, false, true),
            ("10.1.2.3", false, false, true),
            ("10.2.0.1", false, false, false),
            ("fd00::1", false, false, true),
            ("172.31.255.255", false, false, false),
            ("172.32.0.1", true, true, true),
            ("192.168.1.1", false, false, false),
            ("100.64.0.1", false, false, false),
            ("169.254.169.254", false, false, false),
            ("fe80::1", false, false, false),
            ("64:ff9b::a00:1", false, false, false),
            ("2002:7f00:1::", false, false, false),
            ("0.0.0.0", false, false, false),
            ("::", false, false, false),
            ("255.255.255.255", false, false, false),
            ("ff02::1", false, false, false),
        ] {
            let address: IpAddr = address.parse().unwrap();
            let is = |config: &Config| check(config, address).is_ok();
            let found = (is(&strict), is(&development), is(&allowing));
            assert_eq!(found, (expected, in_development, allowed), "{address}");
        }
    }

    #[tokio::test]
    async fn names_of_private_addresses_are_not_resolved() {
        let resolver =
            |development| Resolver { config: Live::new(Config { development, ..Config::default() }) };
        let localhost = || "localhost".parse::<Name>().unwrap();
        let refused = resolver(false).resolve(localhost()).await.err().expect("refused");
        assert!(refused.downcast_ref::<Private>().is_some(), "{refused}");
        assert!(resolver(true).resolve(localhost()).await.unwrap().count() > 0);
    }
}
