//! The io_uring back end: one ring per worker, multishot receives, all sends of a flush in one submission.

use std::collections::VecDeque;
use std::io;
use std::mem::ManuallyDrop;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::Duration;

use engine::path::{Path, Protocol};
use io_uring::types::{CancelBuilder, Fixed, RecvMsgOut, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use units::time::Instant;

use crate::clock::{Both, Clock};
use crate::control::{self, Arrival};
use crate::counters::Counters;
use crate::doorbell::Doorbell;
use crate::driver::{Handler, Options, Times, turn_is_over};
use crate::flights::Flights;
use crate::gather::{COMPANY, Gather};
use crate::gso::{Segmentation, may_be_the_trains_fault};
use crate::measures::Measures;
use crate::receive_ring::{BUFFER_LEN, GROUP, ReceiveRing};
use crate::slab::{Departure, Slab};
use crate::sockaddr;
use crate::socket::WorkerSocket;
use crate::train::next_train;

const SUBMISSIONS: u32 = 1024;
const COMPLETIONS: u32 = 4096;
/// Receives handled per wake before timers and mailboxes have their turn.
const COMPLETIONS_PER_TURN: usize = 512;

/// `IORING_ENTER_GETEVENTS` (io_uring_enter(2)): completions of deferred work are posted only by an enter that asks for them.
const ENTER_GETEVENTS: u32 = 1;

/// The registered index of the worker's socket.
const SOCKET: Fixed = Fixed(0);
/// The registered index of the doorbell.
const BELL: Fixed = Fixed(1);

/// What a completion belongs to; sends carry the number of their flight above.
const RECEIVE: u64 = 0;
const BELL_READ: u64 = 1;
const SEND: u64 = 2;

const CANCEL_PATIENCE: Duration = Duration::from_secs(1);

pub struct Uring {
    ring: ManuallyDrop<IoUring>,
    socket: WorkerSocket,
    clock: Clock,
    receive: ManuallyDrop<ReceiveRing>,
    /// Tells the kernel how much room for address and control data each receive buffer has.
    receive_header: ManuallyDrop<Box<libc::msghdr>>,
    receive_armed: bool,
    bell_count: ManuallyDrop<Box<u64>>,
    bell_armed: bool,
    flights: ManuallyDrop<Flights>,
    segmentation: Segmentation,
    /// Packets of refused trains, to be sent by themselves.
    again: Vec<Departure>,
    slab: ManuallyDrop<Slab>,
    /// Taken from the ring and not yet seen to; sends are seen to at once.
    completions: VecDeque<Completion>,
    counters: Counters,
    measures: Measures,
    gather: Gather,
}

/// All of a completion but of a send's.
#[derive(Clone, Copy)]
struct Completion {
    user_data: u64,
    result: i32,
    flags: u32,
}

impl std::fmt::Debug for Uring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Uring").field("in_flight", &self.flights.in_flight()).finish_non_exhaustive()
    }
}

impl Uring {
    /// Must be called on the thread that will drive the ring.
    pub(crate) fn open(
        socket: WorkerSocket,
        bell: &Doorbell,
        clock: Clock,
        options: &Options,
    ) -> io::Result<Self> {
        let ring: IoUring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_coop_taskrun()
            .setup_cqsize(COMPLETIONS)
            .build(SUBMISSIONS)?;
        ring.submitter().register_files(&[socket.as_raw_fd(), bell.as_raw_fd()])?;
        let receive = ReceiveRing::register(&ring)?;
        let segmentation = Segmentation::probe(options.gso, &socket);
        // SAFETY: msghdr is plain data for which all zeroes is a value.
        let mut receive_header: libc::msghdr = unsafe { std::mem::zeroed() };
        #[expect(clippy::cast_possible_truncation, reason = "28")]
        let name_len = sockaddr::LEN_MAX as u32;
        receive_header.msg_namelen = name_len;
        receive_header.msg_controllen = control::RECEIVED_LEN_MAX;
        Ok(Self {
            ring: ManuallyDrop::new(ring),
            socket,
            clock,
            receive: ManuallyDrop::new(receive),
            receive_header: ManuallyDrop::new(Box::new(receive_header)),
            receive_armed: false,
            bell_count: ManuallyDrop::new(Box::new(0)),
            bell_armed: false,
            flights: ManuallyDrop::new(Flights::new(SUBMISSIONS as usize)),
            segmentation,
            again: Vec::new(),
            slab: ManuallyDrop::new(Slab::new(options.send_slots)),
            completions: VecDeque::with_capacity(COMPLETIONS_PER_TURN),
            counters: Counters::default(),
            measures: Measures::default(),
            gather: Gather::new(options.flush_delay),
        })
    }

    pub(crate) fn turn(&mut self, deadline: Option<Instant>, handler: &mut dyn Handler) -> io::Result<()> {
        self.arm()?;
        self.flush();
        self.enter(deadline)?;
        self.counters.wakes += 1;
        let before = self.counters.datagrams_received;
        let now = self.reap(handler);
        handler.end(&mut self.slab, self.clock.now());
        let taken = self.counters.datagrams_received - before;
        self.measures.woke(taken);
        self.measures.turned(now);
        self.gather.took(taken, self.measures.load_permille());
        if self.slab.waiting() == 0 {
            self.measures.nothing_to_send();
        }
        // Before mailboxes and timers have their turn: they may take long, and want the slots.
        self.flush();
        Ok(())
    }

    /// Submits all that waits in the slab.
    pub(crate) fn flush(&mut self) {
        self.queue_departures();
        if self.ring.submission().is_empty() {
            return;
        }
        self.submit_and_collect();
        if !self.again.is_empty() {
            // The packets of refused trains, one by one: they are not refused as trains again.
            self.queue_departures();
            self.submit_and_collect();
        }
        self.measures.sent(self.clock.now());
    }

    fn submit_and_collect(&mut self) {
        match self.submit() {
            // Sends end with their submission: the wait is not to end because of them, and their slots are free.
            Ok(_) => {
                self.collect();
            }
            // What was queued stays in the ring, for the next turn.
            Err(_) => self.counters.send_errors += 1,
        }
    }

    /// Keeps one receive and one read of the doorbell in the ring.
    fn arm(&mut self) -> io::Result<()> {
        if !self.receive_armed {
            let entry = opcode::RecvMsgMulti::new(SOCKET, &raw const **self.receive_header, GROUP).build();
            self.push(&entry.user_data(RECEIVE))?;
            self.receive_armed = true;
        }
        if !self.bell_armed {
            let count = (&raw mut **self.bell_count).cast::<u8>();
            let entry = opcode::Read::new(BELL, count, 8).build();
            self.push(&entry.user_data(BELL_READ))?;
            self.bell_armed = true;
        }
        Ok(())
    }

    /// Every departure ends in the ring or is counted: no slot is lost, whatever the kernel says.
    fn queue_departures(&mut self) {
        if self.slab.waiting() == 0 && self.again.is_empty() {
            return;
        }
        self.counters.flushes += 1;
        let again = std::mem::take(&mut self.again);
        // A ring that took no entry takes none of the same flush.
        let mut refused = false;
        for departure in &again {
            refused = refused || !self.queue(std::slice::from_ref(departure), true);
            if refused {
                self.not_sent(std::slice::from_ref(departure));
            }
        }
        let departures = self.slab.take_departures(self.segmentation.is_on());
        let mut rest = &departures[..];
        while !rest.is_empty() {
            let (train, after) = next_train(rest, self.segmentation.segments_max());
            rest = after;
            refused = refused || !self.queue(train, false);
            if refused {
                self.not_sent(train);
            }
        }
        self.slab.return_departures(departures);
    }

    /// Puts a train into the ring; false if there is no room for it.
    fn queue(&mut self, train: &[Departure], plain_again: bool) -> bool {
        if !self.has_room(true) {
            return false;
        }
        let Some((number, flight)) = self.flights.start() else { return false };
        flight.plain_again = plain_again;
        let Some(message) = flight.header.describe(&self.slab, train, self.socket.dual_stack()) else {
            self.flights.end(number);
            self.not_sent(train);
            return true;
        };
        let entry = opcode::SendMsg::new(SOCKET, message).build();
        let pushed = self.push(&entry.user_data(SEND | u64::from(number) << 8)).is_ok();
        if !pushed {
            self.flights.end(number);
        }
        pushed
    }

    fn not_sent(&mut self, train: &[Departure]) {
        self.counters.send_errors += train.len() as u64;
        for departure in train {
            self.slab.release(departure.slot);
        }
    }

    fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        if !self.has_room(false) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        // SAFETY: what the entry points to (headers, slab, receive header, bell count) is owned by `self` at
        // addresses that stay, and is kept until the ring is gone (see `Drop`); a flight's
        // buffers and header are not written again before its completion ends it.
        unsafe { self.ring.submission().push(entry) }.map_err(io::Error::other)
    }

    /// Whether another entry fits, and if it is for a message, another may be under way; after a submission if need be.
    fn has_room(&mut self, for_message: bool) -> bool {
        while self.ring.submission().is_full() || (for_message && self.flights.are_all_under_way()) {
            let submitted = match self.submit() {
                Ok(count) => count > 0,
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINTR) => true,
                    // The completion queue is full; taking completions makes room.
                    Some(libc::EBUSY) => false,
                    _ => return false,
                },
            };
            // Most sends are done when they are submitted.
            if self.collect() == 0 && !submitted {
                return false;
            }
        }
        true
    }

    fn submit(&mut self) -> io::Result<usize> {
        self.counters.submissions += 1;
        self.ring.submit()
    }

    /// Submits, and waits for a completion or the deadline; then, if datagrams came, for their company.
    fn enter(&mut self, deadline: Option<Instant>) -> io::Result<()> {
        let patience = match deadline {
            _ if !self.completions.is_empty() => Some(Duration::ZERO),
            deadline => deadline.map(|deadline| deadline.since(self.clock.now())),
        };
        self.wait(1, patience)?;
        let patience = self.gather.patience(self.clock.now(), deadline);
        if patience.is_zero() {
            return Ok(());
        }
        self.collect();
        let received = self.completions.iter().filter(|completion| completion.user_data == RECEIVE);
        // A receive that has ended brings nothing more before it is armed again.
        let has_ended = received.clone().any(|completion| !cqueue::more(completion.flags));
        let came = received.count();
        if !has_ended && (1..COMPANY).contains(&came) {
            self.wait(COMPANY - came, Some(patience))
        } else {
            Ok(())
        }
    }

    fn wait(&mut self, completions: usize, patience: Option<Duration>) -> io::Result<()> {
        let result = match patience {
            None => self.ring.submit_and_wait(completions),
            Some(Duration::ZERO) => self.look(),
            Some(patience) => {
                let spec = Timespec::from(patience);
                self.ring.submitter().submit_with_args(completions, &SubmitArgs::new().timespec(&spec))
            }
        };
        match result {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error() {
                // EBUSY: the completion queue is full; taking completions makes room.
                Some(libc::ETIME | libc::EINTR | libc::EBUSY) => Ok(()),
                _ => Err(error),
            },
        }
    }

    /// Submits, and has the kernel post what is complete. A wait with a timeout of zero would do the same, and put the thread
    /// to sleep for some microseconds.
    fn look(&mut self) -> io::Result<usize> {
        let queued = u32::try_from(self.ring.submission().len()).unwrap_or(SUBMISSIONS);
        // SAFETY: entries are valid when they are pushed (see `push`); no argument is given that would have to be.
        unsafe { self.ring.submitter().enter::<libc::sigset_t>(queued, 0, ENTER_GETEVENTS, None) }
    }

    /// Sees to what has happened; tells what time it was then.
    fn reap(&mut self, handler: &mut dyn Handler) -> Instant {
        self.collect();
        let both = self.clock.both();
        for index in 0..COMPLETIONS_PER_TURN {
            if turn_is_over(index, both.now, self.clock) {
                break;
            }
            let Some(completion) = self.completions.pop_front() else { break };
            if completion.user_data == RECEIVE {
                self.received(both, completion, handler);
            } else {
                self.bell_armed = false;
                self.counters.doorbells += 1;
            }
        }
        both.now
    }

    /// Takes completions out of the ring and frees the slots of sends; tells how many there were.
    fn collect(&mut self) -> usize {
        let mut taken = [Completion { user_data: 0, result: 0, flags: 0 }; 64];
        let mut total = 0;
        loop {
            let mut count = 0;
            for (place, entry) in taken.iter_mut().zip(self.ring.completion()) {
                *place =
                    Completion { user_data: entry.user_data(), result: entry.result(), flags: entry.flags() };
                count += 1;
            }
            for completion in &taken[..count] {
                match completion.user_data & 0xff {
                    SEND => self.sent(completion.user_data >> 8, completion.result),
                    _ => self.completions.push_back(*completion),
                }
            }
            total += count;
            if count == 0 || total >= COMPLETIONS as usize {
                return total;
            }
        }
    }

    fn received(&mut self, both: Both, completion: Completion, handler: &mut dyn Handler) {
        let Completion { result, flags, .. } = completion;
        if !cqueue::more(flags) {
            self.receive_armed = false;
        }
        match -result {
            libc::ENOBUFS => self.counters.receive_pool_exhausted += 1,
            1.. => self.counters.receive_errors += 1,
            _ => {}
        }
        let Some(id) = cqueue::buffer_select(flags) else { return };
        let handled = usize::try_from(result).ok().and_then(|len| {
            let (arrival, remote, datagram) = datagram(self.receive.buffer(id)?, len, &self.receive_header)?;
            self.counters.datagrams_received += 1;
            self.counters.bytes_received += datagram.len() as u64;
            arrival.dropped.inspect(|dropped| self.counters.dropped(*dropped));
            let times = Times { now: both.now, received: both.at(arrival.wall) };
            let path = Path { protocol: Protocol::Udp, local: arrival.local, remote };
            self.measures.received(times.received);
            handler.datagram(&mut self.slab, times, path, datagram);
            Some(())
        });
        self.receive.give_back(id);
        if handled.is_none() {
            self.counters.receive_malformed += 1;
        }
        if self.slab.waiting() > self.slab.slots() / 2 {
            self.queue_departures();
            // Most sends are done when they are submitted: their slots serve the rest of this batch.
            if self.submit().is_ok() {
                self.collect();
                self.measures.sent(self.clock.now());
            }
        }
    }

    fn sent(&mut self, number: u64, result: i32) {
        let Some((number, flight)) =
            u32::try_from(number).ok().and_then(|number| Some((number, self.flights.flight(number)?)))
        else {
            return;
        };
        let segments = flight.header.segments();
        let is_train = segments > 1;
        if is_train && may_be_the_trains_fault(-result) {
            self.counters.trains_refused += 1;
            self.again.extend(flight.header.departures());
            self.flights.end(number);
            return;
        }
        match u64::try_from(result) {
            Ok(len) => {
                self.counters.sent(segments, len);
                self.measures.message(segments);
                if is_train {
                    self.segmentation.train_passed();
                } else if flight.plain_again {
                    self.counters.resent_plainly += 1;
                    self.segmentation.passed_only_plainly();
                }
            }
            Err(_) if -result == libc::EAGAIN => self.counters.send_blocked += segments as u64,
            Err(_) => self.counters.send_errors += segments as u64,
        }
        for departure in flight.header.departures() {
            self.slab.release(departure.slot);
        }
        self.flights.end(number);
    }

    #[cfg(test)]
    pub(crate) const fn gather(&mut self) -> &mut Gather {
        &mut self.gather
    }

    #[cfg(test)]
    pub(crate) const fn socket(&self) -> &WorkerSocket {
        &self.socket
    }

    pub(crate) fn slab(&mut self) -> &mut Slab {
        &mut self.slab
    }

    pub(crate) fn counters(&self) -> Counters {
        let mut counters = self.counters;
        counters.send_pool_exhausted = self.slab.exhausted();
        counters.send_pool_high_water = self.slab.high_water() as u64;
        counters.send_pool_used = self.slab.used() as u64;
        counters.busy_permille = self.measures.busy_permille();
        counters
    }

    pub(crate) const fn measures(&self) -> &Measures {
        &self.measures
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        // The kernel may write to receive buffers and read send buffers until each operation has ended. If it can't be
        // told to end them, their memory is leaked rather than freed under its hands.
        let patience = Some(Timespec::from(CANCEL_PATIENCE));
        let cancelled = match self.ring.submitter().register_sync_cancel(patience, CancelBuilder::any()) {
            Ok(()) => true,
            Err(error) => error.raw_os_error() == Some(libc::ENOENT),
        };
        // SAFETY: neither is used after this; `drop` runs once.
        unsafe { ManuallyDrop::drop(&mut self.ring) };
        if cancelled {
            // SAFETY: as above, and no operation is left that could touch this memory.
            unsafe {
                ManuallyDrop::drop(&mut self.receive);
                ManuallyDrop::drop(&mut self.flights);
                ManuallyDrop::drop(&mut self.slab);
                ManuallyDrop::drop(&mut self.receive_header);
                ManuallyDrop::drop(&mut self.bell_count);
            }
        }
    }
}

/// Finds address and payload in a filled receive buffer; `None` if it was cut or lacks an address.
fn datagram<'a>(
    buffer: &'a mut [u8; BUFFER_LEN],
    len: usize,
    header: &libc::msghdr,
) -> Option<(Arrival, SocketAddr, &'a mut [u8])> {
    let filled = buffer.get_mut(..len)?;
    let (arrival, remote, payload_len) = {
        let message = RecvMsgOut::parse(filled, header).ok()?;
        if message.is_payload_truncated()
            || message.is_name_data_truncated()
            || message.is_control_data_truncated()
        {
            return None;
        }
        let remote = sockaddr::read(message.name_data())?;
        (control::read(message.control_data())?, remote, message.payload_data().len())
    };
    // The payload is what stands last in the buffer.
    let start = filled.len().checked_sub(payload_len)?;
    Some((arrival, remote, &mut filled[start..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::{Io, each};
    use crate::gso::Gso;
    use engine::outbox::Outbox;
    use std::fs::File;
    use std::net::{IpAddr, Ipv4Addr, UdpSocket};

    const SLOTS: usize = 2048;

    fn open(slots: usize) -> (Uring, u16) {
        let socket = WorkerSocket::bind(Some(Ipv4Addr::LOCALHOST.into()), 0, false).unwrap();
        let port = socket.port().unwrap();
        let options = Options {
            io: Io::IoUring,
            gso: Gso::Auto,
            address: None,
            port: 0,
            shares_port: false,
            flush_delay: Duration::ZERO,
            send_slots: slots,
        };
        (Uring::open(socket, &Doorbell::new().unwrap(), Clock::start(), &options).unwrap(), port)
    }

    fn path_to(port: u16) -> Path {
        let local = IpAddr::from(Ipv4Addr::LOCALHOST);
        Path { protocol: Protocol::Udp, local, remote: (local, port).into() }
    }

    fn fill(slab: &mut Slab, count: usize, path: &Path) {
        for _ in 0..count {
            slab.lend(4).unwrap().fill(0);
            slab.send(path, 4);
        }
    }

    #[test]
    fn a_ring_that_refuses_costs_packets_and_no_slots() {
        let (mut uring, _) = open(SLOTS);
        let null = File::open("/dev/null").unwrap();
        // SAFETY: both are open; the ring's descriptor stays one that is closed once, by its owner.
        assert!(unsafe { libc::dup2(null.as_raw_fd(), uring.ring.as_raw_fd()) } >= 0);
        for _ in 0..3 {
            let space = SLOTS - uring.slab.used();
            // No two in turn to one destination: each is a train of its own.
            (1..).take(space).for_each(|port| fill(&mut uring.slab, 1, &path_to(port)));
            uring.flush();
            assert_eq!(uring.slab.used(), SUBMISSIONS as usize, "what the ring took, and nothing else");
        }
        assert_eq!(uring.flights.in_flight(), SUBMISSIONS as usize);
    }

    #[test]
    fn slots_of_finished_sends_serve_the_same_batch() {
        const COPIES: usize = 8;
        let (mut uring, port) = open(16);
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(("127.0.0.1", port)).unwrap();
        // The last turn before the datagrams come arms the receive.
        uring.turn(Some(Instant(0)), &mut each(|_, _, _, _| {})).unwrap();
        for _ in 0..32 {
            client.send(b"abcd").unwrap();
        }
        let mut received = 0;
        let end = uring.clock.now() + Duration::from_secs(5);
        while received < 32 && uring.clock.now() < end {
            uring
                .turn(
                    Some(end),
                    &mut each(|slab, _, path, _| {
                        received += 1;
                        for _ in 0..COPIES {
                            if let Some(buffer) = slab.lend(4) {
                                buffer.fill(0);
                                slab.send(&path, 4);
                            }
                        }
                    }),
                )
                .unwrap();
        }
        assert_eq!((received, uring.slab.exhausted()), (32, 0));
        uring.flush();
        uring.turn(Some(Instant(0)), &mut each(|_, _, _, _| {})).unwrap();
        assert_eq!((uring.flights.in_flight(), uring.slab.used()), (0, 0));
    }
}
