//! The command line of `millrace-media`: where to listen, how many workers, which I/O.

pub mod addresses;
pub mod listen;
pub mod ports;

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use driver::driver::Io;
use driver::gso::Gso;

use crate::cli::listen::Listen;
use crate::cli::ports::{PortRange, Ports};
use crate::dtls::Implementation;

/// The media plane of Millrace: forwards packets as a control plane tells it over gRPC.
#[derive(Clone, Debug, Parser)]
#[command(name = "millrace-media", version)]
pub struct Arguments {
    /// Where the control plane attaches: unix:/PATH (made with mode 0600) or ADDRESS:PORT on loopback, with --token.
    #[arg(long, value_name = "LISTEN")]
    pub grpc: Listen,

    /// The secret that a control plane must show on a TCP connection.
    #[arg(long, env = "MILLRACE_MEDIA_TOKEN", hide_env_values = true, value_name = "SECRET")]
    pub token: Option<String>,

    /// Threads that forward packets, each on a core and a UDP port of its own [default: one per core].
    #[arg(long, value_name = "N")]
    pub workers: Option<NonZeroU16>,

    /// FIRST-LAST: one UDP port per worker from FIRST on. Or one port for all workers.
    #[arg(long, value_name = "PORT|FIRST-LAST", conflicts_with = "udp_port_range")]
    pub udp_port: Option<PortRange>,

    /// Each worker takes a free UDP port of this range [default: 50000-60000].
    #[arg(long, value_name = "FIRST-LAST")]
    pub udp_port_range: Option<PortRange>,

    /// Addresses that clients reach this host at, IPv4 and IPv6 by a comma [default: those of the default routes].
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    pub node_ip: Vec<IpAddr>,

    /// Offer 127.0.0.1 as well, for clients on this host.
    #[arg(long)]
    pub enable_loopback_candidate: bool,

    /// How datagrams come in and go out; auto takes io_uring where the host allows it.
    #[arg(long, value_enum, default_value = "auto")]
    pub io: IoChoice,

    /// Whether equal packets to one client leave as one message; auto: where the kernel and the device can (UDP_SEGMENT).
    #[arg(long, value_enum, default_value = "auto")]
    pub gso: GsoChoice,

    /// How long datagrams may gather when a worker is all but saturated, so that copies leave in longer trains; a fifth of
    /// it up to half load, nothing when it is idle. 0: never.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(..=10_000), value_name = "MICROSECONDS")]
    pub flush_delay: u32,

    /// Which library does DTLS.
    #[arg(long, value_enum, default_value = "dimpl")]
    pub dtls: DtlsChoice,

    /// Tie each worker to a core; the default if there are no more workers than cores.
    #[arg(long, conflicts_with = "no_pin")]
    pub pin: bool,

    /// Let the system move workers between cores.
    #[arg(long)]
    pub no_pin: bool,

    /// What is logged: a level, or a filter as in `info,media_plane=debug`.
    #[arg(long, env = "MILLRACE_LOG", default_value = "info", value_name = "FILTER")]
    pub log_level: String,

    /// Log lines are JSON objects.
    #[arg(long)]
    pub log_json: bool,

    /// Leave the session and process group of whoever started this process, so that it outlives them.
    #[arg(long)]
    pub own_session: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum IoChoice {
    Auto,
    #[value(name = "io_uring")]
    IoUring,
    Epoll,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GsoChoice {
    Auto,
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DtlsChoice {
    Dimpl,
    Webrtc,
}

/// Arguments that go together.
#[derive(Clone, Debug)]
pub struct Settings {
    pub listen: Listen,
    /// Set if `listen` is TCP.
    pub token: Option<String>,
    pub workers: u16,
    pub ports: Ports,
    /// Empty: to be found out.
    pub node_addresses: Vec<IpAddr>,
    pub loopback_candidate: bool,
    pub io: Io,
    pub gso: Gso,
    pub flush_delay: Duration,
    pub dtls: Implementation,
    pub pin: bool,
}

impl Arguments {
    /// Checks what the arguments mean together.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn settings(&self, cores: usize) -> Result<Settings, String> {
        let token = self.token.clone().filter(|token| !token.is_empty());
        if matches!(self.grpc, Listen::Tcp(_)) && token.is_none() {
            return Err(format!(
                "--grpc {} listens on TCP, where any user of this host can connect: give --token or \
                 MILLRACE_MEDIA_TOKEN, or listen on unix:/PATH",
                self.grpc
            ));
        }
        let cores_or_one = u16::try_from(cores).unwrap_or(u16::MAX).max(1);
        let workers = self.workers.map_or(cores_or_one, NonZeroU16::get);
        if workers > WORKERS_MAX {
            return Err(format!("--workers {workers} is more than {WORKERS_MAX}"));
        }
        for address in &self.node_ip {
            if address.is_unspecified() || address.is_multicast() {
                return Err(format!("--node-ip {address} is no address that a client could send to"));
            }
        }
        Ok(Settings {
            listen: self.grpc.clone(),
            token,
            workers,
            ports: Ports::new(self.udp_port, self.udp_port_range, workers)?,
            node_addresses: self.node_ip.clone(),
            loopback_candidate: self.enable_loopback_candidate,
            io: match self.io {
                IoChoice::Auto => Io::Auto,
                IoChoice::IoUring => Io::IoUring,
                IoChoice::Epoll => Io::Epoll,
            },
            gso: match self.gso {
                GsoChoice::Auto => Gso::Auto,
                GsoChoice::Off => Gso::Off,
            },
            flush_delay: Duration::from_micros(self.flush_delay.into()),
            dtls: match self.dtls {
                DtlsChoice::Dimpl => Implementation::Dimpl,
                DtlsChoice::Webrtc => Implementation::Webrtc,
            },
            pin: self.pin || (!self.no_pin && usize::from(workers) <= cores),
        })
    }
}

/// A worker's index is the first two characters of a ufrag, in base 36.
pub const WORKERS_MAX: u16 = 36 * 36;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Settings, String> {
        let words = std::iter::once("millrace-media").chain(line.split_whitespace());
        Arguments::try_parse_from(words).map_err(|error| error.to_string())?.settings(2)
    }

    #[test]
    fn what_is_accepted() {
        for (line, workers, pin) in [
            ("--grpc unix:/run/m.sock", 2, true),
            ("--grpc unix:/run/m.sock --workers 1 --udp-port 7882", 1, true),
            ("--grpc unix:/run/m.sock --workers 2 --udp-port 7882", 2, true),
            ("--grpc unix:/run/m.sock --workers 4", 4, false),
            ("--grpc unix:/run/m.sock --workers 4 --pin", 4, true),
            ("--grpc unix:/run/m.sock --no-pin --udp-port 7000-7001", 2, false),
            ("--grpc 127.0.0.1:7000 --token secret --io epoll --flush-delay 0 --dtls webrtc", 2, true),
            ("--grpc [::1]:7000 --token secret --io io_uring --gso off", 2, true),
            ("--grpc unix:/m --node-ip 192.0.2.1,2001:db8::1 --node-ip 192.0.2.2", 2, true),
        ] {
            let settings = parse(line).expect(line);
            assert_eq!((settings.workers, settings.pin), (workers, pin), "{line}");
        }
    }

    #[test]
    fn what_is_refused_says_why() {
        for (line, reason) in [
            ("", "--grpc"),
            ("--grpc unix:relative", "absolute"),
            ("--grpc 127.0.0.1:7000", "--token"),
            ("--grpc 192.0.2.1:7000 --token secret", "mTLS"),
            ("--grpc 0.0.0.0:7000 --token secret", "mTLS"),
            ("--grpc localhost:7000 --token secret", "unix:/PATH or ADDRESS:PORT"),
            ("--grpc unix:/m --workers 0", "--workers"),
            ("--grpc unix:/m --workers 2000", "1296"),
            ("--grpc unix:/m --workers 3 --udp-port 7000-7001", "2 ports"),
            ("--grpc unix:/m --udp-port 7001-7000", "7001-7000"),
            ("--grpc unix:/m --udp-port 0", "0"),
            ("--grpc unix:/m --workers 2 --udp-port-range 7000-7000", "1 port"),
            ("--grpc unix:/m --udp-port 7000-7001 --udp-port-range 7000-7100", "cannot be used with"),
            ("--grpc unix:/m --node-ip 0.0.0.0", "no address that a client could send to"),
            ("--grpc unix:/m --node-ip example.com", "invalid IP address"),
            ("--grpc unix:/m --io select", "io_uring"),
            ("--grpc unix:/m --flush-delay 10001", "10000"),
            ("--grpc unix:/m --pin --no-pin", "cannot be used with"),
        ] {
            let error = parse(line).expect_err(line);
            assert!(error.contains(reason), "{line}: {error}");
        }
    }
}
