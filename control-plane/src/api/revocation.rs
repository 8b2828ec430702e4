//! `millrace.RevocationService`: ours, not LiveKit's. Sends somebody away, and does not let them back for a while.
//!
//! JSON: `POST /twirp/millrace.RevocationService/Revoke {"room": "r", "identity": "alice", "until": 1800000000}`, or with
//! `token_id` instead of `identity`. Without a room it is for all of them, which takes `roomCreate`; otherwise it takes
//! `roomAdmin` of the room. A time that is over lifts it, as 0 does.

use std::sync::Arc;
use std::time::SystemTime;

use futures_util::{StreamExt, stream};
use serde::{Deserialize, Deserializer, Serialize};

use crate::api::error::{Code, Error};
use crate::api::right::{Right, Scope};
use crate::api::service::Service;
use crate::auth::revocation::{Bearer, RevocationError, Subject};
use crate::http::Site;
use crate::room::call::{Answer, Call};
use crate::room::registry::Registry;

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
    /// Seconds since 1970; 0 is said, and not left out, to lift it.
    #[prost(uint64, optional, tag = "4")]
    #[serde(deserialize_with = "number_or_text")]
    pub until: Option<u64>,
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
    let Some(until) = until else {
        return Err(Error::plain(Code::InvalidArgument, "until is required"));
    };
    let now = SystemTime::now();
    let subject = Subject { room: room.clone(), bearer: bearer.clone() };
    // Before anybody is sent away, so that nobody comes back in between; and who is there goes, kept or not.
    let kept = site.registry.revocations().ban(now, subject.clone(), until);
    if kept.is_ok() && !site.registry.revocations().holds(now, &subject) {
        return Ok(RevokeResponse { removed: 0 });
    }
    let rooms = if room.is_empty() { site.registry.names() } else { vec![room] };
    // Its own task: a caller who hangs up does not stop it halfway.
    let removing = tokio::spawn(remove(Arc::clone(&site.registry), rooms, bearer));
    let removed =
        removing.await.map_err(|_| Error::wrapped(Code::Internal, "operation cannot be completed"))?;
    kept?;
    Ok(RevokeResponse { removed })
}

/// From how many stays the bearer was sent away.
async fn remove(registry: Arc<Registry>, rooms: Vec<String>, bearer: Bearer) -> u32 {
    let asked = stream::iter(rooms).map(|room| {
        let (registry, call) = (Arc::clone(&registry), Call::RemoveBearers(bearer.clone()));
        async move {
            match registry.call(&room, call).await {
                Ok(Answer::Count(count)) => count,
                // Nobody is in a room that is not there.
                _ => 0,
            }
        }
    });
    asked.buffer_unordered(ASKED_AT_ONCE).fold(0, async |sum: u32, count| sum.saturating_add(count)).await
}

impl From<RevocationError> for Error {
    fn from(error: RevocationError) -> Self {
        match error {
            RevocationError::Full => Self::plain(Code::ResourceExhausted, "too many revocations"),
            RevocationError::NameTooLong => {
                Self::plain(Code::InvalidArgument, "the name is too long to be one")
            }
        }
    }
}

/// 64 bits are text in the JSON of protocol buffers, and numbers in everybody else's. Null is as left out.
fn number_or_text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u64),
        Text(String),
    }
    match Option::deserialize(from)? {
        Some(Either::Number(number)) => Ok(Some(number)),
        Some(Either::Text(text)) => text.parse().map(Some).map_err(serde::de::Error::custom),
        None => Ok(None),
    }
}

/// Rooms, for a ban in all of them.
const ASKED_AT_ONCE: usize = 64;
