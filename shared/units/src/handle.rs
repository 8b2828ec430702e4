//! Identifiers of the things that both planes talk about; the control plane mints them.

/// A distinct type for each kind of identifier, so that a peer can't be taken for a room.
macro_rules! handle {
    ($(#[$doc:meta] $name:ident),+ $(,)?) => {$(
        #[$doc]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u64);

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    )+};
}

handle! {
    /// A room: the set of peers among which packets may be forwarded.
    RoomId,
    /// One remote transport: an ICE and DTLS association. A v0 participant has two.
    PeerId,
    /// One published media section of a peer: all encodings of one codec of one track.
    PublicationId,
    /// One publication as it is sent to one peer.
    SubscriptionId,
    /// What one participant may send and receive on data channels.
    RouteId,
}

/// The index of a worker (one core, one engine, one UDP port) within its media plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerIndex(pub u16);
