//! Rooms of publishers and subscribers against any LiveKit-compatible server, and what comes of them.
//!
//! DTLS and SRTP are those of webrtc-rs, which share nothing with the path that is measured, so that a flaw of it in
//! these can't hide. The layouts of packets (RTP, RTCP, VP8) are read and written by `wire`, as the server does it. One
//! thread owns all sockets; signalling and handshakes run on tokio beside it.

pub mod clock;
pub mod command_line;
pub mod cores;
pub mod data;
pub mod description;
pub mod dtls;
pub mod feedback;
pub mod film;
pub mod ice;
pub mod keys;
pub mod measure;
pub mod network;
pub mod outgoing;
pub mod participant;
pub mod peer;
pub mod process;
pub mod publisher;
pub mod receiver;
pub mod reception;
pub mod report;
pub mod run;
pub mod signal;
pub mod spacing;
pub mod stamp;
pub mod token;
pub mod video;
