//! Trains: equal packets to one destination that the kernel takes as one message and cuts up again (`UDP_SEGMENT`, udp(7)).

use crate::slab::Departure;

/// What the kernel takes in one message (`UDP_MAX_SEGMENTS`; later kernels take more).
pub(crate) const SEGMENTS_MAX: usize = 64;
/// The payload of the largest UDP datagram over IPv4, which a message may not exceed before it is cut up.
const BYTES_MAX: usize = 65_507;

/// Cuts the next train off: the longest run along one path of equally long packets, of which the last may be shorter.
pub(crate) fn next_train(departures: &[Departure], segments_max: usize) -> (&[Departure], &[Departure]) {
    departures.split_at(length(departures, segments_max))
}

fn length(departures: &[Departure], segments_max: usize) -> usize {
    let Some(first) = departures.first() else { return 0 };
    let segments_max = segments_max.min(BYTES_MAX / first.len.max(1));
    let mut count = 1;
    for departure in departures.iter().take(segments_max).skip(1) {
        if departure.len > first.len || departure.path != first.path || departure.len == 0 {
            break;
        }
        count += 1;
        if departure.len < first.len {
            break;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::path::{Path, Protocol};
    use std::net::Ipv4Addr;

    fn departures(sizes: &[(u16, usize)]) -> Vec<Departure> {
        let host = Ipv4Addr::LOCALHOST;
        let path = |port| Path { protocol: Protocol::Udp, local: host.into(), remote: (host, port).into() };
        let departure = |&(port, len): &(u16, usize)| Departure { slot: 0, len, path: path(port) };
        sizes.iter().map(departure).collect()
    }

    #[test]
    fn a_train_has_one_destination_and_one_size_but_for_a_shorter_end() {
        for (name, packets, trains) in [
            ("nothing", vec![], vec![]),
            ("one", vec![(1, 10)], vec![1]),
            ("equal", vec![(1, 10); 5], vec![5]),
            ("two destinations", vec![(1, 10), (1, 10), (2, 10)], vec![2, 1]),
            ("a shorter end", vec![(1, 10), (1, 10), (1, 9), (1, 9), (1, 10)], vec![3, 1, 1]),
            ("a longer one", vec![(1, 10), (1, 11), (1, 11)], vec![1, 2]),
            ("nothing in it", vec![(1, 10), (1, 0), (1, 0), (1, 10)], vec![1, 1, 1, 1]),
            ("as many as the kernel takes", vec![(1, 10); 130], vec![64, 64, 2]),
            ("as long as the kernel takes", vec![(1, 1500); 87], vec![43, 43, 1]),
        ] {
            let all = departures(&packets);
            let mut rest = &all[..];
            let mut lens = Vec::new();
            while !rest.is_empty() {
                let (train, after) = next_train(rest, SEGMENTS_MAX);
                assert!(train.iter().map(|departure| departure.len).sum::<usize>() <= BYTES_MAX);
                lens.push(train.len());
                rest = after;
            }
            assert_eq!(lens, trains, "{name}");
        }
    }

    #[test]
    fn without_segmentation_each_goes_by_itself() {
        let all = departures(&[(1, 10); 3]);
        let (train, rest) = next_train(&all, 1);
        assert_eq!((train.len(), rest.len()), (1, 2));
    }
}
