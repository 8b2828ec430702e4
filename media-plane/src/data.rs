//! Data channels: SCTP associations, DCEP, and the routing of LiveKit data packets within a room.

pub mod association;
pub mod channel;
pub mod dcep;
pub mod history;
pub mod packet;
pub mod rate;
pub mod router;
