//! The media plane's side of the contract in `proto`.
