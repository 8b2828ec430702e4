//! LiveKit signalling over WebSocket: from the upgrade to the room's requests.

pub mod arrival;
pub mod client;
pub mod connection;
pub mod counters;
pub mod door;
pub mod field_count;
pub mod frame;
pub mod query;
pub mod rate;
pub mod sink;
pub mod status;
pub mod wrapped_join;
