//! Whether this process lives, and whether it can take calls: nothing here asks anybody outside.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use crate::http::Site;
use crate::page;
use crate::signal::status::text;

/// LiveKit's health check. In development mode, a browser that asks for a page gets one.
///
/// It fails where new calls could not be had, as LiveKit's does when its node's statistics are too old, but not while
/// rooms are drained: LiveKit's goes on then, and there may be no other server for those who want into them.
pub async fn root(State(site): State<Site>, headers: HeaderMap) -> Response {
    if site.config.now().development && page::wanted(&headers) {
        return page::html();
    }
    match obstacle(&site) {
        Some(Obstacle::NoMediaPlane) => text(StatusCode::NOT_ACCEPTABLE, "Not Ready"),
        Some(Obstacle::Draining | Obstacle::MemoryLow) | None => text(StatusCode::OK, "OK"),
    }
}

/// The process answers. Whoever restarts it when it does not should ask this.
pub async fn live() -> Response {
    text(StatusCode::OK, "OK")
}

/// New calls can be taken. Whoever sends clients here should ask this.
pub async fn ready(State(site): State<Site>) -> Response {
    match obstacle(&site) {
        Some(obstacle) => text(StatusCode::SERVICE_UNAVAILABLE, obstacle.text()),
        None => text(StatusCode::OK, "OK"),
    }
}

/// Why there would be no new calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Obstacle {
    Draining,
    NoMediaPlane,
    MemoryLow,
}

impl Obstacle {
    const fn text(self) -> &'static str {
        match self {
            Self::Draining => "the server is shutting down",
            Self::NoMediaPlane => "no media plane is attached",
            Self::MemoryLow => "memory is low",
        }
    }
}

/// As `/readyz` says.
#[must_use]
pub fn is_ready(site: &Site) -> bool {
    obstacle(site).is_none()
}

fn obstacle(site: &Site) -> Option<Obstacle> {
    let attached = || site.registry.planes().all().iter().any(|plane| plane.attached().is_some());
    if !attached() {
        return Some(Obstacle::NoMediaPlane);
    }
    if site.registry.is_draining() {
        return Some(Obstacle::Draining);
    }
    site.registry.is_memory_low().then_some(Obstacle::MemoryLow)
}
