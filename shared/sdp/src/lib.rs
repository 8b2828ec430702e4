//! Session descriptions as types (RFC 8866, RFC 8829).

pub mod error;
