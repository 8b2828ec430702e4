//! Offers and answers: SDP on one side, typed sections on the other.
//!
//! A [`session::Session`] is one peer connection. It is pure (no clock, no chance, no I/O) and plain data: it is part
//! of the bytes that the control plane leaves with the media plane, so that a successor goes on negotiating where its
//! predecessor stopped. SDP follows RFC 8829 (JSEP), RFC 9143 (BUNDLE) and RFC 8853 (simulcast).

pub mod codec;
pub mod error;
pub mod fuzz;
pub mod outcome;
pub mod session;
pub mod setup;
pub mod track;

mod answer;
mod describe;
mod extension;
#[cfg(test)]
mod fixture;
mod matching;
mod offer;
mod payload;
mod receive;
mod section;
mod sending;
mod transport;
