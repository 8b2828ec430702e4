//! Bandwidth as numbers: what was measured goes in, what may be sent comes out. No packets, no clock.
#![no_std]
#![forbid(unsafe_code)]

pub mod receive;
