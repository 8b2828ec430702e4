//! Why a description cannot be read, and where.

use std::fmt;

/// A description that is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} ({place})")]
pub struct Error {
    pub place: Place,
    pub reason: Reason,
}

/// Where in the description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Description,
    /// Counted from 1.
    Line(usize),
    Session,
    /// Counted from 0.
    Section(usize),
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    #[error("longer than is allowed")]
    TooLong,
    #[error("more media sections than are allowed")]
    TooManySections,
    #[error("more than is allowed of `{0}`")]
    TooMany(&'static str),
    #[error("`{0}` is malformed")]
    Malformed(&'static str),
    #[error("there is no `v=0` line at the start")]
    NotSdp,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Description => f.write_str("whole description"),
            Self::Line(line) => write!(f, "line {line}"),
            Self::Session => f.write_str("session level"),
            Self::Section(index) => write!(f, "media section {index}"),
        }
    }
}

impl Reason {
    pub(crate) const fn at(self, place: Place) -> Error {
        Error { place, reason: self }
    }
}
