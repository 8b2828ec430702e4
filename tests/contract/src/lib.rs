//! What the tests of the contract share: a media plane in this process, raw streams, resources, a UDP client and a light WebRTC client.

pub mod client;
pub mod media;
pub mod resources;
pub mod stream;
pub mod udp;
