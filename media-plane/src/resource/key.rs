//! What a resource is called and what it belongs to.

use std::fmt;

use proto::media::v1::resource::Spec;
use proto::media::v1::resource_key;

/// Kind and id. The order of kinds is that of a snapshot: what is referred to comes before what refers to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    Room(u64),
    Peer(u64),
    Publication(u64),
    Subscription(u64),
    Route(u64),
}

impl Key {
    #[must_use]
    pub const fn of(spec: &Spec) -> Self {
        match spec {
            Spec::Room(room) => Self::Room(room.id),
            Spec::Peer(peer) => Self::Peer(peer.id),
            Spec::Publication(publication) => Self::Publication(publication.id),
            Spec::Subscription(subscription) => Self::Subscription(subscription.id),
            Spec::Route(route) => Self::Route(route.id),
        }
    }

    #[must_use]
    pub const fn id(self) -> u64 {
        match self {
            Self::Room(id)
            | Self::Peer(id)
            | Self::Publication(id)
            | Self::Subscription(id)
            | Self::Route(id) => id,
        }
    }

    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Room(_) => Kind::Room,
            Self::Peer(_) => Kind::Peer,
            Self::Publication(_) => Kind::Publication,
            Self::Subscription(_) => Kind::Subscription,
            Self::Route(_) => Kind::Route,
        }
    }
}

impl From<resource_key::Key> for Key {
    fn from(key: resource_key::Key) -> Self {
        match key {
            resource_key::Key::Room(id) => Self::Room(id),
            resource_key::Key::Peer(id) => Self::Peer(id),
            resource_key::Key::Publication(id) => Self::Publication(id),
            resource_key::Key::Subscription(id) => Self::Subscription(id),
            resource_key::Key::Route(id) => Self::Route(id),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind().name(), self.id())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Room,
    Peer,
    Publication,
    Subscription,
    Route,
}

impl Kind {
    pub const ALL: [Self; 5] = [Self::Room, Self::Peer, Self::Publication, Self::Subscription, Self::Route];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Room => "room",
            Self::Peer => "peer",
            Self::Publication => "publication",
            Self::Subscription => "subscription",
            Self::Route => "route",
        }
    }
}

/// What a resource refers to; never changes during its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lineage {
    Room { worker: u32 },
    Peer { room: u64 },
    Publication { room: u64, peer: u64 },
    Subscription { room: u64, peer: u64, publication: u64 },
    Route { room: u64, receive_peer: u64, send_peer: u64 },
}

impl Lineage {
    #[must_use]
    pub const fn of(spec: &Spec) -> Self {
        match spec {
            Spec::Room(room) => Self::Room { worker: room.worker },
            Spec::Peer(peer) => Self::Peer { room: peer.room },
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
            Self::Peer { room }
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
