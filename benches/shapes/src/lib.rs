//! Whole-system benchmarks: servers and the load generator in turn, shape by shape; rows of JSON, tables and plots.
#![forbid(unsafe_code)]

pub mod chart;
pub mod compare;
pub mod contender;
pub mod loader;
pub mod machine;
pub mod plot;
pub mod process;
pub mod publish;
pub mod ramp;
pub mod row;
pub mod server;
pub mod session;
pub mod shape;
pub mod statistics;
pub mod svg;
pub mod target;
