//! Verifies and signs access tokens: JSON Web Tokens (RFC 7519) with HMAC-SHA256, keyed by `iss`.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use indexmap::IndexMap;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use zeroize::Zeroizing;

use crate::auth::grants::Claims;

/// API keys and their secrets, in the order of the configuration.
#[derive(Clone, Default)]
pub struct Keys {
    secrets: IndexMap<String, Zeroizing<String>>,
}

impl Keys {
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { secrets: pairs.into_iter().map(|(key, secret)| (key, Zeroizing::new(secret))).collect() }
    }

    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    pub fn contains(&self, api_key: &str) -> bool {
        self.secrets.contains_key(api_key)
    }

    pub fn first_api_key(&self) -> Option<&str> {
        self.secrets.keys().next().map(String::as_str)
    }

    /// The claims of a token that one of our keys signed and that is valid at `now`.
    pub fn verify(&self, token: &str, now: SystemTime) -> Result<Claims, TokenError> {
        if token.len() > TOKEN_LEN_MAX {
            return Err(TokenError::TooLong);
        }
        check_header(token)?;
        let api_key = unverified_issuer(token)?;
        let secret = self.secrets.get(&api_key).ok_or(TokenError::UnknownApiKey)?;
        let key = DecodingKey::from_secret(secret.as_bytes());
        let mut claims = jsonwebtoken::decode::<Claims>(token, &key, &signature_only()).map_err(reason)?.claims;
        check_times(&claims, seconds(now))?;
        if claims.identity.is_empty() {
            claims.identity.clone_from(&claims.token_id);
        }
        Ok(claims)
    }

    /// A token with the same grants, valid from `now` for `ttl`. `None` when the key is not ours.
    pub fn sign(&self, now: SystemTime, api_key: &str, claims: &Claims, ttl: Duration) -> Option<String> {
        let secret = self.secrets.get(api_key)?;
        let claims = Claims {
            api_key: api_key.to_owned(),
            not_before: Some(seconds(now)),
            expires_at: Some(seconds(now).saturating_add(ttl.as_secs())),
            ..claims.clone()
        };
        let key = EncodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).ok()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.secrets.keys()).finish()
    }
}

/// Why a token was refused. The texts that clients see are in `signal::status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token is longer than {TOKEN_LEN_MAX} bytes")]
    TooLong,
    #[error("the token is not a JSON Web Token")]
    Malformed,
    #[error("the token is not signed with HS256")]
    UnsupportedAlgorithm,
    #[error("the token has critical header extensions")]
    CriticalExtensions,
    #[error("no such API key")]
    UnknownApiKey,
    #[error("the signature does not match")]
    BadSignature,
    #[error("the claims cannot be read")]
    MalformedClaims,
    #[error("the token has no expiry")]
    NoExpiry,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYetValid,
}

/// RFC 7515 §4.1.11: extensions that must be understood are refused, for we understand none.
fn check_header(token: &str) -> Result<(), TokenError> {
    let header = jsonwebtoken::decode_header(token).map_err(reason)?;
    if header.alg != Algorithm::HS256 {
        return Err(TokenError::UnsupportedAlgorithm);
    }
    if header.crit.is_some() {
        return Err(TokenError::CriticalExtensions);
    }
    Ok(())
}

/// Which secret to check with: the one thing that is read before the signature is.
fn unverified_issuer(token: &str) -> Result<String, TokenError> {
    #[derive(serde::Deserialize)]
    struct Issuer {
        #[serde(default)]
        iss: String,
    }
    let claims: Issuer = jsonwebtoken::dangerous::insecure_decode_claims(token).map_err(reason)?;
    Ok(claims.iss)
}

/// The library's own checks of time use its own clock and cannot be tested; ours are in `check_times`.
fn signature_only() -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    validation
}

fn check_times(claims: &Claims, now: u64) -> Result<(), TokenError> {
    let expires_at = claims.expires_at.ok_or(TokenError::NoExpiry)?;
    if expires_at.saturating_add(LEEWAY_SECONDS) <= now {
        return Err(TokenError::Expired);
    }
    if claims.not_before.is_some_and(|start| start > now.saturating_add(LEEWAY_SECONDS)) {
        return Err(TokenError::NotYetValid);
    }
    Ok(())
}

fn reason(error: jsonwebtoken::errors::Error) -> TokenError {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::InvalidSignature => TokenError::BadSignature,
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => TokenError::UnsupportedAlgorithm,
        ErrorKind::Json(_) | ErrorKind::InvalidClaimFormat(_) => TokenError::MalformedClaims,
        _ => TokenError::Malformed,
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

const TOKEN_LEN_MAX: usize = 8 * 1024;
const LEEWAY_SECONDS: u64 = 60;
