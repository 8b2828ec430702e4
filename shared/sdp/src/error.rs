//! Why a description cannot be read, and where.

/// A description that is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} ({place})")]
pub struct Error {
    pub place: Place,
    pub reason: Reason,
}

/// Where in the description.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Place {
    #[error("whole description")]
    Description,
    /// Counted from 1.
    #[error("line {0}")]
    Line(usize),
    #[error("session level")]
    Session,
    /// Counted from 0.
    #[error("media section {0}")]
    Section(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    #[error("longer than is allowed")]
    TooLong,
}
