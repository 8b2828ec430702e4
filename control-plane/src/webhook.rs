//! Webhooks: what happens in rooms is told to HTTP servers, signed, in order, and not lost when this process dies.
//!
//! A room's notices go to the `outbox`, which writes them to the `store` and acknowledges them; only then does the room
//! speak of them. For each URL a `courier` has a `line` of what waits, and delivers it.

pub mod counters;
pub mod courier;
pub mod event;
pub mod line;
pub mod outbox;
pub mod reach;
pub mod store;

#[cfg(test)]
mod fixture;
