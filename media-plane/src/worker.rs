//! A worker: one pinned thread with an engine, a driver and its mailbox.

pub mod mail;
pub mod panic;
