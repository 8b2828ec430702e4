//! The control plane: who, what, may I.

fn main() {}
