//! Session descriptions as types: read within limits, written as LiveKit writes them (RFC 8866, RFC 8829).

pub mod attribute;
pub mod codec;
pub mod error;
pub mod fuzz;
pub mod limit;
pub mod section;
pub mod session;
