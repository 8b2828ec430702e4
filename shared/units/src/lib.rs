//! Numbers with a meaning: identifiers, sequence numbers, rates and time as values.
#![no_std]
#![forbid(unsafe_code)]

pub mod handle;
pub mod histogram;
pub mod rate;
pub mod rtp;
pub mod sequence;
pub mod time;
