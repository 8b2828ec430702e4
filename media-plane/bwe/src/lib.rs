//! Bandwidth as numbers: estimates in, decisions out.
