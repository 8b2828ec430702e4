//! The one table from what went wrong before the upgrade to an HTTP status and LiveKit's text.
//!
//! SDKs read the texts: livekit-client falls back from `/rtc/v1` to `/rtc` on a 404, unless its body says that
//! the room does not exist.

use std::borrow::Cow;

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use crate::auth::bearer::AuthError;
use crate::config::Limit;
use crate::room::join::{JoinError, Name};
use crate::signal::wrapped_join::WrappedJoinError;

/// An answer that is not an upgrade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub status: StatusCode,
    pub text: Cow<'static, str>,
}

impl Rejection {
    pub const NO_PERMISSION: Self = Self::new(StatusCode::UNAUTHORIZED, "no permissions to access the room");
    pub const PERMISSIONS_DENIED: Self = Self::new(StatusCode::UNAUTHORIZED, "permissions denied");
    pub const NO_IDENTITY: Self = Self::new(StatusCode::BAD_REQUEST, "identity cannot be empty");
    pub const NO_ROOM_NAME: Self = Self::new(StatusCode::BAD_REQUEST, "no room name");
    pub const NO_JOIN_REQUEST: Self = Self::new(StatusCode::BAD_REQUEST, "join_request is required");
    pub const BAD_ATTRIBUTES: Self = Self::new(StatusCode::BAD_REQUEST, "cannot decode attributes");

    const fn new(status: StatusCode, text: &'static str) -> Self {
        Self { status, text: Cow::Borrowed(text) }
    }

    pub fn unauthorized(text: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, text)
    }

    pub fn of_join(error: &JoinError, limit: &Limit) -> Self {
        match error {
            JoinError::NotAllowed => Self::NO_PERMISSION,
            JoinError::RoomNotFound => Self::new(StatusCode::NOT_FOUND, "requested room does not exist"),
            JoinError::IdentityEmpty => Self::NO_IDENTITY,
            JoinError::NameTooLong(name) => {
                Self { status: StatusCode::BAD_REQUEST, text: too_long(*name, limit).into() }
            }
            JoinError::DuplicateIdentity => {
                Self::new(StatusCode::CONFLICT, "the identity is in the room already")
            }
            JoinError::Revoked => Self::unauthorized(AuthError::Revoked.text()),
            JoinError::UnknownPreset => {
                Self::new(StatusCode::BAD_REQUEST, "unknown room configuration in create room request")
            }
            JoinError::Draining => Self::new(StatusCode::SERVICE_UNAVAILABLE, "the server is shutting down"),
            JoinError::LimitReached(limit) => {
                Self { status: StatusCode::SERVICE_UNAVAILABLE, text: limit.to_string().into() }
            }
            JoinError::Unavailable => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "no media plane is attached")
            }
            JoinError::Internal(text) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, text),
        }
    }
}

impl From<WrappedJoinError> for Rejection {
    fn from(error: WrappedJoinError) -> Self {
        Self { status: StatusCode::BAD_REQUEST, text: error.to_string().into() }
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        text(self.status, self.text)
    }
}

/// Plain text as Go's server labels it.
pub fn text(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Response {
    (status, [(CONTENT_TYPE, "text/plain; charset=utf-8")], text.into()).into_response()
}

fn too_long(name: Name, limit: &Limit) -> String {
    let (what, max) = match name {
        Name::Room => ("room name length", limit.max_room_name_length),
        Name::Identity => ("participant identity length", limit.max_participant_identity_length),
        Name::Participant => ("name length", limit.max_participant_name_length),
        Name::Metadata => ("metadata size", limit.max_metadata_size),
        Name::Attributes => ("attribute size", limit.max_attributes_size),
    };
    format!("{what} exceeds limits: max length {max}")
}
