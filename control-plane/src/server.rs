//! The server as a whole: start, drain, stop.

pub mod external_address;
