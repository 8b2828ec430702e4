//! LiveKit signalling over WebSocket: from the upgrade to the room's requests.

pub mod sink;
