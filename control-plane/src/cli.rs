//! The command line of `millrace`.
