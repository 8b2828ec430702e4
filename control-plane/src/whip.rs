//! WHIP (RFC 9725) and WHEP: a participant whose signalling is one HTTP request, and perhaps a few more.

pub mod fragment;
pub mod route;
pub mod session;
pub mod tracks;
