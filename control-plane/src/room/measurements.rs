//! What the media plane has measured of a room's streams, for who asks: nothing is decided by it.

use std::collections::{BTreeMap, HashMap};

use proto::media::v1 as proto;
use serde::Serialize;

use crate::room::names::ParticipantSid;
use crate::room::state::Directory;

/// As many as there are publications and participants.
#[derive(Debug, Default)]
pub struct Measurements {
    /// By the id of the publication.
    publications: HashMap<u64, Measured>,
    /// Of all that each participant receives.
    received: BTreeMap<ParticipantSid, Measured>,
}

/// Packets and bytes since the start, delays of the last interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Measured {
    pub packets: u64,
    pub packets_lost: u64,
    pub bytes: u64,
    pub rtt_us: u32,
    pub jitter_us: u32,
}

impl Measurements {
    /// One interval of all streams.
    pub fn add(&mut self, directory: &Directory, quality: &proto::Quality) {
        self.publications.retain(|id, _| directory.publications.contains_key(id));
        let known = |who: &ParticipantSid| directory.routes.values().any(|other| other == who);
        self.received.retain(|who, _| known(who));
        for stream in &quality.publications {
            if directory.publications.contains_key(&stream.id) {
                let measured = self.publications.entry(stream.id).or_default();
                measured.count(stream);
                (measured.rtt_us, measured.jitter_us) = (stream.rtt_us, stream.jitter_us);
            }
        }
        for measured in self.received.values_mut() {
            (measured.rtt_us, measured.jitter_us) = (0, 0);
        }
        for stream in &quality.subscriptions {
            if let Some((who, _)) = directory.subscriptions.get(&stream.id) {
                let measured = self.received.entry(who.clone()).or_default();
                measured.count(stream);
                // A participant is as far away as its worst stream.
                measured.rtt_us = measured.rtt_us.max(stream.rtt_us);
                measured.jitter_us = measured.jitter_us.max(stream.jitter_us);
            }
        }
    }

    #[must_use]
    pub fn of_publication(&self, id: u64) -> Measured {
        self.publications.get(&id).copied().unwrap_or_default()
    }

    #[must_use]
    pub fn received_by(&self, who: &ParticipantSid) -> Measured {
        self.received.get(who).copied().unwrap_or_default()
    }
}

impl Measured {
    fn count(&mut self, stream: &proto::StreamQuality) {
        self.packets = self.packets.saturating_add(stream.packets);
        self.packets_lost = self.packets_lost.saturating_add(stream.packets_lost);
        self.bytes = self.bytes.saturating_add(stream.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::names::TrackSid;

    #[test]
    fn intervals_are_summed_and_what_is_gone_is_forgotten() {
        let (alice, bob) = (ParticipantSid("PA_a".into()), ParticipantSid("PA_b".into()));
        let track = TrackSid("TR_1".into());
        let mut directory = Directory::default();
        directory.publications.insert(1, track.clone());
        directory.routes.extend([(8, alice.clone()), (9, bob.clone())]);
        directory.subscriptions.extend([(2, (bob.clone(), track.clone())), (3, (bob.clone(), track))]);
        let stream = |id, packets, rtt_us| proto::StreamQuality {
            id,
            packets,
            packets_lost: 1,
            bytes: 10 * packets,
            rtt_us,
            jitter_us: 7,
        };
        let quality = proto::Quality {
            publications: vec![stream(1, 100, 5_000), stream(77, 1, 1)],
            subscriptions: vec![stream(2, 50, 9_000), stream(3, 20, 4_000)],
        };
        let mut measurements = Measurements::default();
        measurements.add(&directory, &quality);
        measurements.add(&directory, &quality);
        let published = Measured { packets: 200, packets_lost: 2, bytes: 2_000, rtt_us: 5_000, jitter_us: 7 };
        assert_eq!(measurements.of_publication(1), published);
        assert_eq!(measurements.of_publication(77), Measured::default(), "nobody knows of it");
        let received = Measured { packets: 140, packets_lost: 4, bytes: 1_400, rtt_us: 9_000, jitter_us: 7 };
        assert_eq!(measurements.received_by(&bob), received);
        assert_eq!(measurements.received_by(&alice), Measured::default());
        directory.publications.clear();
        directory.routes.remove(&9);
        measurements.add(&directory, &proto::Quality::default());
        assert_eq!(measurements.of_publication(1), Measured::default());
        assert_eq!(measurements.received_by(&bob), Measured::default());
    }
}
