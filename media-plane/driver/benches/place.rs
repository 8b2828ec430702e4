//! Where packets go that nobody is to receive: a network namespace of its own, or full sockets on loopback.

use std::net::{Ipv4Addr, UdpSocket};
use std::ops::Range;
use std::process::Command;
use std::time::Duration;

/// The ports that packets may be sent to.
pub(crate) const PORTS: Range<u16> = 20_000..20_050;

const HERE: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
const AWAY: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);

pub(crate) struct Place {
    pub(crate) local: Ipv4Addr,
    pub(crate) remote: Ipv4Addr,
    /// Never read: full after a few packets.
    _sinks: Vec<UdpSocket>,
}

/// Run as root, a pair of devices in a namespace, of which the far one drops what it gets: so sends cost what they cost and
/// nothing else. To be called before there are threads.
pub(crate) fn make() -> Place {
    let far = namespace();
    let sink = |port| UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).expect("a free port");
    let sinks = if far { Vec::new() } else { PORTS.map(sink).collect() };
    println!("Sent to {}.\n", if far { "a device that drops" } else { "full sockets on loopback" });
    let (local, remote) = if far { (HERE, AWAY) } else { (Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST) };
    Place { local, remote, _sinks: sinks }
}

/// Puts this process into a network namespace of its own; false without the right to.
fn namespace() -> bool {
    // SAFETY: takes no pointers; this process has one thread.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        return false;
    }
    // The neighbour has an address that is not the far device's, which therefore drops what is meant for it.
    let script = format!(
        "ip link set lo up && ip link add near type veth peer name far && ip addr add {HERE}/24 dev near \
         && ip link set near up && ip link set far up && ip neigh add {AWAY} lladdr 02:00:00:00:00:01 dev near"
    );
    let done = Command::new("sh").args(["-c", &script]).status().is_ok_and(|status| status.success());
    assert!(done, "the namespace has no devices: is there ip(8)?");
    true
}

/// The processor time that the calling thread has used, in the kernel and outside.
pub(crate) fn thread_time() -> Duration {
    let mut spec = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `spec` is writable and outlives the call.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut spec) };
    Duration::new(spec.tv_sec.unsigned_abs(), u32::try_from(spec.tv_nsec).unwrap_or(0))
}
