//! The requests of agent workers to `/agent`: checked, and upgraded to a WebSocket.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::http::Site;
use crate::signal::connection;
use crate::signal::door::{Asked, BUFFER_LEN, Upgrade};
use crate::signal::sink;
use crate::signal::status::{Rejection, text};

/// LiveKit's order: not a WebSocket, no right, no upgrade (`pkg/service/agentservice.go`).
pub async fn connect(State(site): State<Site>, asked: Asked, upgrade: Upgrade) -> Response {
    if !asked.wants_websocket() {
        return StatusCode::NOT_FOUND.into_response();
    }
    let agents = site.agents.clone();
    let Some(claims) = asked.claims().filter(|claims| claims.video.agent) else {
        agents.counters().refused.increment();
        return Rejection::NO_PERMISSION.into_response();
    };
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let (sink, outgoing) = sink::channel();
    let Some(worker) = agents.connect(&claims.api_key, sink) else {
        agents.counters().refused.increment();
        return text(StatusCode::SERVICE_UNAVAILABLE, "node has too many agent workers");
    };
    upgrade
        .read_buffer_size(BUFFER_LEN)
        .write_buffer_size(BUFFER_LEN)
        .max_message_size(MESSAGE_LEN_MAX)
        .max_frame_size(MESSAGE_LEN_MAX)
        .on_upgrade(move |socket| {
            let connections = agents.connections().clone();
            connections.track_future(async move {
                connection::run(socket, worker, outgoing, agents.counters()).await;
            })
        })
}

/// An agent's metadata may be 512 KiB, and its attributes 64 KiB.
const MESSAGE_LEN_MAX: usize = 1024 * 1024;
