//! Agents: workers that register on `/agent`, dispatches that rooms have, and the jobs that come of both.
//!
//! What LiveKit v1.13.5 does in `pkg/agent`, `pkg/service/agentservice.go` and the dispatches of `pkg/rtc/room.go`. The
//! rules are plain functions on a [`dispatcher::Dispatcher`], without I/O; [`service::Agents`] does what they want done.

pub mod assigning;
pub mod choice;
pub mod dispatcher;
pub mod dispatching;
pub mod door;
pub mod effect;
pub mod ending;
pub mod errands;
pub mod frame;
pub mod job;
pub mod launching;
pub mod listening;
pub mod moving;
pub mod registering;
pub mod rooms;
pub mod service;
pub mod tally;
pub mod token;
pub mod worker;

#[cfg(test)]
mod tests;
