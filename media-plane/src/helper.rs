//! The helper thread: DTLS, SCTP and data routing, off the packet cores.
