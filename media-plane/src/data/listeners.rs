//! Who is sent which data track of a room, and under which handle.

use indexmap::IndexMap;
use units::handle::RouteId;

use crate::helper::input::DataSubscription;

/// The listeners of each track, by its publisher and the publisher's handle.
#[derive(Debug, Default)]
pub struct Listeners {
    tracks: IndexMap<(RouteId, u16), Vec<Listener>>,
}

/// In the order of handles, so that those who get the same bytes are neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listener {
    pub handle: u16,
    pub route: RouteId,
}

impl Listeners {
    pub fn add(&mut self, route: RouteId, subscriptions: &[DataSubscription]) {
        for one in subscriptions {
            let listener = Listener { handle: one.handle, route };
            let listeners = self.tracks.entry((one.publisher, one.published_handle)).or_default();
            if let Err(place) = listeners.binary_search(&listener) {
                listeners.insert(place, listener);
            }
        }
    }

    pub fn remove(&mut self, route: RouteId, subscriptions: &[DataSubscription]) {
        for one in subscriptions {
            let track = (one.publisher, one.published_handle);
            let Some(listeners) = self.tracks.get_mut(&track) else { continue };
            listeners.retain(|listener| listener.route != route);
            if listeners.is_empty() {
                self.tracks.swap_remove(&track);
            }
        }
    }

    /// Of one track, in groups of one handle each.
    pub fn by_handle(&self, publisher: RouteId, handle: u16) -> impl Iterator<Item = &[Listener]> {
        let listeners = self.tracks.get(&(publisher, handle)).map_or(&[][..], Vec::as_slice);
        listeners.chunk_by(|one, next| one.handle == next.handle)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tracks.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn subscription(published_handle: u16, handle: u16) -> DataSubscription {
        DataSubscription { publisher: RouteId(1), published_handle, handle }
    }

    fn groups(listeners: &Listeners, handle: u16) -> Vec<(u16, Vec<u64>)> {
        let groups = listeners.by_handle(RouteId(1), handle);
        groups.map(|group| (group[0].handle, group.iter().map(|one| one.route.0).collect())).collect()
    }

    #[test]
    fn listeners_of_one_handle_are_told_together_and_go_without_a_trace() {
        let mut listeners = Listeners::default();
        for (route, subscriptions) in [
            (2, vec![subscription(7, 1), subscription(8, 2)]),
            (3, vec![subscription(7, 2)]),
            (4, vec![subscription(7, 1)]),
            (4, vec![subscription(7, 1)]),
        ] {
            listeners.add(RouteId(route), &subscriptions);
        }
        assert_eq!(groups(&listeners, 7), [(1, vec![2, 4]), (2, vec![3])]);
        assert_eq!(groups(&listeners, 8), [(2, vec![2])]);
        assert_eq!(groups(&listeners, 9), []);
        listeners.remove(RouteId(2), &[subscription(7, 1), subscription(9, 9)]);
        assert_eq!(groups(&listeners, 7), [(1, vec![4]), (2, vec![3])]);
        listeners.remove(RouteId(2), &[subscription(8, 2)]);
        listeners.remove(RouteId(3), &[subscription(7, 2)]);
        listeners.remove(RouteId(4), &[subscription(7, 1)]);
        assert!(listeners.is_empty());
    }
}
