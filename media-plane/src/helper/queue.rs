//! The way into the helper: two bounded queues, and a wake-up only if it sleeps.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use crossbeam_queue::ArrayQueue;
use driver::armed::Armed;
use units::handle::PeerId;

use crate::helper::input::Input;

/// Datagrams that may wait: 10 ms at 800,000 a second, or 400 peers' first flights.
const DATAGRAMS: usize = 8192;
/// Orders that may wait: a batch of the control plane is smaller by far.
const ORDERS: usize = 4096;

/// A DTLS record of a peer.
#[derive(Debug)]
pub struct Datagram {
    pub peer: PeerId,
    pub bytes: Box<[u8]>,
}

/// The other threads' end; cheap to clone.
#[derive(Clone, Debug)]
pub struct HelperHandle(Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    datagrams: ArrayQueue<Datagram>,
    orders: ArrayQueue<Input>,
    asleep: Armed,
    dropped: AtomicU64,
    thread: OnceLock<Thread>,
}

impl HelperHandle {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared {
            datagrams: ArrayQueue::new(DATAGRAMS),
            orders: ArrayQueue::new(ORDERS),
            asleep: Armed::default(),
            dropped: AtomicU64::new(0),
            thread: OnceLock::new(),
        }))
    }

    /// From a worker: never waits. If the queue is full the record is dropped and counted; DTLS sends it again.
    pub fn datagram(&self, peer: PeerId, bytes: Box<[u8]>) {
        if self.0.datagrams.push(Datagram { peer, bytes }).is_err() {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
        self.0.wake();
    }

    /// Orders are handled in the order of their arrival, and before any datagram that comes after them.
    ///
    /// # Errors
    /// Gives the order back if the queue is full: it must not be lost, so try again shortly.
    pub fn order(&self, order: Input) -> Result<(), Input> {
        let outcome = self.0.orders.push(order);
        self.0.wake();
        outcome
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.0)
    }
}

impl Shared {
    /// Names the calling thread as the one to wake.
    pub(crate) fn enter(&self) {
        // A second call would be a second helper on one queue; the first stays the one that is woken.
        let _ = self.thread.set(thread::current());
    }

    pub(crate) fn next_order(&self) -> Option<Input> {
        self.orders.pop()
    }

    pub(crate) fn next_datagram(&self) -> Option<Datagram> {
        self.datagrams.pop()
    }

    /// Records lost for want of room since the last call.
    pub(crate) fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }

    /// Sleeps until something is put in, at most for `duration`.
    pub(crate) fn sleep(&self, duration: Duration) {
        self.asleep.arm();
        // Whoever put something in before the store above saw us awake and did not ring: look again.
        if self.orders.is_empty() && self.datagrams.is_empty() {
            thread::park_timeout(duration);
        }
        self.asleep.disarm();
    }

    fn wake(&self) {
        if self.asleep.take()
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }
}
