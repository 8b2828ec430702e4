//! Which media plane, and which of its workers, a new room goes to.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::media::plane::Plane;
use crate::media::table::Load;

/// Every media plane that this control plane knows. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Planes(Arc<[Plane]>);

impl Planes {
    #[must_use]
    pub fn new(planes: Vec<Plane>) -> Self {
        Self(planes.into())
    }

    /// The least loaded worker of the least loaded plane that is attached, and its index; one that is busy only if all are.
    #[must_use]
    pub fn choose(&self, room_name: &str) -> Option<(Plane, u32)> {
        let loads: Vec<Vec<Load>> = self.0.iter().map(Plane::load).collect();
        let (plane, worker) = least_loaded(&loads, room_name)?;
        Some((self.0.get(plane)?.clone(), u32::try_from(worker).ok()?))
    }

    #[must_use]
    pub fn all(&self) -> &[Plane] {
        &self.0
    }
}

/// Index of the plane and of its worker. Equals are told apart by the room's name, so that rooms made at once spread.
fn least_loaded(loads: &[Vec<Load>], room_name: &str) -> Option<(usize, usize)> {
    let plane_load = |workers: &Vec<Load>| {
        let sum = |part: fn(&Load) -> u32| workers.iter().map(part).map(u64::from).sum::<u64>();
        (workers.iter().all(Load::is_busy), sum(|load| load.peers), sum(|load| load.rooms))
    };
    let (plane, workers) = loads
        .iter()
        .enumerate()
        .filter(|(_, workers)| !workers.is_empty())
        .min_by_key(|(index, workers)| (plane_load(workers), lot(room_name, *index)))?;
    let worker_load = |load: &Load| (load.is_busy(), load.peers, load.rooms, load.busy_permille);
    let (worker, _) =
        workers.iter().enumerate().min_by_key(|(index, load)| (worker_load(load), lot(room_name, *index)))?;
    Some((plane, worker))
}

fn lot(room_name: &str, index: usize) -> u64 {
    let mut hasher = DefaultHasher::new();
    (room_name, index).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn load(peers: u32, rooms: u32) -> Load {
        Load { peers, rooms, busy_permille: 0 }
    }

    const fn busy(peers: u32, busy_permille: u32) -> Load {
        Load { peers, rooms: 1, busy_permille }
    }

    #[test]
    fn least_loaded_worker_is_chosen() {
        for (name, loads, expected) in [
            ("no planes", vec![], None),
            ("none attached", vec![vec![], vec![]], None),
            ("fewest peers", vec![vec![load(3, 1), load(1, 5)]], Some((0, 1))),
            ("then fewest rooms", vec![vec![load(1, 2), load(1, 1)]], Some((0, 1))),
            (
                "the emptier plane",
                vec![vec![load(1, 1), load(1, 1)], vec![load(1, 1), load(0, 0)]],
                Some((1, 1)),
            ),
            ("only the attached one", vec![vec![], vec![load(900, 9)]], Some((1, 0))),
            ("none that is busy", vec![vec![busy(1, 700), busy(50, 699)]], Some((0, 1))),
            ("all are busy: fewest peers", vec![vec![busy(2, 800), busy(1, 900)]], Some((0, 1))),
            (
                "no plane that is busy",
                vec![vec![busy(1, 900)], vec![busy(9, 900), busy(9, 100)]],
                Some((1, 1)),
            ),
            ("then the less busy", vec![vec![busy(1, 300), busy(1, 200)]], Some((0, 1))),
        ] {
            assert_eq!(least_loaded(&loads, "room"), expected, "{name}");
        }
    }

    #[test]
    fn rooms_that_are_made_at_once_spread() {
        let idle = vec![vec![load(0, 0); 4]];
        let mut counts = [0; 4];
        for room in 0..400 {
            let (_, worker) = least_loaded(&idle, &format!("room-{room}")).unwrap();
            counts[worker] += 1;
        }
        assert!(counts.iter().all(|count| *count > 50), "{counts:?}");
    }
}
