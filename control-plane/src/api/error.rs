//! What went wrong, as Twirp tells it: a code, its status, a text.
//!
//! LiveKit v1.13.5 wraps most of its errors twice, and its clients match on the result: hence the prefix in
//! [`Error::wrapped`].

use std::borrow::Cow;

use axum::http::StatusCode;
use serde::Serialize;

use crate::room::call::CallError;

/// The error codes of Twirp's specification that are used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    Canceled,
    Malformed,
    InvalidArgument,
    DeadlineExceeded,
    NotFound,
    BadRoute,
    Unauthenticated,
    ResourceExhausted,
    FailedPrecondition,
    Unimplemented,
    Internal,
    Unavailable,
}

impl Code {
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Malformed | Self::InvalidArgument => StatusCode::BAD_REQUEST,
            Self::Canceled | Self::DeadlineExceeded => StatusCode::REQUEST_TIMEOUT,
            Self::NotFound | Self::BadRoute => StatusCode::NOT_FOUND,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            Self::FailedPrecondition => StatusCode::PRECONDITION_FAILED,
            Self::Unimplemented => StatusCode::NOT_IMPLEMENTED,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Canceled => "canceled",
            Self::Malformed => "malformed",
            Self::InvalidArgument => "invalid_argument",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::NotFound => "not_found",
            Self::BadRoute => "bad_route",
            Self::Unauthenticated => "unauthenticated",
            Self::ResourceExhausted => "resource_exhausted",
            Self::FailedPrecondition => "failed_precondition",
            Self::Unimplemented => "unimplemented",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Error {
    pub code: Code,
    pub msg: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

/// What else clients may want to know: one entry is all that anybody says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Meta {
    Argument(Cow<'static, str>),
    TwirpInvalidRoute(String),
}

impl Error {
    pub const PERMISSIONS_DENIED: Self = Self::plain(Code::Unauthenticated, "permissions denied");

    pub const MALFORMED_JSON: Self = Self::plain(Code::Malformed, "the json request could not be decoded");
    pub const MALFORMED_PROTOBUF: Self =
        Self::plain(Code::Malformed, "the protobuf request could not be decoded");

    #[must_use]
    pub const fn plain(code: Code, text: &'static str) -> Self {
        Self { code, msg: Cow::Borrowed(text), meta: None }
    }

    /// What LiveKit's rooms and stores answer; its clients know these texts with this prefix only.
    #[must_use]
    pub fn wrapped(code: Code, text: &str) -> Self {
        Self { code, msg: format!("twirp error unknown: {text}").into(), meta: None }
    }

    /// An argument is not what it should be: its name, and what is wrong with it.
    #[must_use]
    pub fn argument(argument: &'static str, problem: &str) -> Self {
        Self {
            code: Code::InvalidArgument,
            msg: format!("{argument} {problem}").into(),
            meta: Some(Meta::Argument(argument.into())),
        }
    }

    #[must_use]
    pub fn bad_route(text: String, method: &str, path: &str) -> Self {
        let route = Meta::TwirpInvalidRoute(format!("{method} {path}"));
        Self { code: Code::BadRoute, msg: text.into(), meta: Some(route) }
    }
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        let code = match error {
            CallError::RoomNotFound | CallError::ParticipantNotFound | CallError::TrackNotFound => {
                Code::NotFound
            }
            CallError::RemoteUnmuteNotEnabled => Code::FailedPrecondition,
            CallError::AttributesTooLarge | CallError::DataTooLarge | CallError::UnknownPreset => {
                Code::InvalidArgument
            }
            CallError::LimitReached(_) => Code::ResourceExhausted,
            CallError::Draining | CallError::Unavailable => Code::Unavailable,
        };
        Self::wrapped(code, &error.to_string())
    }
}
