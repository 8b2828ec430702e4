//! Session ids as LiveKit writes them: `PA_…` for participants, `TR_…` for tracks.

use std::fmt;

use serde::{Deserialize, Serialize};

/// `PA_…`: one stay of a participant in a room. A later join of the same identity has another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ParticipantSid(pub String);

/// `TR_…`
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrackSid(pub String);

impl fmt::Display for ParticipantSid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for TrackSid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
