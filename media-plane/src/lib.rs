//! The media plane: wiring of workers, DTLS, data channels and the gRPC contract.

pub mod cli;
pub mod counters;
pub mod data;
pub mod dtls;
pub mod fuzz;
pub mod grpc;
pub mod helper;
pub mod mailbox;
pub mod plane;
pub mod resource;
pub mod worker;
