//! The SFU of one core as a state machine: datagrams, commands and time go in; datagrams, events and a deadline come out.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod command;
pub mod discard;
pub mod event;
pub mod outbox;
pub mod path;
