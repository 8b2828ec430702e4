//! What a resource is called.

use proto::media::v1::resource::Spec;
use proto::media::v1::{ResourceKey, resource_key};

/// Kind and id. The order of kinds is one in which resources can be upserted.
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
        Some(match message.key? {
            resource_key::Key::Room(id) => Self::Room(id),
            resource_key::Key::Peer(id) => Self::Peer(id),
            resource_key::Key::Publication(id) => Self::Publication(id),
            resource_key::Key::Subscription(id) => Self::Subscription(id),
            resource_key::Key::Route(id) => Self::Route(id),
        })
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
}

/// The room that a resource is in, which is itself for a room.
#[must_use]
pub const fn room_of(spec: &Spec) -> u64 {
    match spec {
        Spec::Room(room) => room.id,
        Spec::Peer(peer) => peer.room,
        Spec::Publication(publication) => publication.room,
        Spec::Subscription(subscription) => subscription.room,
        Spec::Route(route) => route.room,
    }
}

/// With whose deletion a resource is deleted; a route ends with its room only.
pub fn owners(spec: &Spec) -> impl Iterator<Item = Key> {
    let [one, two, three] = match spec {
        Spec::Room(_) => [None; 3],
        Spec::Peer(peer) => [Some(Key::Room(peer.room)), None, None],
        Spec::Publication(publication) => {
            [Some(Key::Room(publication.room)), Some(Key::Peer(publication.peer)), None]
        }
        Spec::Subscription(subscription) => [
            Some(Key::Room(subscription.room)),
            Some(Key::Peer(subscription.peer)),
            Some(Key::Publication(subscription.publication)),
        ],
        Spec::Route(route) => [Some(Key::Room(route.room)), None, None],
    };
    one.into_iter().chain(two).chain(three)
}
