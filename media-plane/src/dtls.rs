//! The DTLS seam: one small interface, two implementations.
