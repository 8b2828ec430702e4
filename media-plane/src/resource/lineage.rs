//! What a resource belongs to.

use proto::key::Key;
use proto::media::v1::resource::Spec;

/// What a resource refers to; never changes during its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lineage {
    Room { worker: u32 },
    Peer { room: u64, worker: Option<u32> },
    Publication { room: u64, peer: u64 },
    Subscription { room: u64, peer: u64, publication: u64 },
    Route { room: u64, receive_peer: u64, send_peer: u64 },
}

impl Lineage {
    #[must_use]
    pub const fn of(spec: &Spec) -> Self {
        match spec {
            Spec::Room(room) => Self::Room { worker: room.worker },
            Spec::Peer(peer) => Self::Peer { room: peer.room, worker: peer.worker },
            Spec::Publication(publication) => {
                Self::Publication { room: publication.room, peer: publication.peer }
            }
            Spec::Subscription(subscription) => Self::Subscription {
                room: subscription.room,
                peer: subscription.peer,
                publication: subscription.publication,
            },
            Spec::Route(route) => {
                Self::Route { room: route.room, receive_peer: route.receive_peer, send_peer: route.send_peer }
            }
        }
    }

    /// The room that a resource within a room is in.
    #[must_use]
    pub const fn room(self) -> Option<u64> {
        match self {
            Self::Room { .. } => None,
            Self::Peer { room, .. }
            | Self::Publication { room, .. }
            | Self::Subscription { room, .. }
            | Self::Route { room, .. } => Some(room),
        }
    }

    /// What must be there, in the same room, before this is.
    pub fn needs(self) -> impl Iterator<Item = Key> {
        let (one, other) = match self {
            Self::Room { .. } | Self::Peer { .. } => (None, None),
            Self::Publication { peer, .. } => (Some(Key::Peer(peer)), None),
            Self::Subscription { peer, publication, .. } => {
                (Some(Key::Peer(peer)), Some(Key::Publication(publication)))
            }
            Self::Route { receive_peer, send_peer, .. } => {
                (Some(Key::Peer(receive_peer)), Some(Key::Peer(send_peer)))
            }
        };
        one.into_iter().chain(other)
    }

    /// With whose deletion this is deleted. A route outlives its peers: it ends with its room.
    pub fn owners(self) -> impl Iterator<Item = Key> {
        let needs = self.needs().filter(move |_| !matches!(self, Self::Route { .. }));
        self.room().map(Key::Room).into_iter().chain(needs)
    }
}
