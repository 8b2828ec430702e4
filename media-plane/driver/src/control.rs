//! Control messages: which local address a datagram came to, and which one its answer leaves from (`ip(7)`, RFC 3542).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Bytes of control data reserved per received datagram: one message of `in6_pktinfo` is 40, one of `timespec` 32, one
/// of a count 24.
pub const RECEIVED_LEN_MAX: usize = 96;
/// Bytes of control data reserved per message to be sent: one of `in6_pktinfo` is 40, one of `UDP_SEGMENT` 24.
pub const LEN_MAX: usize = 64;

const HEADER_LEN: usize = size_of::<libc::cmsghdr>();
const ALIGN: usize = size_of::<usize>();

const fn aligned(len: usize) -> usize {
    (len + ALIGN - 1) & !(ALIGN - 1)
}

/// What the kernel tells of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The address that it came to.
    pub local: IpAddr,
    /// When, since the Unix epoch, if the kernel says so.
    pub wall: Option<Duration>,
    /// How many the socket has had no room for until then, modulo 2^32; told only if there were any.
    pub dropped: Option<u32>,
}

/// Reads the control data of a received datagram; `None` without the local address.
#[must_use]
pub fn read(mut control: &[u8]) -> Option<Arrival> {
    let (mut local, mut wall, mut dropped) = (None, None, None);
    while control.len() >= HEADER_LEN {
        let len = usize::from_ne_bytes(*control.first_chunk()?);
        let level = i32::from_ne_bytes(*control.get(ALIGN..)?.first_chunk()?);
        let kind = i32::from_ne_bytes(*control.get(ALIGN + 4..)?.first_chunk()?);
        let data = control.get(HEADER_LEN..len)?;
        match (level, kind) {
            // struct in_pktinfo: interface, local address, header's destination address.
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                local = Some(Ipv4Addr::from(*data.get(8..)?.first_chunk::<4>()?).into());
            }
            // struct in6_pktinfo: address, interface.
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                local = Some(IpAddr::from(Ipv6Addr::from(*data.first_chunk::<16>()?)).to_canonical());
            }
            // struct timespec.
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => wall = timespec(data),
            (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                dropped = data.first_chunk().copied().map(u32::from_ne_bytes)
            }
            _ => {}
        }
        control = control.get(aligned(len)..).unwrap_or_default();
    }
    Some(Arrival { local: local?, wall, dropped })
}

fn timespec(data: &[u8]) -> Option<Duration> {
    let seconds = libc::time_t::from_ne_bytes(*data.first_chunk()?);
    let nanos = libc::c_long::from_ne_bytes(*data.get(size_of::<libc::time_t>()..)?.first_chunk()?);
    Some(Duration::new(u64::try_from(seconds).ok()?, u32::try_from(nanos).ok().filter(|it| *it < NANOS)?))
}

const NANOS: u32 = 1_000_000_000;

/// Writes the control message that makes a datagram leave from `local`, and tells its length: without what would align
/// another one, as with that it does not fit the room that the kernel has on its stack, and it allocates.
#[must_use]
pub fn write_source(local: IpAddr, dual_stack: bool, out: &mut [u8; LEN_MAX]) -> usize {
    *out = [0; LEN_MAX];
    let (level, kind, data_len) = if dual_stack {
        let address = match local {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        out[HEADER_LEN..HEADER_LEN + 16].copy_from_slice(&address.octets());
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, 20)
    } else {
        if let IpAddr::V4(address) = local {
            // ipi_spec_dst: the source address of what is sent.
            out[HEADER_LEN + 4..HEADER_LEN + 8].copy_from_slice(&address.octets());
        }
        (libc::IPPROTO_IP, libc::IP_PKTINFO, 12)
    };
    out[..ALIGN].copy_from_slice(&(HEADER_LEN + data_len).to_ne_bytes());
    out[ALIGN..ALIGN + 4].copy_from_slice(&level.to_ne_bytes());
    out[ALIGN + 4..ALIGN + 8].copy_from_slice(&kind.to_ne_bytes());
    HEADER_LEN + data_len
}

/// Writes behind the first `start` bytes, aligned, the control message that makes the kernel cut a message into datagrams of
/// `segment_len` bytes, and tells the length of both.
#[must_use]
pub fn write_segment_len(segment_len: usize, start: usize, out: &mut [u8; LEN_MAX]) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "at most a datagram's length")]
    let segment_len = segment_len as u16;
    let message = &mut out[aligned(start)..aligned(start) + HEADER_LEN + 2];
    message[..ALIGN].copy_from_slice(&(HEADER_LEN + 2).to_ne_bytes());
    message[ALIGN..ALIGN + 4].copy_from_slice(&libc::SOL_UDP.to_ne_bytes());
    message[ALIGN + 4..ALIGN + 8].copy_from_slice(&libc::UDP_SEGMENT.to_ne_bytes());
    message[HEADER_LEN..HEADER_LEN + 2].copy_from_slice(&segment_len.to_ne_bytes());
    aligned(start) + HEADER_LEN + 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_and_segment_length_fit_together() {
        for (name, dual_stack) in [("v4", false), ("dual stack", true)] {
            let mut out = [0xff; LEN_MAX];
            let start = aligned(write_source(Ipv4Addr::LOCALHOST.into(), dual_stack, &mut out));
            let len = write_segment_len(1200, start, &mut out);
            assert!(len <= LEN_MAX, "{name}");
            assert_eq!(out[start..start + 8], 18_usize.to_ne_bytes(), "{name}");
            assert_eq!(out[start + 16..start + 18], 1200_u16.to_ne_bytes(), "{name}");
        }
    }

    #[test]
    fn source_address_is_read_back() {
        for (name, address) in [("v4", "192.0.2.7"), ("v6", "2001:db8::7")] {
            let address: IpAddr = address.parse().unwrap();
            let mut out = [0; LEN_MAX];
            let len = write_source(address, true, &mut out);
            assert_eq!(
                read(&out[..len]),
                Some(Arrival { local: address, wall: None, dropped: None }),
                "{name}"
            );
        }
    }

    #[test]
    fn the_time_of_receipt_is_read_with_the_address() {
        let mut source = [0; LEN_MAX];
        let len = aligned(write_source(Ipv4Addr::LOCALHOST.into(), true, &mut source));
        let stamp = |nanos: i64| {
            let head = [
                32_usize.to_ne_bytes(),
                (u64::from(libc::SOL_SOCKET.cast_unsigned())
                    | u64::from(libc::SCM_TIMESTAMPNS.cast_unsigned()) << 32)
                    .to_ne_bytes(),
            ];
            [head.concat(), 7_i64.to_ne_bytes().to_vec(), nanos.to_ne_bytes().to_vec()].concat()
        };
        for (name, nanos, wall) in [
            ("a time", 5, Some(Duration::new(7, 5))),
            ("too many nanoseconds", 1_000_000_000, None),
            ("too few", -1, None),
        ] {
            for control in
                [[&source[..len], &stamp(nanos)].concat(), [&stamp(nanos), &source[..len]].concat()]
            {
                assert!(control.len() <= RECEIVED_LEN_MAX);
                let arrival = read(&control).unwrap();
                assert_eq!(
                    arrival,
                    Arrival { local: Ipv4Addr::LOCALHOST.into(), wall, dropped: None },
                    "{name}"
                );
            }
        }
        assert_eq!(read(&stamp(5)), None, "no address");
    }

    #[test]
    fn broken_control_data_is_none() {
        let mut out = [0; LEN_MAX];
        let len = write_source("192.0.2.7".parse().unwrap(), true, &mut out);
        for cut in 0..HEADER_LEN + 16 {
            assert_eq!(read(&out[..cut]), None, "cut at {cut}");
        }
        out[..ALIGN].copy_from_slice(&usize::MAX.to_ne_bytes());
        assert_eq!(read(&out[..len]), None);
    }
}
