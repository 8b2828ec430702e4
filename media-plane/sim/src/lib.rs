//! A seeded world around the engine, with oracles: cameras, lossy links and clients in virtual time, all from one number.
#![forbid(unsafe_code)]

pub mod at_work;
pub mod camera;
pub mod client;
pub mod film;
pub mod link;
pub mod oracle;
pub mod random;
pub mod scenario;
pub mod stamp;
mod worker;
pub mod world;
