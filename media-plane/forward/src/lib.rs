//! One packet, one subscriber: drop or rewrite.
//!
//! Order is decided first, then layers, then the numbers are munged: what is known about a gap drives both the
//! temporal filter and the picture ids.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod discard;
pub mod facts;
pub mod forwarder;
pub mod rewrite;
