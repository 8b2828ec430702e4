//! Logs that never block: a bounded queue and a writer thread.
