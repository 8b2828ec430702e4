//! The server as a whole: start, drain, stop.
