//! The slow, obviously right forwarder that the real one is compared to, and a camera and a channel to try both with.
#![forbid(unsafe_code)]

pub mod camera;
pub mod channel;
pub mod fuzz;
pub mod model;
pub mod random;
pub mod run;
pub mod seen;
