//! A worker's UDP socket: dual stack where the host has IPv6, with the local address of each datagram.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// What is asked of the kernel for each direction; it gives what `net.core.*mem_max` allows.
const KERNEL_BUFFER_LEN: usize = 4 * 1024 * 1024; // ~0.3 s at 100 Mbit/s

#[derive(Debug)]
pub struct WorkerSocket {
    socket: UdpSocket,
    dual_stack: bool,
}

impl WorkerSocket {
    /// Binds `port` on `address`, or on every address of the host.
    ///
    /// # Errors
    /// When the port is taken or the address is not the host's.
    pub fn bind(address: Option<IpAddr>, port: u16, shares_port: bool) -> io::Result<Self> {
        match address {
            Some(address) => Self::bind_to(SocketAddr::new(address, port), shares_port),
            None => Self::bind_to(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port), shares_port).or_else(
                |error| {
                    // A host without IPv6 has no such address family, or no such address.
                    match error.raw_os_error() {
                        Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL) => {
                            Self::bind_to(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port), shares_port)
                        }
                        _ => Err(error),
                    }
                },
            ),
        }
    }

    fn bind_to(address: SocketAddr, shares_port: bool) -> io::Result<Self> {
        let dual_stack = address.is_ipv6();
        let domain = if dual_stack { Domain::IPV6 } else { Domain::IPV4 };
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        if dual_stack {
            socket.set_only_v6(false)?;
            enable(&socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)?;
        } else {
            enable(&socket, libc::IPPROTO_IP, libc::IP_PKTINFO)?;
        }
        // Without it the time of the batch has to do.
        let _ = enable(&socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS);
        // Without it, what the socket has no room for is not counted.
        let _ = enable(&socket, libc::SOL_SOCKET, libc::SO_RXQ_OVFL);
        socket.set_recv_buffer_size(KERNEL_BUFFER_LEN)?;
        socket.set_send_buffer_size(KERNEL_BUFFER_LEN)?;
        if shares_port {
            socket.set_reuse_port(true)?;
        }
        socket.bind(&SockAddr::from(address))?;
        Ok(Self { socket: socket.into(), dual_stack })
    }

    #[must_use]
    pub const fn dual_stack(&self) -> bool {
        self.dual_stack
    }

    /// # Errors
    /// When the kernel refuses to tell.
    pub fn port(&self) -> io::Result<u16> {
        Ok(self.socket.local_addr()?.port())
    }
}

impl AsRawFd for WorkerSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

fn enable(socket: &Socket, level: i32, option: i32) -> io::Result<()> {
    let on: i32 = 1;
    #[expect(clippy::cast_possible_truncation, reason = "the size of an int")]
    let len = size_of::<i32>() as u32;
    // SAFETY: `on` is readable for `len` bytes and outlives the call.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const on).cast(), len) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
