//! What an engine counts, by name: each datagram and copy by how it ended, what it sends of its own, and how much of everything there is.

use crate::discard::{CopyReason, Reason, RelayReason};

/// Declares named counters.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// All counters of one engine.
        #[derive(Clone, Debug)]
        pub struct Counters {
            $($(#[$doc])* pub $name: u64,)+
            discarded: [u64; Reason::ALL.len()],
            copies_discarded: [u64; CopyReason::ALL.len()],
            relayed_discarded: [u64; RelayReason::ALL.len()],
        }

        impl Default for Counters {
            fn default() -> Self {
                Self {
                    $($name: 0,)+
                    discarded: [0; Reason::ALL.len()],
                    copies_discarded: [0; CopyReason::ALL.len()],
                    relayed_discarded: [0; RelayReason::ALL.len()],
                }
            }
        }

        impl Counters {
            fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)+].into_iter()
            }
        }
    };
}

counters! {
    /// Each of them is forwarded, consumed or discarded.
    datagrams_received,
    /// Packets of which at least one copy was sent.
    datagrams_forwarded,
    /// Checks, DTLS records, RTCP, and packets that only tell something.
    datagrams_consumed,
    /// Copies of packets that were sent to subscribers.
    copies_sent,
    copy_bytes_sent,
    /// Of these copies, those that were made as long as others of their frame.
    copies_padded,
    /// Copies of audio whose packet was lost, out of the redundancy of a later one.
    copies_recovered,
    /// Packets of our own to subscribers: silence, blank frames, padding.
    own_packets_sent,
    own_bytes_sent,
    /// Streams that ended without blank frames: too many did at once.
    streams_cut_off,
    /// Checks answered.
    checks_answered,
    dtls_records_received,
    dtls_records_sent,
    /// DTLS records that found no validated path or no send buffer.
    dtls_records_dropped,
    rtcp_sent,
    /// RTCP of ours for which there was no send buffer, or which the cipher refused.
    rtcp_dropped,
    /// Members of received RTCP that mean nothing to this engine.
    rtcp_members_ignored,
    transport_feedback_sent,
    /// Round trips that peers told by answering our reference times.
    reference_times_answered,
    nacks_sent,
    /// Packets that were asked for in NACKs to publishers.
    packets_nacked,
    /// Missing packets that were asked for as often as is allowed, or fell out of the queue.
    packets_given_up,
    /// Pictures that others depend on and that were not whole in time: a key frame was asked for.
    pictures_given_up,
    /// Packets that a publisher's retransmission brought.
    packets_restored,
    key_frame_requests_sent,
    /// Packets that subscribers asked for.
    nacks_received,
    packets_resent,
    nacks_unknown,
    nacks_recent,
    nacks_exhausted,
    nacks_over_budget,
    nacks_unsendable,
    /// Send buffers are short, or the worker does not keep up.
    nacks_shed,
    /// A key frame is on its way instead.
    nacks_awaiting_key_frame,
    /// For what is older than the key frame that was sent since.
    nacks_before_key_frame,
    key_frame_requests_received,
    /// By a key frame that was sent before the request came.
    key_frame_requests_answered,
    /// Packets that were not kept for retransmission: the pool is exhausted.
    history_exhausted,
    /// Probes that were duplicates of sent packets: they told the transport feedback only.
    probes_received,
    /// Packets that were handed to other workers, one for each of them.
    packets_relayed,
    /// Packets that came from other workers: each of them is forwarded or discarded.
    relayed_received,
    /// Of them, those of which at least one copy was sent.
    relayed_forwarded,
    /// What was told to the homes of publications on other workers, and what found no room on the way.
    demands_sent,
    demands_dropped,
    demands_received,
    /// Demands for publications that are not here, yet or any more; or from too many workers.
    demands_refused,
    /// Edges whose worker said nothing any more.
    edges_expired,
    peers_evicted,
    commands_refused,
    // How much there is now.
    rooms,
    peers,
    publications,
    subscriptions,
    paths,
    ufrags,
    history_buffers,
    /// How much is left out while the worker does not keep up: 0 is nothing, 22 all video.
    overload_step,
}

impl Counters {
    pub(crate) const fn discard(&mut self, reason: Reason) {
        self.discarded[reason as usize] += 1;
    }

    pub(crate) const fn discard_copy(&mut self, reason: CopyReason) {
        self.copies_discarded[reason as usize] += 1;
    }

    pub(crate) const fn discard_relayed(&mut self, reason: RelayReason) {
        self.relayed_discarded[reason as usize] += 1;
    }

    #[must_use]
    pub const fn discarded(&self, reason: Reason) -> u64 {
        self.discarded[reason as usize]
    }

    #[must_use]
    pub const fn copies_discarded(&self, reason: CopyReason) -> u64 {
        self.copies_discarded[reason as usize]
    }

    #[must_use]
    pub const fn relayed_discarded(&self, reason: RelayReason) -> u64 {
        self.relayed_discarded[reason as usize]
    }

    /// Every counter with its name, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let discarded = Reason::ALL.iter().map(|reason| (reason.name(), self.discarded(*reason)));
        let copies = CopyReason::ALL.iter().map(|reason| (reason.name(), self.copies_discarded(*reason)));
        let relayed = RelayReason::ALL.iter().map(|reason| (reason.name(), self.relayed_discarded(*reason)));
        self.named().chain(discarded).chain(copies).chain(relayed)
    }
}
