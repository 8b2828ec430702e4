//! SRTP and SRTCP in place: keys, replay window, open and seal.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

#[cfg(feature = "aws-lc")]
pub mod aws_lc;
pub mod cipher;
mod counter_mode;
mod derive;
#[cfg(feature = "rust-crypto")]
pub mod fuzz;
pub mod inbound;
pub mod keys;
pub mod outbound;
mod protection;
mod replay;
#[cfg(feature = "rust-crypto")]
pub mod rust_crypto;
