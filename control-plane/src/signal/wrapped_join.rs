//! The `join_request` parameter: base64url of a `WrappedJoinRequest`, which holds a `JoinRequest`, plain or gzipped.

use std::io::Read;

use flate2::read::GzDecoder;
use livekit_protocol::wrapped_join_request::Compression;
use livekit_protocol::{JoinRequest, WrappedJoinRequest};
use prost::Message;

use crate::signal::field_count::{self, Kind};
use crate::signal::query::base64url;

/// Unpacks the parameter. The texts of the errors are LiveKit's, and all of them are a 400.
pub fn decode(parameter: &str) -> Result<JoinRequest, WrappedJoinError> {
    let wrapped = base64url(parameter).ok_or(WrappedJoinError::Base64)?;
    let wrapped = WrappedJoinRequest::decode(wrapped.as_slice()).map_err(|_| WrappedJoinError::Wrapping)?;
    let inner = match Compression::try_from(wrapped.compression) {
        Ok(Compression::None) => wrapped.join_request,
        Ok(Compression::Gzip) => inflate(&wrapped.join_request)?,
        Err(_) => return Err(WrappedJoinError::Compression),
    };
    if inner.len() > INFLATED_LEN_MAX {
        return Err(WrappedJoinError::TooLarge);
    }
    field_count::check(Kind::JoinRequest, &inner).map_err(|_| WrappedJoinError::JoinRequest)?;
    JoinRequest::decode(inner.as_slice()).map_err(|_| WrappedJoinError::JoinRequest)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrappedJoinError {
    #[error("cannot base64 decode wrapped join request")]
    Base64,
    #[error("cannot unmarshal wrapped join request")]
    Wrapping,
    #[error("unknown compression of join request")]
    Compression,
    #[error("cannot read decompressed join request")]
    Gzip,
    #[error("join request too large")]
    TooLarge,
    #[error("cannot unmarshal join request")]
    JoinRequest,
}

/// Reads one byte more than is allowed, so that a bomb is told from a message of just that length.
fn inflate(compressed: &[u8]) -> Result<Vec<u8>, WrappedJoinError> {
    let mut inflated = Vec::new();
    let mut reader = GzDecoder::new(compressed).take(INFLATED_LEN_MAX as u64 + 1);
    reader.read_to_end(&mut inflated).map_err(|_| WrappedJoinError::Gzip)?;
    Ok(inflated)
}

const INFLATED_LEN_MAX: usize = 1024 * 1024;
