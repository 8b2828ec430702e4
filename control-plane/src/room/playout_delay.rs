//! How long a room's subscribers should hold pictures: as who opens it wants it, or the configuration.

use proto::media::v1 as proto;
use serde::{Deserialize, Serialize};

use crate::config;

/// In milliseconds; the least is not more than the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlayoutDelay {
    min: u32,
    max: u32,
}

impl PlayoutDelay {
    /// The least and the most, 0 where nothing is said. `None`: nobody wants one.
    #[must_use]
    pub fn of(wish: (u32, u32), default: &config::PlayoutDelay) -> Option<Self> {
        match wish {
            (0, 0) => default.enabled.then(|| Self::new(default.min, default.max)),
            (min, max) => Some(Self::new(min, max)),
        }
    }

    #[must_use]
    pub const fn to_proto(self) -> proto::PlayoutDelay {
        proto::PlayoutDelay { min_ms: self.min, max_ms: self.max }
    }

    /// Without a most it is Chromium's; 0 for both asks clients to show pictures at once.
    fn new(min: u32, max: u32) -> Self {
        let max = if max == 0 && min > 0 { MAX_BY_DEFAULT } else { max }.min(MAX);
        Self { min: min.min(max), max }
    }
}

const MAX_BY_DEFAULT: u32 = 10_000;
/// What the header extension can say: 12 bits, in steps of 10 ms.
const MAX: u32 = 40_950;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_goes_before_the_configuration() {
        let off = config::PlayoutDelay::default();
        let on = config::PlayoutDelay { enabled: true, min: 100, max: 2_000 };
        for (name, default, wish, expected) in [
            ("nobody says", off, (0, 0), None),
            ("configured but not enabled", config::PlayoutDelay { enabled: false, ..on }, (0, 0), None),
            ("configured", on, (0, 0), Some((100, 2_000))),
            (
                "configured to show at once",
                config::PlayoutDelay { enabled: true, ..off },
                (0, 0),
                Some((0, 0)),
            ),
            ("token", off, (200, 400), Some((200, 400))),
            ("token and configured", on, (200, 400), Some((200, 400))),
            ("no most", off, (200, 0), Some((200, 10_000))),
            ("only a most", off, (0, 400), Some((0, 400))),
            ("more than can be said", off, (50_000, 60_000), Some((40_950, 40_950))),
            ("the wrong way around", off, (400, 200), Some((200, 200))),
        ] {
            let found = PlayoutDelay::of(wish, &default).map(|delay| (delay.min, delay.max));
            assert_eq!(found, expected, "{name}");
        }
    }
}
