//! One packet, one subscriber: drop or rewrite.
//!
//! Order is decided first, then layers, then the numbers are munged: what is known about a gap drives both the
//! temporal filter and the picture ids.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod decode_target;
pub mod dependency;
pub mod discard;
pub mod facts;
pub mod forwarder;
pub mod order;
pub mod padding;
pub mod picture;
pub mod range_map;
pub mod recent;
pub mod rewrite;
pub mod scalable;
pub mod select;
pub mod sequence;
pub mod spatial;
pub mod temporal;
pub mod timestamp;
pub mod unwrap;
pub mod verdicts;
pub mod vp8;
pub mod vp9;
