//! What a resource belongs to.

use proto::key::Key;
use proto::media::v1::resource::Spec;

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
