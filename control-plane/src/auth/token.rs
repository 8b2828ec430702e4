//! Verifies and signs access tokens: JSON Web Tokens (RFC 7519) with HMAC-SHA256, keyed by `iss`.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use indexmap::IndexMap;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use zeroize::Zeroizing;

use crate::auth::grants::Claims;

/// API keys and their secrets, in the order of the configuration. They may be replaced while others use them.
#[derive(Default)]
pub struct Keys {
    secrets: RwLock<Arc<Secrets>>,
}

type Secrets = IndexMap<String, Zeroizing<String>>;

impl Keys {
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let secrets: Secrets = pairs.into_iter().map(|(key, secret)| (key, Zeroizing::new(secret))).collect();
        Self { secrets: RwLock::new(Arc::new(secrets)) }
    }

    /// From now on, those of `other` are ours and no others.
    pub fn replace(&self, other: &Self) {
        *self.secrets.write().unwrap_or_else(PoisonError::into_inner) = other.now();
    }

    pub fn is_empty(&self) -> bool {
        self.now().is_empty()
    }

    pub fn contains(&self, api_key: &str) -> bool {
        self.now().contains_key(api_key)
    }

    pub fn first_api_key(&self) -> Option<String> {
        self.now().keys().next().cloned()
    }

    fn now(&self) -> Arc<Secrets> {
        Arc::clone(&self.secrets.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The claims of a token that one of our keys signed and that is valid at `now`.
    pub fn verify(&self, token: &str, now: SystemTime) -> Result<Claims, TokenError> {
        if token.len() > TOKEN_LEN_MAX {
            return Err(TokenError::TooLong);
        }
        check_header(token)?;
        let api_key = unverified_issuer(token)?;
        let secrets = self.now();
        let secret = secrets.get(&api_key).ok_or(TokenError::UnknownApiKey)?;
        let key = DecodingKey::from_secret(secret.as_bytes());
        let mut claims =
            jsonwebtoken::decode::<Claims>(token, &key, &signature_only()).map_err(reason)?.claims;
        check_times(&claims, seconds(now))?;
        if claims.identity.is_empty() {
            claims.identity.clone_from(&claims.token_id);
        }
        Ok(claims)
    }

    /// A token with the same grants, valid until `ttl` from `now`. It is as old as the claims say, so that what revokes
    /// a token revokes its refreshed ones; claims that are new are of `now`. `None` when the key is not ours.
    pub fn sign(&self, now: SystemTime, api_key: &str, claims: &Claims, ttl: Duration) -> Option<String> {
        let secrets = self.now();
        let secret = secrets.get(api_key)?;
        let claims = Claims {
            api_key: api_key.to_owned(),
            not_before: Some(claims.not_before.unwrap_or_else(|| seconds(now))),
            expires_at: Some(seconds(now).saturating_add(ttl.as_secs())),
            ..claims.clone()
        };
        let key = EncodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).ok()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.now().keys()).finish()
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
    #[derive(serde::Deserialize)]
    struct Head {
        alg: String,
        crit: Option<serde::de::IgnoredAny>,
    }
    let mut parts = token.split('.');
    let (Some(head), 2) = (parts.next(), parts.count()) else { return Err(TokenError::Malformed) };
    let head = URL_SAFE_NO_PAD.decode(head).map_err(|_| TokenError::Malformed)?;
    let head: Head = serde_json::from_slice(&head).map_err(|_| TokenError::Malformed)?;
    if head.alg != "HS256" {
        return Err(TokenError::UnsupportedAlgorithm);
    }
    if head.crit.is_some() {
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::auth::grants::VideoGrant;

    const NOW: u64 = 1_800_000_000;

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(NOW)
    }

    fn keys() -> Keys {
        Keys::new([("key".to_owned(), "secret".to_owned()), ("other".to_owned(), "hidden".to_owned())])
    }

    /// A token with any header and payload, signed with `secret`.
    fn forge(header: &Value, payload: &Value, secret: &str) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(payload));
        let key = EncodingKey::from_secret(secret.as_bytes());
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
        format!("{message}.{signature}")
    }

    fn payload() -> Value {
        json!({ "iss": "key", "sub": "alice", "nbf": NOW, "exp": NOW + 600, "video": { "roomJoin": true, "room": "r" } })
    }

    fn with(name: &str, value: Value) -> Value {
        let mut changed = payload();
        changed[name] = value;
        changed
    }

    fn without(name: &str) -> Value {
        let mut changed = payload();
        changed.as_object_mut().unwrap().remove(name);
        changed
    }

    #[test]
    fn each_flaw_of_a_token_is_named() {
        let header = json!({ "alg": "HS256", "typ": "JWT" });
        let signed = |payload: &Value| forge(&header, payload, "secret");
        let sound = signed(&payload());
        let (message, signature) = sound.rsplit_once('.').unwrap();
        let unsigned_part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        for (name, token, expected) in [
            ("sound", sound.clone(), Ok(())),
            ("empty", String::new(), Err(TokenError::Malformed)),
            ("no dots", "garbage".to_owned(), Err(TokenError::Malformed)),
            ("two parts", message.to_owned(), Err(TokenError::Malformed)),
            ("four parts", format!("{sound}.x"), Err(TokenError::Malformed)),
            ("not base64", "!!.!!.!!".to_owned(), Err(TokenError::Malformed)),
            ("too long", format!("{sound}{}", "A".repeat(8 * 1024)), Err(TokenError::TooLong)),
            ("signature cut", format!("{message}."), Err(TokenError::BadSignature)),
            (
                "signature of another",
                format!("{message}.{}", signature.chars().rev().collect::<String>()),
                Err(TokenError::BadSignature),
            ),
            ("other key's secret", forge(&header, &payload(), "hidden"), Err(TokenError::BadSignature)),
            ("unknown key", signed(&with("iss", json!("nobody"))), Err(TokenError::UnknownApiKey)),
            ("no issuer", signed(&without("iss")), Err(TokenError::UnknownApiKey)),
            ("issuer of another type", signed(&with("iss", json!(7))), Err(TokenError::MalformedClaims)),
            (
                "alg none",
                format!("{}.{}.", unsigned_part(&json!({"alg": "none"})), unsigned_part(&payload())),
                Err(TokenError::UnsupportedAlgorithm),
            ),
            (
                "alg HS512",
                forge(&json!({"alg": "HS512"}), &payload(), "secret"),
                Err(TokenError::UnsupportedAlgorithm),
            ),
            (
                "alg RS256",
                forge(&json!({"alg": "RS256"}), &payload(), "secret"),
                Err(TokenError::UnsupportedAlgorithm),
            ),
            (
                "critical extension",
                forge(&json!({"alg": "HS256", "crit": ["x"]}), &payload(), "secret"),
                Err(TokenError::CriticalExtensions),
            ),
            ("no expiry", signed(&without("exp")), Err(TokenError::NoExpiry)),
            ("expired within leeway", signed(&with("exp", json!(NOW - 59))), Ok(())),
            ("expired", signed(&with("exp", json!(NOW - 60))), Err(TokenError::Expired)),
            ("expiry with a fraction", signed(&with("exp", json!(NOW as f64 + 0.5))), Ok(())),
            ("expiry negative", signed(&with("exp", json!(-1))), Err(TokenError::Expired)),
            ("expiry a text", signed(&with("exp", json!("soon"))), Err(TokenError::MalformedClaims)),
            ("valid soon, within leeway", signed(&with("nbf", json!(NOW + 60))), Ok(())),
            ("not valid yet", signed(&with("nbf", json!(NOW + 61))), Err(TokenError::NotYetValid)),
            ("no start", signed(&without("nbf")), Ok(())),
            ("grant of another type", signed(&with("video", json!("all"))), Err(TokenError::MalformedClaims)),
            ("no grant", signed(&without("video")), Ok(())),
            ("null grant", signed(&with("video", json!(null))), Ok(())),
            ("unknown claim", signed(&with("favourite", json!("blue"))), Ok(())),
        ] {
            let verified = keys().verify(&token, now()).map(|_| ());
            assert_eq!(verified, expected, "{name}");
        }
    }

    #[test]
    fn the_token_id_stands_in_for_a_missing_identity() {
        let mut payload = without("sub");
        payload["jti"] = json!("bob");
        let token = forge(&json!({ "alg": "HS256" }), &payload, "secret");
        assert_eq!(keys().verify(&token, now()).unwrap().identity, "bob");
    }

    #[test]
    fn a_refreshed_token_keeps_every_grant() {
        let payload = json!({
            "iss": "key", "sub": "alice", "nbf": NOW - 60, "exp": NOW + 600, "name": "Alice", "kind": "agent",
            "kindDetails": ["cloud_agent"], "metadata": "m", "attributes": { "a": "b" }, "sha256": "s",
            "video": {
                "roomCreate": true, "roomList": true, "roomRecord": true, "roomAdmin": true, "roomJoin": true,
                "room": "r", "canPublish": false, "canSubscribe": false, "canPublishData": false,
                "canPublishSources": ["camera"], "canUpdateOwnMetadata": true, "ingressAdmin": true, "hidden": true,
                "recorder": true, "agent": true, "canSubscribeMetrics": true, "canManageAgentSession": true,
                "destinationRoom": "d"
            },
            "sip": { "admin": true, "call": true }, "agent": { "admin": true }, "inference": { "perform": true },
            "observability": { "write": true }, "roomPreset": "p",
            "roomConfig": { "name": "n", "emptyTimeout": 7, "maxParticipants": 3, "agents": [{ "agentName": "x" }] }
        });
        let token = forge(&json!({ "alg": "HS256" }), &payload, "secret");
        let claims = keys().verify(&token, now()).unwrap();
        let later = now() + Duration::from_secs(300);
        let refreshed = keys().sign(later, "key", &claims, Duration::from_secs(600)).unwrap();
        let again = keys().verify(&refreshed, later).unwrap();
        assert_eq!(again.expires_at, Some(NOW + 900));
        assert_eq!(again.not_before, Some(NOW - 60), "it is as old as it was");
        let timeless = |claims: &Claims| Claims { expires_at: None, ..claims.clone() };
        assert_eq!(timeless(&again), timeless(&claims));
        let json = serde_json::to_value(timeless(&claims)).unwrap();
        let mut expected = payload;
        expected.as_object_mut().unwrap().remove("exp");
        assert_eq!(json, expected, "the names on the wire are LiveKit's");
    }

    #[test]
    fn a_token_is_not_signed_for_a_foreign_key() {
        assert_eq!(keys().sign(now(), "nobody", &Claims::default(), Duration::from_secs(1)), None);
    }

    #[test]
    fn keys_are_replaced_under_whoever_holds_them() {
        let keys = keys();
        let claims = Claims { identity: "alice".to_owned(), ..Claims::default() };
        let old = keys.sign(now(), "key", &claims, Duration::from_secs(60)).unwrap();
        keys.replace(&Keys::new([("key".to_owned(), "rotated".to_owned())]));
        let new = keys.sign(now(), "key", &claims, Duration::from_secs(60)).unwrap();
        assert_eq!(keys.verify(&old, now()).unwrap_err(), TokenError::BadSignature);
        assert_eq!(keys.verify(&new, now()).unwrap().identity, "alice");
        assert!(!keys.contains("other"));
    }

    #[test]
    fn keys_do_not_show_their_secrets() {
        assert_eq!(format!("{:?}", keys()), r#"{"key", "other"}"#);
    }

    #[test]
    fn unset_permissions_are_those_of_livekit() {
        let grant = |json: Value| serde_json::from_value::<VideoGrant>(json).unwrap();
        for (name, json, expected) in [
            ("nothing set", json!({}), [true, true, true, false]),
            (
                "may not publish, so no data either",
                json!({ "canPublish": false }),
                [false, true, false, false],
            ),
            ("data only", json!({ "canPublish": false, "canPublishData": true }), [false, true, true, false]),
            (
                "all denied",
                json!({ "canPublish": false, "canSubscribe": false, "canPublishData": false }),
                [false; 4],
            ),
            ("metadata granted", json!({ "canUpdateOwnMetadata": true }), [true; 4]),
        ] {
            let grant = grant(json);
            let may = [
                grant.can_publish(),
                grant.can_subscribe(),
                grant.can_publish_data(),
                grant.can_update_own_metadata(),
            ];
            assert_eq!(may, expected, "{name}");
        }
    }
}
