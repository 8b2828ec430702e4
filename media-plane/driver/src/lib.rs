//! Datagrams in and out by io_uring or epoll: sockets, buffers, the clock and the doorbell.
#![deny(unsafe_op_in_unsafe_fn)]

pub mod armed;
pub mod clock;
pub mod control;
pub mod counters;
pub mod doorbell;
pub mod driver;
pub mod epoll;
pub mod flights;
pub mod gather;
pub mod grouping;
pub mod gso;
pub mod measures;
pub mod pin;
pub mod receive_ring;
pub mod relays;
pub mod send_batch;
pub mod send_header;
pub mod slab;
pub mod sockaddr;
pub mod socket;
pub mod train;
pub mod uring;
