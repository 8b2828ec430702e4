//! What a resource is called: its kind and its id.

use std::fmt;

use crate::media::v1::resource::Spec;
use crate::media::v1::{ResourceKey, resource_key};

/// The order of kinds is that of a snapshot, in which resources can be upserted: what is referred to comes before what
/// refers to it.
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

    /// `None` for an empty message.
    #[must_use]
    pub fn named_by(message: &ResourceKey) -> Option<Self> {
        message.key.map(Self::from)
    }

    #[must_use]
    pub const fn message(self) -> ResourceKey {
        let key = match self {
            Self::Room(id) => resource_key::Key::Room(id),
            Self::Peer(id) => resource_key::Key::Peer(id),
            Self::Publication(id) => resource_key::Key::Publication(id),
            Self::Subscription(id) => resource_key::Key::Subscription(id),
            Self::Route(id) => resource_key::Key::Route(id),
        };
        ResourceKey { key: Some(key) }
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
