//! `millrace.RevocationService`: ours, not LiveKit's. Sends somebody away, and does not let them back for a while.
//!
//! JSON: `POST /twirp/millrace.RevocationService/Revoke {"room": "r", "identity": "alice", "until": 1800000000}`, or with
//! `token_id` instead of `identity`. Without a room it is for all of them, which takes `roomCreate`; otherwise it takes
//! `roomAdmin` of the room. A time that is over lifts it.

use std::time::SystemTime;

use serde::{Deserialize, Deserializer, Serialize};

use crate::api::error::{Code, Error};
use crate::api::right::{Right, Scope};
use crate::api::service::Service;
use crate::auth::revocation::{Bearer, Full, Subject};
use crate::http::Site;
use crate::room::call::{Answer, Call};

#[derive(Clone, PartialEq, Eq, prost::Message, Deserialize)]
#[serde(default)]
pub struct RevokeRequest {
    #[prost(string, tag = "1")]
    pub room: String,
    #[prost(string, tag = "2")]
    pub identity: String,
    /// `jti`
    #[prost(string, tag = "3")]
    #[serde(alias = "tokenId")]
    pub token_id: String,
    /// Seconds since 1970.
    #[prost(uint64, tag = "4")]
    #[serde(deserialize_with = "number_or_text")]
    pub until: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message, Serialize)]
pub struct RevokeResponse {
    /// How many participants were sent away.
    #[prost(uint32, tag = "1")]
    pub removed: u32,
}

#[must_use]
pub fn service() -> Service {
    Service::of("millrace", "RevocationService").method(
        "Revoke",
        Right::Revoke,
        |request: &RevokeRequest| Scope::room(&request.room),
        revoke,
    )
}

async fn revoke(site: Site, request: RevokeRequest) -> Result<RevokeResponse, Error> {
    let RevokeRequest { room, identity, token_id, until } = request;
    let bearer = match (identity.is_empty(), token_id.is_empty()) {
        (false, true) => Bearer::Identity(identity),
        (true, false) => Bearer::Token(token_id),
        _ => return Err(Error::plain(Code::InvalidArgument, "either identity or token_id is required")),
    };
    if room.len().max(bearer.name().len()) > NAME_LEN_MAX {
        return Err(Error::plain(Code::InvalidArgument, "the name is too long to be one"));
    }
    let now = SystemTime::now();
    let subject = Subject { room: room.clone(), bearer: bearer.clone() };
    site.registry.revocations().ban(now, subject.clone(), until)?;
    if !site.registry.revocations().holds(now, &subject) {
        return Ok(RevokeResponse { removed: 0 });
    }
    let rooms = if room.is_empty() { site.registry.names() } else { vec![room] };
    let mut removed = 0_u32;
    for room in rooms {
        // Nobody is in a room that is not there.
        if let Ok(Answer::Count(count)) = site.registry.call(&room, Call::RemoveBearers(bearer.clone())).await
        {
            removed = removed.saturating_add(count);
        }
    }
    Ok(RevokeResponse { removed })
}

impl From<Full> for Error {
    fn from(_: Full) -> Self {
        Self::plain(Code::ResourceExhausted, "too many revocations")
    }
}

/// 64 bits are text in the JSON of protocol buffers, and numbers in everybody else's.
fn number_or_text<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u64),
        Text(String),
    }
    match Either::deserialize(from)? {
        Either::Number(number) => Ok(number),
        Either::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

/// As long as limits let identities be by default, and then some.
const NAME_LEN_MAX: usize = 1024;
