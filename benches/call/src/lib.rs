//! Calls in memory, for the benches: media made beforehand, and a room that it goes through.
#![forbid(unsafe_code)]

pub mod across;
pub mod call;
pub mod media;
pub mod null;
pub mod specs;
pub mod train;
