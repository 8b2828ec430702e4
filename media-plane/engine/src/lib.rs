//! The SFU of one core as a state machine: datagrams, commands and time go in; datagrams, events and a deadline come out.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod arrivals;
pub mod command;
pub mod config;
pub mod counters;
pub mod demux;
pub mod discard;
pub mod egress;
pub mod engine;
pub mod event;
pub mod hash;
pub mod ingress;
pub mod outbox;
pub mod overload;
pub mod path;
pub mod peer;
pub mod pool;
pub mod quality;
pub mod random;
pub mod relay;
pub mod room;
pub mod rtt;
pub mod schedule;
pub mod slots;
#[cfg(test)]
mod tests;
