//! What the tests of the contract share: a media plane in this process, raw streams, resources and a UDP client.

pub mod media;
pub mod resources;
pub mod stream;
pub mod udp;
