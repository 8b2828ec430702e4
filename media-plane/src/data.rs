//! Data channels: SCTP associations, DCEP, and the routing of LiveKit's data packets and data tracks within
//! a room.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod association;
pub mod channel;
pub mod dcep;
pub mod expected;
pub mod history;
pub mod listeners;
pub mod packet;
pub mod rate;
pub mod router;
pub mod track_packet;
