//! The HTTP surface: routes, CORS, limits.

pub mod cors;
pub mod gate;
