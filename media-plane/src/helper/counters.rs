//! What the helper counts: handshakes, data packets, and every reason for which something was dropped.

/// Defines the counters and the rows under which they are exported.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            $($(#[$doc])* pub $name: u64,)+
        }

        impl Counters {
            /// Name and value of each counter.
            #[must_use]
            pub fn rows(&self) -> Vec<(&'static str, u64)> {
                vec![$((concat!("helper_", stringify!($name)), self.$name),)+]
            }
        }
    };
}

counters! {
    /// Gauges.
    peers,
    routes,
    /// Peers with keys, and with an established SCTP association.
    dtls_associations,
    sctp_associations,
    dtls_handshakes_started,
    dtls_handshakes_completed,
    dtls_handshakes_failed,
    dtls_closed_by_peer,
    dtls_datagrams_received,
    dtls_datagrams_sent,
    sctp_closed,
    /// Data packets that came, and copies that went.
    data_received,
    data_sent,
    data_replayed,
    /// The helper's own ring was full.
    dropped_ring_full,
    /// The peer is not known (yet) and the waiting room is full, or it never came.
    dropped_unknown_peer,
    /// No handshake is under way and this is no ClientHello, or the association has ended.
    dropped_no_association,
    /// A further ClientHello while the allowed number of handshakes is in flight, or too many handshakes per second.
    dropped_handshake_limit,
    /// A panic while one peer's input was handled; its association was dropped.
    panics,
    data_dropped_malformed,
    data_dropped_no_route,
    data_dropped_not_permitted,
    data_dropped_too_large,
    data_dropped_rate,
    data_dropped_duplicate,
    /// Metrics are for participants with a right that routes do not carry.
    data_dropped_metrics,
    /// Packets of data tracks that nobody is sent.
    data_track_unrouted,
    /// Copies.
    data_dropped_slow_receiver,
    data_dropped_no_channel,
    /// DCEP messages that are malformed, and channels beyond the limit.
    data_channel_refused,
}
