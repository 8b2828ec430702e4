//! Why a command is refused, and how that is told to the control plane.

use engine::command;
use proto::media::v1::{self, RefusalReason};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub reason: RefusalReason,
    pub detail: String,
}

impl Refused {
    #[must_use]
    pub const fn new(reason: RefusalReason, detail: String) -> Self {
        Self { reason, detail }
    }

    #[must_use]
    pub const fn invalid(detail: String) -> Self {
        Self::new(RefusalReason::Invalid, detail)
    }

    /// What an engine said.
    #[must_use]
    pub fn by_engine(refusal: command::Refusal) -> Self {
        let (reason, detail) = match refusal {
            command::Refusal::UnknownRoom => (RefusalReason::Unknown, "its worker knows no such room"),
            command::Refusal::UnknownPeer => (RefusalReason::Unknown, "its worker knows no such peer"),
            command::Refusal::UnknownPublication => {
                (RefusalReason::Unknown, "its worker knows no such publication")
            }
            command::Refusal::Limit => (RefusalReason::Limit, "its worker is full"),
            command::Refusal::Taken => {
                (RefusalReason::Invalid, "another resource has the same ufrag or SSRC")
            }
        };
        Self::new(reason, detail.into())
    }

    /// The worker's engine panicked over it.
    #[must_use]
    pub fn by_panic() -> Self {
        Self::new(
            RefusalReason::Unspecified,
            "its worker failed to apply it; see the media plane's log".into(),
        )
    }

    #[must_use]
    pub fn into_message(self, revision: u64) -> v1::Refusal {
        v1::Refusal { revision, reason: self.reason.into(), detail: self.detail }
    }
}
