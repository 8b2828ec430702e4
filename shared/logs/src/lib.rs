//! Logs that never block: both planes write theirs like this, and whoever reads them may stop.

pub mod stderr;
