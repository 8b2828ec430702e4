//! What a participant has to do with data apart from packets: the data tracks that it publishes and is sent, and its
//! blobs.
//!
//! Packets of either kind concern the media plane only: what it must know of them is in each participant's route
//! (`keeping`).

use std::collections::BTreeMap;

use livekit_protocol::{DataBlob, DataTrackInfo};
use serde::{Deserialize, Serialize};

use crate::room::names::{ParticipantSid, TrackSid};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Data {
    /// In the order in which they were published.
    pub tracks: Vec<DataTrackInfo>,
    /// What it is sent, by the handle that packets then bear.
    pub subscriptions: BTreeMap<u16, DataSubscription>,
    /// The handle that was given out last.
    pub last_handle: u16,
    pub blobs: Vec<DataBlob>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSubscription {
    pub publisher: ParticipantSid,
    pub track: TrackSid,
}

impl Data {
    #[must_use]
    pub fn track(&self, sid: &TrackSid) -> Option<&DataTrackInfo> {
        self.tracks.iter().find(|track| track.sid == sid.0)
    }

    #[must_use]
    pub fn is_subscribed(&self, sid: &TrackSid) -> bool {
        self.subscriptions.values().any(|subscription| subscription.track == *sid)
    }

    /// Subscribes under the next free handle; a handle is used again as late as possible, for packets of its last
    /// track may still be under way. Absent: there are as many subscriptions as may be.
    pub fn subscribe(&mut self, subscription: DataSubscription) -> Option<u16> {
        if self.subscriptions.len() >= SUBSCRIPTIONS_MAX {
            return None;
        }
        let mut handle = self.last_handle;
        loop {
            handle = handle.wrapping_add(1).max(1);
            if !self.subscriptions.contains_key(&handle) {
                break;
            }
        }
        self.last_handle = handle;
        self.subscriptions.insert(handle, subscription);
        Some(handle)
    }

    /// Returns whether there was one.
    pub fn unsubscribe(&mut self, sid: &TrackSid) -> bool {
        let before = self.subscriptions.len();
        self.subscriptions.retain(|_, subscription| subscription.track != *sid);
        self.subscriptions.len() < before
    }
}

/// As many as the contract allows.
const SUBSCRIPTIONS_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(track: &str) -> DataSubscription {
        DataSubscription { publisher: ParticipantSid("PA_1".into()), track: TrackSid(track.into()) }
    }

    #[test]
    fn handles_come_round_and_miss_zero_and_those_in_use() {
        let mut data = Data { last_handle: u16::MAX - 1, ..Data::default() };
        for (track, handle) in [("a", u16::MAX), ("b", 1), ("c", 2)] {
            assert_eq!(data.subscribe(subscription(track)), Some(handle), "{track}");
        }
        assert!(data.unsubscribe(&TrackSid("b".into())));
        assert!(!data.unsubscribe(&TrackSid("b".into())));
        assert_eq!(data.subscribe(subscription("d")), Some(3), "not the one that was free just now");
        data.last_handle = u16::MAX - 1;
        assert_eq!(data.subscribe(subscription("e")), Some(1));
    }

    #[test]
    fn subscriptions_are_bounded() {
        let mut data = Data::default();
        let handles: Vec<_> =
            (0..1_025).map(|track| data.subscribe(subscription(&track.to_string()))).collect();
        assert_eq!((handles[1_023], handles[1_024]), (Some(1_024), None));
    }
}
