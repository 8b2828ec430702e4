//! The requests to join: checked, answered by the room, and only then upgraded to a WebSocket.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{FromRequestParts, State};
use axum::http::header::{CONNECTION, UPGRADE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;
use tracing::Instrument;

use crate::auth::grants::Claims;
use crate::http::{Peer, Site};
use crate::room::join::{Arrival, Join, JoinError, ParticipantHandle};
use crate::signal::arrival::{Path, Strictness, arrival};
use crate::signal::connection;
use crate::signal::query::Query;
use crate::signal::sink;
use crate::signal::status::{Rejection, text};

pub type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

pub async fn join_v0(State(site): State<Site>, asked: Asked, upgrade: Upgrade) -> Response {
    join(site, Path::V0, asked, upgrade).await
}

pub async fn join_v1(State(site): State<Site>, asked: Asked, upgrade: Upgrade) -> Response {
    join(site, Path::V1, asked, upgrade).await
}

/// The checks of a join, for a client whose WebSocket was refused and who cannot see why.
pub async fn validate_v0(State(site): State<Site>, asked: Asked) -> Response {
    validate(site, Path::V0, asked).await
}

pub async fn validate_v1(State(site): State<Site>, asked: Asked) -> Response {
    validate(site, Path::V1, asked).await
}

/// What a request says, apart from its path.
#[derive(Debug)]
pub struct Asked {
    query: Query,
    claims: Option<Claims>,
    headers: HeaderMap,
    peer: Option<Peer>,
}

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self {
            query: Query::parse(parts.uri.query().unwrap_or_default()),
            claims: parts.extensions.remove::<Claims>(),
            headers: parts.headers.clone(),
            peer: parts.extensions.get::<Peer>().cloned(),
        })
    }
}

impl Asked {
    fn arrival(self, path: Path, strictness: Strictness) -> Result<Arrival, Rejection> {
        let remote_address = self.peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.client);
        arrival(path, strictness, &self.query, self.claims, &self.headers, remote_address)
    }

    /// What every line of its connection's log is about.
    fn span(&self) -> tracing::Span {
        let claims = self.claims.as_ref();
        let participant = claims.map_or("", |claims| claims.identity.as_str());
        let room = claims.map_or("", |claims| claims.video.room.as_str());
        tracing::info_span!("connection", room, participant)
    }

    /// Absent without a token.
    #[must_use]
    pub fn claims(&self) -> Option<&Claims> {
        self.claims.as_ref()
    }

    #[must_use]
    pub fn wants_websocket(&self) -> bool {
        self.header_has(&CONNECTION, "upgrade") && self.header_has(&UPGRADE, "websocket")
    }

    fn header_has(&self, name: &HeaderName, token: &str) -> bool {
        let values = self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(token))
    }
}

async fn join(site: Site, path: Path, asked: Asked, upgrade: Upgrade) -> Response {
    if !asked.wants_websocket() {
        return StatusCode::NOT_FOUND.into_response();
    }
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let (sink, outgoing) = sink::channel();
    let span = asked.span();
    let arrival = asked.arrival(path, Strictness::Lenient);
    let entered = match arrival {
        Ok(arrival) => enter(&site, Join { arrival, sink }).await,
        Err(rejection) => Err(rejection),
    };
    let participant = match entered {
        Ok(participant) => participant,
        Err(rejection) => return refuse(&site, rejection),
    };
    upgrade
        .read_buffer_size(BUFFER_LEN)
        .write_buffer_size(BUFFER_LEN)
        .max_message_size(MESSAGE_LEN_MAX)
        .max_frame_size(MESSAGE_LEN_MAX)
        .on_upgrade(move |socket| {
            let connections = site.connections.clone();
            let counters = Arc::clone(&site.counters);
            let running = async move { connection::run(socket, participant, outgoing, &counters).await };
            connections.track_future(running.instrument(span))
        })
}

/// Waits for the room's first response. The room answers in a task of its own, so that a client that hangs up
/// meanwhile cannot leave it half joined: a handle that nobody takes reports the disconnection.
pub async fn enter(site: &Site, join: Join) -> Result<ParticipantHandle, Rejection> {
    let registry = Arc::clone(&site.registry);
    let joining = tokio::spawn(async move { Ok(registry.join(join).await?.participant) });
    let joined: Result<ParticipantHandle, JoinError> = match timeout(FIRST_RESPONSE_MAX, joining).await {
        Ok(Ok(joined)) => joined,
        Ok(Err(_)) => Err(JoinError::Internal("could not join")),
        Err(_) => Err(JoinError::Internal("timed out while waiting for signal response")),
    };
    joined.map_err(|error| Rejection::of_join(&error, &site.config.now().limit))
}

async fn validate(site: Site, path: Path, asked: Asked) -> Response {
    let arrival = match asked.arrival(path, Strictness::Strict) {
        Ok(arrival) => arrival,
        Err(rejection) => return rejection.into_response(),
    };
    match site.registry.validate(&arrival).await {
        Ok(()) => text(StatusCode::OK, "success"),
        Err(error) => Rejection::of_join(&error, &site.config.now().limit).into_response(),
    }
}

fn refuse(site: &Site, rejection: Rejection) -> Response {
    site.counters.refused.increment();
    tracing::info!(status = rejection.status.as_u16(), text = %rejection.text, "join refused");
    rejection.into_response()
}

/// The library's default is 128 KiB each way, for every connection.
pub const BUFFER_LEN: usize = 4 * 1024;
/// Metadata may be 512 KiB, and `sync_state` holds two session descriptions.
const MESSAGE_LEN_MAX: usize = 2 * 1024 * 1024;
const FIRST_RESPONSE_MAX: Duration = Duration::from_secs(9);
