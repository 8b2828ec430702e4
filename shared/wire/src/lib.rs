//! Every byte layout that crosses the network, read by views and patched in place.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

#[cfg(test)]
extern crate std;

pub mod av1;
pub mod cursor;
pub mod demux;
pub mod extension;
pub mod fuzz;
pub mod h264;
pub mod h265;
pub mod picture_id;
pub mod red;
pub mod rtcp;
pub mod rtp;
pub mod rtx;
pub mod stun;
pub mod trailer;
pub mod vp8;
pub mod vp9;
