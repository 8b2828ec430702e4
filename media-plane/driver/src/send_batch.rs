//! Sends by sendmmsg: up to 64 messages per system call, each a packet or a train.

use std::io;
use std::os::fd::AsRawFd;

use crate::counters::Counters;
use crate::gso::{Segmentation, may_be_the_trains_fault};
use crate::measures::Measures;
use crate::send_header::SendHeader;
use crate::slab::{Departure, Slab};
use crate::socket::WorkerSocket;
use crate::train::next_train;

/// Messages per system call.
const BATCH: usize = 64;

pub(crate) struct SendBatch {
    headers: Box<[SendHeader]>,
    messages: Box<[libc::mmsghdr]>,
    /// For one packet of a train that was refused.
    spare: Box<SendHeader>,
}

/// What a send needs of its driver.
pub(crate) struct Way<'a> {
    pub(crate) slab: &'a Slab,
    pub(crate) socket: &'a WorkerSocket,
    pub(crate) segmentation: &'a mut Segmentation,
    pub(crate) counters: &'a mut Counters,
    pub(crate) measures: &'a mut Measures,
}

impl Way<'_> {
    const fn sent(&mut self, segments: usize, len: u64) {
        self.counters.sent(segments, len);
        self.measures.message(segments);
    }
}

impl std::fmt::Debug for SendBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SendBatch").finish_non_exhaustive()
    }
}

impl SendBatch {
    pub(crate) fn new() -> Self {
        // SAFETY: mmsghdr is plain data for which all zeroes is a value.
        let message: libc::mmsghdr = unsafe { std::mem::zeroed() };
        Self {
            headers: std::iter::repeat_with(SendHeader::empty).take(BATCH).collect(),
            messages: vec![message; BATCH].into(),
            spare: Box::new(SendHeader::empty()),
        }
    }

    /// Sends `departures`; their slots may be released afterwards. What the kernel does not take at once is dropped and
    /// counted: a late media packet is worth less than the next one.
    pub(crate) fn send(&mut self, departures: &[Departure], mut way: Way<'_>) {
        let mut rest = departures;
        while !rest.is_empty() {
            let mut count = 0;
            while count < BATCH && !rest.is_empty() {
                let (train, after) = next_train(rest, way.segmentation.segments_max());
                rest = after;
                match self.headers[count].describe(way.slab, train, way.socket.dual_stack()) {
                    Some(message) => {
                        // SAFETY: `message` points into a header of ours, which is not written before the send.
                        self.messages[count].msg_hdr = unsafe { *message };
                        count += 1;
                    }
                    None => way.counters.send_errors += train.len() as u64,
                }
            }
            self.send_described(count, &mut way);
        }
    }

    fn send_described(&mut self, count: usize, way: &mut Way<'_>) {
        let mut start = 0;
        while start < count {
            let messages = &mut self.messages[start..count];
            #[expect(clippy::cast_possible_truncation, reason = "at most BATCH")]
            let wanted = messages.len() as u32;
            way.counters.submissions += 1;
            // SAFETY: each message points to a name, a control block, vectors and buffers that outlive the call: they are
            // `self.headers` and the slab's, and neither is written before it returns.
            let sent = unsafe {
                libc::sendmmsg(way.socket.as_raw_fd(), messages.as_mut_ptr(), wanted, libc::MSG_DONTWAIT)
            };
            match usize::try_from(sent) {
                Ok(sent) if sent > 0 => {
                    for (header, message) in self.headers[start..].iter().zip(&messages[..sent]) {
                        way.sent(header.segments(), message.msg_len.into());
                        if header.segments() > 1 {
                            way.segmentation.train_passed();
                        }
                    }
                    start += sent;
                }
                _ => {
                    let error = io::Error::last_os_error();
                    match error.kind() {
                        io::ErrorKind::Interrupted => {}
                        io::ErrorKind::WouldBlock => {
                            let blocked = self.headers[start..count].iter().map(SendHeader::segments);
                            way.counters.send_blocked += blocked.sum::<usize>() as u64;
                            return;
                        }
                        _ => {
                            // The first message is the one that was refused.
                            self.refused(start, &error, way);
                            start += 1;
                        }
                    }
                }
            }
        }
    }

    /// A refused train is sent packet by packet, once.
    fn refused(&mut self, index: usize, error: &io::Error, way: &mut Way<'_>) {
        let header = &self.headers[index];
        if header.segments() < 2 || !error.raw_os_error().is_some_and(may_be_the_trains_fault) {
            way.counters.send_errors += header.segments() as u64;
            return;
        }
        way.counters.trains_refused += 1;
        for departure in header.departures() {
            let Some(message) = self.spare.describe(way.slab, &[departure], way.socket.dual_stack()) else {
                way.counters.send_errors += 1;
                continue;
            };
            way.counters.submissions += 1;
            // SAFETY: as in `send_described`, with the spare header.
            let sent = unsafe { libc::sendmsg(way.socket.as_raw_fd(), message, libc::MSG_DONTWAIT) };
            match u64::try_from(sent) {
                Ok(len) => {
                    way.sent(1, len);
                    way.counters.resent_plainly += 1;
                    way.segmentation.passed_only_plainly();
                }
                Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock => {
                    way.counters.send_blocked += 1;
                }
                Err(_) => way.counters.send_errors += 1,
            }
        }
    }
}
