//! Where a request comes from, if it came by way of a proxy.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;

use crate::config::network::Network;

/// The client's address.
///
/// Without trusted proxies it is what the outermost proxy claims, as in LiveKit, and good for nothing but to be shown:
/// anybody can claim anything. With them, only they are believed, and each only about whom it was called by.
pub fn address(headers: &HeaderMap, socket: IpAddr, trusted: &[Network]) -> IpAddr {
    if trusted.is_empty() {
        return claimed(headers).unwrap_or(socket);
    }
    if !is_trusted(socket, trusted) {
        return socket;
    }
    behind(headers, trusted).unwrap_or(socket)
}

pub fn is_trusted(address: IpAddr, trusted: &[Network]) -> bool {
    trusted.iter().any(|network| network.contains(address))
}

fn claimed(headers: &HeaderMap) -> Option<IpAddr> {
    [CF_CONNECTING_IP, X_FORWARDED_FOR, X_REAL_IP].iter().find_map(|name| {
        let value = headers.get(*name)?.to_str().ok()?;
        parse(value.split(',').next()?.as_bytes())
    })
}

/// Each proxy appends the address that it was called from, so the last one that is no proxy of ours is the client's;
/// what stands before it is hearsay. `X-Real-IP` is for proxies that only write this one.
fn behind(headers: &HeaderMap, trusted: &[Network]) -> Option<IpAddr> {
    let mut lists = headers.get_all(X_FORWARDED_FOR).iter().rev().peekable();
    if lists.peek().is_none() {
        return parse(headers.get(X_REAL_IP)?.as_bytes());
    }
    let mut nearest = None;
    // By hop, not by list: what a client put into it must not make what a proxy added unreadable.
    for hop in lists.flat_map(|list| list.as_bytes().rsplit(|byte| *byte == b',')) {
        let Some(address) = parse(hop) else { return nearest };
        nearest = Some(address);
        if !is_trusted(address, trusted) {
            return nearest;
        }
    }
    nearest
}

/// With a port or without one: some proxies write it. An IPv6 address stands in brackets then (RFC 7239 §6), and with some even
/// without one.
fn parse(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?.trim();
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']')).unwrap_or(hop);
    bare.parse().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

const CF_CONNECTING_IP: &str = "cf-connecting-ip";
const X_FORWARDED_FOR: &str = "x-forwarded-for";
const X_REAL_IP: &str = "x-real-ip";

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn found(headers: &[(&'static str, &'static str)], socket: &str, trusted: &[Network]) -> String {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        address(&headers.collect(), socket.parse().unwrap(), trusted).to_string()
    }

    #[test]
    fn the_outermost_proxy_names_the_address() {
        for (name, headers, expected) in [
            ("no proxy", &[][..], "127.0.0.1"),
            ("forwarded", &[("x-forwarded-for", "192.0.2.1, 10.0.0.1")], "192.0.2.1"),
            ("real", &[("x-real-ip", "2001:db8::1")], "2001:db8::1"),
            (
                "all",
                &[
                    ("x-real-ip", "192.0.2.3"),
                    ("x-forwarded-for", "192.0.2.2"),
                    ("cf-connecting-ip", "192.0.2.1"),
                ],
                "192.0.2.1",
            ),
            ("with a port", &[("x-forwarded-for", "192.0.2.1:4711")], "192.0.2.1"),
            ("nonsense", &[("x-forwarded-for", "localhost")], "127.0.0.1"),
        ] {
            assert_eq!(found(headers, "127.0.0.1", &[]), expected, "{name}");
        }
    }

    #[test]
    fn bytes_of_a_client_do_not_hide_what_its_proxy_added() {
        let value = HeaderValue::from_bytes(b"\xff\x80, 192.0.2.1").unwrap();
        let headers = HeaderMap::from_iter([(HeaderName::from_static(X_FORWARDED_FOR), value)]);
        let proxy = IpAddr::from([10, 0, 0, 1]);
        let found = address(&headers, proxy, &["10.0.0.0/8".parse().unwrap()]);
        assert_eq!(found, IpAddr::from([192, 0, 2, 1]));
    }

    #[test]
    fn trusted_proxies_are_believed_about_their_own_callers_only() {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "198.51.100.7".parse().unwrap()];
        for (name, socket, headers, expected) in [
            ("a stranger claims", "192.0.2.9", &[("x-forwarded-for", "127.0.0.1")][..], "192.0.2.9"),
            ("a proxy", "10.0.0.1", &[("x-forwarded-for", "192.0.2.1")], "192.0.2.1"),
            ("a client that claims", "10.0.0.1", &[("x-forwarded-for", "127.0.0.1, 192.0.2.1")], "192.0.2.1"),
            ("two proxies", "10.0.0.1", &[("x-forwarded-for", "192.0.2.1,198.51.100.7")], "192.0.2.1"),
            (
                "in two lines",
                "10.0.0.1",
                &[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "192.0.2.1")],
                "192.0.2.1",
            ),
            ("proxies only", "10.0.0.1", &[("x-forwarded-for", "10.0.0.3, 10.0.0.2")], "10.0.0.3"),
            ("ports", "10.0.0.1", &[("x-forwarded-for", "192.0.2.1:4711, 10.0.0.2:80")], "192.0.2.1"),
            ("IPv6 and a port", "10.0.0.1", &[("x-forwarded-for", "[2001:db8::1]:4711")], "2001:db8::1"),
            ("IPv6 in brackets", "10.0.0.1", &[("x-forwarded-for", "[2001:db8::1]")], "2001:db8::1"),
            ("the other header with a port", "10.0.0.1", &[("x-real-ip", "192.0.2.1:4711")], "192.0.2.1"),
            ("no port", "10.0.0.1", &[("x-forwarded-for", "192.0.2.1:x")], "10.0.0.1"),
            ("nonsense before a proxy", "10.0.0.1", &[("x-forwarded-for", "x, 10.0.0.2")], "10.0.0.2"),
            ("nonsense", "10.0.0.1", &[("x-forwarded-for", "x")], "10.0.0.1"),
            ("the other header", "10.0.0.1", &[("x-real-ip", "192.0.2.1")], "192.0.2.1"),
            (
                "both",
                "10.0.0.1",
                &[("x-real-ip", "192.0.2.2"), ("x-forwarded-for", "192.0.2.1")],
                "192.0.2.1",
            ),
            ("a client's own", "10.0.0.1", &[("cf-connecting-ip", "192.0.2.1")], "10.0.0.1"),
            ("none", "::ffff:10.0.0.1", &[], "::ffff:10.0.0.1"),
        ] {
            assert_eq!(found(headers, socket, &trusted), expected, "{name}");
        }
    }
}
