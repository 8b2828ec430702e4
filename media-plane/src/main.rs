//! The media plane: wiring of workers, DTLS, data channels and the gRPC contract.

fn main() {}
