//! SRTP and SRTCP in place: keys, replay window, open and seal.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod keys;
