//! The control plane: who, what, may I.

pub mod agent;
pub mod api;
pub mod auth;
pub mod cli;
pub mod config;
pub mod debug;
pub mod fuzz;
pub mod http;
pub mod media;
pub mod metrics;
pub mod negotiate;
pub mod page;
pub mod room;
pub mod server;
pub mod signal;
pub mod webhook;
pub mod whip;
