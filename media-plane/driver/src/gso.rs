//! Whether the kernel is handed trains: asked at the start, and given up when what it refuses as trains passes plainly.

use std::os::fd::AsRawFd;

use crate::socket::WorkerSocket;
use crate::train::SEGMENTS_MAX;

/// So many packets in a row that passed only after their trains were refused, and trains are given up.
const REFUSALS_MAX: u32 = 64;

/// Whether equal packets to one destination leave as one message (`UDP_SEGMENT`, udp(7)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gso {
    /// Where the kernel knows how, and as long as the device does not refuse.
    #[default]
    Auto,
    Off,
}

/// What is known of the kernel's and the devices' willingness.
#[derive(Debug)]
pub(crate) struct Segmentation {
    on: bool,
    refusals: u32,
}

impl Segmentation {
    pub(crate) fn probe(gso: Gso, socket: &WorkerSocket) -> Self {
        let on = match gso {
            Gso::Off => false,
            // No segment size for the socket as a whole: what it is already. Linux below 4.18 knows no such option.
            Gso::Auto => set_segment_size(socket, 0),
        };
        if gso == Gso::Auto && !on {
            tracing::info!("the kernel takes no trains of datagrams (UDP_SEGMENT): each is sent by itself");
        }
        Self { on, refusals: 0 }
    }

    /// The longest train that may be sent now.
    pub(crate) const fn segments_max(&self) -> usize {
        if self.on { SEGMENTS_MAX } else { 1 }
    }

    pub(crate) const fn is_on(&self) -> bool {
        self.on
    }

    pub(crate) const fn train_passed(&mut self) {
        self.refusals = 0;
    }

    /// A packet went out plainly whose train had been refused: the train was to blame, and not the packet.
    pub(crate) fn passed_only_plainly(&mut self) {
        self.refusals = self.refusals.saturating_add(1);
        if self.on && self.refusals >= REFUSALS_MAX {
            self.on = false;
            tracing::warn!(
                "the kernel refuses trains of datagrams (no checksum offload?): each is sent by itself from now on"
            );
        }
    }
}

/// Whether an error may be the train's fault, so that its packets deserve to be sent plainly: EIO from a device without
/// checksum offload or a route through IPsec, EINVAL and EMSGSIZE for segments that are too long for the path.
pub(crate) const fn may_be_the_trains_fault(error: i32) -> bool {
    matches!(error, libc::EIO | libc::EINVAL | libc::EMSGSIZE | libc::EOPNOTSUPP)
}

fn set_segment_size(socket: &WorkerSocket, size: i32) -> bool {
    #[expect(clippy::cast_possible_truncation, reason = "the size of an int")]
    let len = size_of::<i32>() as u32;
    let value = (&raw const size).cast();
    // SAFETY: `size` is readable for `len` bytes and outlives the call.
    unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_UDP, libc::UDP_SEGMENT, value, len) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn trains_end_after_repeated_refusals_and_not_before() {
        let socket = WorkerSocket::bind(Some(Ipv4Addr::LOCALHOST.into()), 0, false).unwrap();
        let mut segmentation = Segmentation::probe(Gso::Auto, &socket);
        assert_eq!(segmentation.segments_max(), SEGMENTS_MAX, "every supported kernel has it");
        for _ in 0..3 {
            (1..REFUSALS_MAX).for_each(|_| segmentation.passed_only_plainly());
            assert!(segmentation.is_on());
            segmentation.train_passed();
        }
        (0..REFUSALS_MAX).for_each(|_| segmentation.passed_only_plainly());
        assert_eq!((segmentation.is_on(), segmentation.segments_max()), (false, 1));
        assert!(!Segmentation::probe(Gso::Off, &socket).is_on());
    }
}
