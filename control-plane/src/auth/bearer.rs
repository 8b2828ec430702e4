//! Where a request carries its token, and what it is told when the token is no good.

use std::time::SystemTime;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

use crate::auth::grants::Claims;
use crate::auth::token::{Keys, TokenError};

/// The claims of the request's token; none if it has no token, which only some paths mind.
///
/// The `Authorization` header goes before the `access_token` parameter, as in LiveKit v1.13.5 (`pkg/service/auth.go`).
pub fn claims(
    now: SystemTime,
    keys: &Keys,
    headers: &HeaderMap,
    query: &str,
) -> Result<Option<Claims>, AuthError> {
    let Some(token) = token(headers, query)? else { return Ok(None) };
    keys.verify(&token, now).map(Some).map_err(AuthError::Token)
}

/// Every one of them is a 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthError {
    NotBearer,
    Revoked,
    Token(TokenError),
}

impl AuthError {
    /// LiveKit's texts, but never the token or the key that it would echo.
    pub fn text(self) -> &'static str {
        match self {
            Self::NotBearer => "invalid authorization header. Must start with Bearer ",
            Self::Revoked => "invalid token, error: token is revoked",
            Self::Token(TokenError::UnknownApiKey) => "invalid API key",
            Self::Token(TokenError::BadSignature) => "invalid token, error: token signature is invalid",
            Self::Token(TokenError::Expired) => "invalid token, error: token is expired",
            Self::Token(TokenError::NotYetValid) => "invalid token, error: token is not valid yet",
            Self::Token(TokenError::NoExpiry) => "invalid token, error: token is missing its expiry",
            Self::Token(
                TokenError::TooLong
                | TokenError::Malformed
                | TokenError::UnsupportedAlgorithm
                | TokenError::CriticalExtensions
                | TokenError::MalformedClaims,
            ) => "invalid authorization token",
        }
    }
}

fn token(headers: &HeaderMap, query: &str) -> Result<Option<String>, AuthError> {
    if let Some(header) = headers.get(AUTHORIZATION).filter(|header| !header.is_empty()) {
        let text = header.to_str().map_err(|_| AuthError::NotBearer)?;
        let token = text.strip_prefix("Bearer ").ok_or(AuthError::NotBearer)?;
        return Ok(Some(token.to_owned()).filter(|token| !token.is_empty()));
    }
    let mut parameters = url::form_urlencoded::parse(query.as_bytes());
    let token = parameters.find(|(name, _)| name == "access_token").map(|(_, token)| token.into_owned());
    Ok(token.filter(|token| !token.is_empty()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_header_goes_before_the_parameter() {
        let keys = Keys::new([("key".to_owned(), "secret".to_owned())]);
        let now = SystemTime::now();
        let token = |identity: &str| {
            let claims = Claims { identity: identity.to_owned(), ..Claims::default() };
            keys.sign(now, "key", &claims, Duration::from_secs(60)).unwrap()
        };
        let query = format!("room=x&access_token={}", token("query"));
        for (name, header, query, expected) in [
            ("neither", None, "", Ok(None)),
            ("empty parameter", None, "access_token=", Ok(None)),
            ("parameter", None, query.as_str(), Ok(Some("query"))),
            ("header", Some(format!("Bearer {}", token("header"))), "", Ok(Some("header"))),
            ("both", Some(format!("Bearer {}", token("header"))), query.as_str(), Ok(Some("header"))),
            ("another scheme", Some("Basic abc".to_owned()), query.as_str(), Err(AuthError::NotBearer)),
            ("garbage", Some("Bearer x".to_owned()), "", Err(AuthError::Token(TokenError::Malformed))),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(header) = header {
                headers.insert(AUTHORIZATION, HeaderValue::from_str(&header).unwrap());
            }
            let identity =
                claims(now, &keys, &headers, query).map(|claims| claims.map(|claims| claims.identity));
            assert_eq!(identity, expected.map(|identity| identity.map(str::to_owned)), "{name}");
        }
    }
}
