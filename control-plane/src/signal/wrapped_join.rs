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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
    use flate2::write::GzEncoder;
    use livekit_protocol::{AddTrackRequest, ClientInfo};

    use super::*;

    fn wrap(compression: i32, join_request: Vec<u8>) -> String {
        URL_SAFE.encode(WrappedJoinRequest { compression, join_request }.encode_to_vec())
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn request() -> JoinRequest {
        JoinRequest {
            client_info: Some(ClientInfo { version: "2.0".to_owned(), ..ClientInfo::default() }),
            participant_sid: "PA_1".to_owned(),
            ..JoinRequest::default()
        }
    }

    #[test]
    fn each_layer_has_its_error() {
        let plain = request().encode_to_vec();
        let zipped = gzip(&plain);
        let (head, _) = zipped.split_at(zipped.len() / 2);
        let huge =
            JoinRequest { metadata: "x".repeat(INFLATED_LEN_MAX), ..JoinRequest::default() }.encode_to_vec();
        let many = JoinRequest {
            add_track_requests: vec![AddTrackRequest::default(); 5000],
            ..JoinRequest::default()
        };
        let unpadded = URL_SAFE_NO_PAD
            .encode(WrappedJoinRequest { compression: 0, join_request: plain.clone() }.encode_to_vec());
        for (name, parameter, expected) in [
            ("plain", wrap(0, plain.clone()), Ok(request())),
            ("unpadded", unpadded, Ok(request())),
            ("gzip", wrap(1, zipped.clone()), Ok(request())),
            ("empty", String::new(), Ok(JoinRequest::default())),
            ("not base64", "a b".to_owned(), Err(WrappedJoinError::Base64)),
            ("the other base64", STANDARD.encode([0xfb, 0xff, 0xfe]), Err(WrappedJoinError::Base64)),
            ("not a wrapping", URL_SAFE.encode([0xff; 4]), Err(WrappedJoinError::Wrapping)),
            ("unknown compression", wrap(2, plain), Err(WrappedJoinError::Compression)),
            ("not gzip", wrap(1, vec![1, 2, 3]), Err(WrappedJoinError::Gzip)),
            ("gzip cut", wrap(1, head.to_vec()), Err(WrappedJoinError::Gzip)),
            ("not a request", wrap(0, vec![0xff; 4]), Err(WrappedJoinError::JoinRequest)),
            ("too large", wrap(0, huge.clone()), Err(WrappedJoinError::TooLarge)),
            ("a bomb", wrap(1, gzip(&huge)), Err(WrappedJoinError::TooLarge)),
            ("too many tracks", wrap(1, gzip(&many.encode_to_vec())), Err(WrappedJoinError::JoinRequest)),
        ] {
            assert_eq!(decode(&parameter), expected, "{name}");
        }
    }

    #[test]
    fn an_inflated_request_of_just_the_limit_passes() {
        let request = JoinRequest { metadata: "x".repeat(INFLATED_LEN_MAX - 4), ..JoinRequest::default() };
        let bytes = request.encode_to_vec();
        assert_eq!(bytes.len(), INFLATED_LEN_MAX);
        assert_eq!(decode(&wrap(1, gzip(&bytes))), Ok(request));
    }
}
