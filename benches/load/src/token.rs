//! Access tokens as LiveKit's server SDKs make them.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use serde::Serialize;

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    name: &'a str,
    nbf: u64,
    exp: u64,
    video: Grants<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Grants<'a> {
    room: &'a str,
    room_join: bool,
    can_publish: bool,
    can_publish_data: bool,
    can_subscribe: bool,
}

/// A token that lets `identity` join `room`; `None` if the secret can't sign.
#[must_use]
pub fn token(key: &str, secret: &str, room: &str, identity: &str) -> Option<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    let claims = Claims {
        iss: key,
        sub: identity,
        name: identity,
        nbf: now.saturating_sub(60), // clocks differ
        exp: now + LIFETIME,
        video: Grants {
            room,
            room_join: true,
            can_publish: true,
            can_publish_data: true,
            can_subscribe: true,
        },
    };
    encode(&Header::default(), &claims, &EncodingKey::from_secret(secret.as_bytes())).ok()
}

const LIFETIME: u64 = 6 * 60 * 60; // s: longer than any run

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation, decode};

    use super::*;

    #[test]
    fn token_is_signed_with_the_secret_and_grants_the_room() {
        let token = token("key", "secret", "hall", "anna").unwrap();
        let read = |secret: &str| {
            decode::<serde_json::Value>(
                &token,
                &DecodingKey::from_secret(secret.as_bytes()),
                &Validation::default(),
            )
        };
        let claims = read("secret").unwrap().claims;
        assert_eq!(claims["iss"], "key");
        assert_eq!(claims["sub"], "anna");
        assert_eq!(claims["video"]["room"], "hall");
        assert_eq!(claims["video"]["roomJoin"], true);
        assert!(read("another").is_err());
    }
}
