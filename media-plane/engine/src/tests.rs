//! The engine as a whole, driven by small clients that speak STUN, SRTP and RTCP with the pure cipher.

mod specs;

pub(crate) use specs::*;
