//! What a driver counts: plain numbers of one thread, read by snapshot.

#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    pub datagrams_received: u64,
    pub bytes_received: u64,
    pub datagrams_sent: u64,
    pub bytes_sent: u64,
    /// Messages that the kernel took: a packet or a train each.
    pub sends: u64,
    /// Trains that the kernel refused where their packets might pass.
    pub trains_refused: u64,
    /// Packets of refused trains that passed by themselves.
    pub resent_plainly: u64,
    /// System calls that handed messages to the kernel.
    pub submissions: u64,
    /// Longer than a receive buffer, or without a source address: not handed on.
    pub receive_malformed: u64,
    pub receive_errors: u64,
    /// The kernel's receive queue was full: lost.
    pub receive_dropped: u64,
    /// The kernel refused a datagram (no route, no buffer space, not permitted).
    pub send_errors: u64,
    /// The kernel's send queue was full.
    pub send_blocked: u64,
    /// No send buffer was free.
    pub send_pool_exhausted: u64,
    /// Receive buffers ran out before the batch was taken.
    pub receive_pool_exhausted: u64,
    pub wakes: u64,
    pub doorbells: u64,
    pub flushes: u64,
    pub send_pool_high_water: u64,
    /// A gauge: buffers that wait for their flush or are with the kernel.
    pub send_pool_used: u64,
    /// A gauge: see [`crate::measures::Measures::busy_permille`].
    pub busy_permille: u64,
}

impl Counters {
    /// The kernel says that it has dropped so many until now, modulo 2^32.
    pub(crate) fn dropped(&mut self, until_now: u32) {
        #[expect(clippy::cast_possible_truncation, reason = "counts on where the kernel's count wrapped")]
        let more = until_now.wrapping_sub(self.receive_dropped as u32);
        // A count that went back is an older one.
        if more < 1 << 31 {
            self.receive_dropped += u64::from(more);
        }
    }

    /// The kernel took a message of `segments` packets and `len` bytes.
    pub(crate) const fn sent(&mut self, segments: usize, len: u64) {
        self.sends += 1;
        self.datagrams_sent += segments as u64;
        self.bytes_sent += len;
    }

    /// Every counter by its exported name.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("io_datagrams_received", self.datagrams_received),
            ("io_bytes_received", self.bytes_received),
            ("io_datagrams_sent", self.datagrams_sent),
            ("io_bytes_sent", self.bytes_sent),
            ("io_sends", self.sends),
            ("io_trains_refused", self.trains_refused),
            ("io_resent_plainly", self.resent_plainly),
            ("io_submissions", self.submissions),
            ("io_receive_malformed", self.receive_malformed),
            ("io_receive_errors", self.receive_errors),
            ("io_receive_dropped", self.receive_dropped),
            ("io_send_errors", self.send_errors),
            ("io_send_blocked", self.send_blocked),
            ("io_send_pool_exhausted", self.send_pool_exhausted),
            ("io_receive_pool_exhausted", self.receive_pool_exhausted),
            ("io_wakes", self.wakes),
            ("io_doorbells", self.doorbells),
            ("io_flushes", self.flushes),
            ("io_send_pool_high_water", self.send_pool_high_water),
            ("io_send_pool_used", self.send_pool_used),
            ("io_busy_permille", self.busy_permille),
        ]
        .into_iter()
    }
}
