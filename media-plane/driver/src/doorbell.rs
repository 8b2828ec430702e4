//! Wakes a sleeping worker from other threads, by an eventfd that is written only while the worker sleeps.
//!
//! A sender publishes its item, then calls [`Doorbell::ring`]. The worker calls [`Doorbell::arm`], looks at its
//! mailboxes once more, sleeps only if they are empty, and calls [`Doorbell::disarm`] when awake. Why no wake is lost
//! stands in [`crate::armed`].

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use crate::armed::Armed;

#[derive(Clone, Debug)]
pub struct Doorbell {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    event: OwnedFd,
    armed: Armed,
}

impl Doorbell {
    /// # Errors
    /// When the process may not open another file.
    pub fn new() -> io::Result<Self> {
        // SAFETY: eventfd takes no pointers; the result is checked before use.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` was just returned by the kernel and belongs to nobody else.
        let event = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { shared: Arc::new(Shared { event, armed: Armed::default() }) })
    }

    /// Tells the worker that there is something in a mailbox. Costs one fence when the worker is awake.
    pub fn ring(&self) {
        if self.shared.armed.take() {
            let one = 1_u64.to_ne_bytes();
            // SAFETY: `one` is 8 readable bytes and outlives the call. A full counter (EAGAIN) still wakes.
            unsafe { libc::write(self.shared.event.as_raw_fd(), one.as_ptr().cast(), one.len()) };
        }
    }

    /// The worker is about to sleep.
    pub fn arm(&self) {
        self.shared.armed.arm();
    }

    /// The worker is awake.
    pub fn disarm(&self) {
        self.shared.armed.disarm();
    }

    /// Sleeps for `patience`, or until the bell is rung or a signal comes.
    pub(crate) fn pause(&self, patience: Duration) {
        let mut bell = libc::pollfd { fd: self.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        #[expect(clippy::cast_possible_wrap, reason = "seconds of a timeout")]
        let spec = libc::timespec {
            tv_sec: patience.as_secs() as libc::time_t,
            tv_nsec: libc::c_long::from(patience.subsec_nanos().cast_signed()),
        };
        // SAFETY: `bell` and `spec` are readable, `bell` is writable, and both outlive the call; no signal mask is given.
        unsafe { libc::ppoll(&raw mut bell, 1, &raw const spec, std::ptr::null()) };
    }

    /// Empties the eventfd; true if it had been rung.
    #[must_use]
    pub fn clear(&self) -> bool {
        let mut count = [0_u8; 8];
        // SAFETY: `count` is 8 writable bytes and outlives the call; the fd is non-blocking.
        let read =
            unsafe { libc::read(self.shared.event.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
        read > 0
    }
}

impl AsRawFd for Doorbell {
    fn as_raw_fd(&self) -> RawFd {
        self.shared.event.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_with_the_bell() {
        let bell = Doorbell::new().unwrap();
        let before = std::time::Instant::now();
        bell.pause(Duration::from_millis(5));
        assert!(before.elapsed() >= Duration::from_millis(5));
        bell.arm();
        bell.ring();
        bell.pause(Duration::from_secs(3600));
        assert!(bell.clear(), "a pause does not clear it");
    }

    #[test]
    fn bell_is_written_only_while_armed() {
        let bell = Doorbell::new().unwrap();
        bell.ring();
        assert!(!bell.clear(), "not armed");
        bell.arm();
        bell.ring();
        bell.ring();
        assert!(bell.clear(), "armed");
        assert!(!bell.clear(), "cleared");
        bell.arm();
        bell.disarm();
        bell.ring();
        assert!(!bell.clear(), "disarmed");
    }
}
