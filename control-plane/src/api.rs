//! The server API: Twirp services over HTTP, for operators' backends.
//!
//! `services` is the one table of methods. A method is a row of its service's file: its name, the right that it takes,
//! what the request is about, and the handler.

pub mod agent_dispatch;
pub mod error;
pub mod json;
pub mod performing;
pub mod revocation;
pub mod right;
pub mod room_service;
pub mod service;
pub mod shape;
pub mod tally;
pub mod twirp;
pub mod unconnected;

#[cfg(test)]
mod tests;

use crate::api::service::Service;

/// Everything that is served. What is not here is no path: LiveKit's Connector, for one.
#[must_use]
pub fn services() -> Vec<Service> {
    vec![
        room_service::service(),
        agent_dispatch::service(),
        unconnected::egress(),
        unconnected::ingress(),
        unconnected::sip(),
        revocation::service(),
    ]
}
