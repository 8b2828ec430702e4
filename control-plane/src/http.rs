//! The HTTP surface: routes, CORS, limits.

pub mod cors;
pub mod gate;
pub mod serve;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{ORIGIN, X_CONTENT_TYPE_OPTIONS};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use futures_util::FutureExt;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::auth::bearer;
use crate::auth::token::Keys;
use crate::config::Config;
use crate::http::gate::Pass;
use crate::page;
use crate::room::registry::Registry;
use crate::signal::counters::Counters;
use crate::signal::door;
use crate::signal::status::{Rejection, text};

/// What requests are answered from.
#[derive(Clone, Debug)]
pub struct Site {
    pub config: Arc<Config>,
    pub keys: Arc<Keys>,
    pub registry: Arc<Registry>,
    pub counters: Arc<Counters>,
    /// The signalling connections.
    pub connections: TaskTracker,
}

/// Who is at the other end of the connection, and its place among the connections.
#[derive(Clone, Debug)]
pub struct Peer {
    pub address: SocketAddr,
    pub pass: Arc<Pass>,
}

pub fn routes(site: Site) -> Router {
    let routes = Router::new()
        .route("/", any(health))
        .route("/rtc", any(door::join_v0))
        .route("/rtc/v1", any(door::join_v1))
        .route("/rtc/validate", any(door::validate_v0))
        .route("/rtc/v1/validate", any(door::validate_v1))
        .fallback(not_found);
    let routes = if site.config.development { page::add_routes(routes) } else { routes };
    routes.with_state(site)
}

/// Answers one request: what LiveKit does in middleware, in its order, then the route.
pub async fn answer(site: Site, routes: Router, request: Request) -> Result<Response, Infallible> {
    let origin = request.headers().get(ORIGIN).cloned();
    if let Some(response) = cors::preflight(request.method(), request.headers()) {
        return Ok(response);
    }
    let path = path_without_double_slash(request.uri());
    let answered = AssertUnwindSafe(admit_and_route(site, routes, request, &path)).catch_unwind().await;
    let mut response = answered.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response());
    if !page::is_private(&path) {
        cors::allow(origin, &mut response);
    }
    if matches!(path.as_str(), "/rtc/validate" | "/rtc/v1/validate") {
        cors::allow_all(&mut response);
    }
    Ok(response)
}

async fn admit_and_route(site: Site, routes: Router, mut request: Request, path: &str) -> Response {
    if head_len(&request) > head_len_max(path) {
        return StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE.into_response();
    }
    if path != request.uri().path()
        && let Some(uri) = with_path(request.uri(), path)
    {
        *request.uri_mut() = uri;
    }
    let query = request.uri().query().unwrap_or_default();
    match bearer::claims(SystemTime::now(), &site.keys, request.headers(), query) {
        Ok(Some(claims)) => {
            if let Some(peer) = request.extensions().get::<Peer>() {
                peer.pass.authenticated();
            }
            request.extensions_mut().insert(claims);
        }
        Ok(None) => {}
        Err(error) => {
            tracing::debug!(?error, path, "request refused");
            return Rejection::unauthorized(error.text()).into_response();
        }
    }
    match routes.oneshot(request).await {
        Ok(response) => response,
    }
}

/// LiveKit's health check; in development mode, a browser that asks for a page gets one.
async fn health(State(site): State<Site>, headers: HeaderMap) -> Response {
    if site.config.development && page::wanted(&headers) {
        return page::html();
    }
    text(StatusCode::OK, "OK")
}

async fn not_found() -> Response {
    let mut response = text(StatusCode::NOT_FOUND, "404 page not found\n");
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Clients that join `wss://host/` and `/rtc` with a slash too many are common.
fn path_without_double_slash(uri: &Uri) -> String {
    let path = uri.path();
    path.strip_prefix('/').filter(|rest| rest.starts_with('/')).unwrap_or(path).to_owned()
}

fn with_path(uri: &Uri, path: &str) -> Option<Uri> {
    let mut parts = uri.clone().into_parts();
    let path_and_query = match uri.query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    parts.path_and_query = Some(path_and_query.ok()?);
    Uri::from_parts(parts).ok()
}

fn head_len(request: &Request<Body>) -> usize {
    let line = request.uri().path().len() + request.uri().query().map_or(0, str::len);
    request.headers().iter().fold(line, |len, (name, value)| len + name.as_str().len() + value.len() + 4)
}

/// `/rtc/v1` carries a whole offer in its query.
fn head_len_max(path: &str) -> usize {
    if path.starts_with("/rtc") || path == "/agent" { serve::HEAD_LEN_MAX } else { 16 * 1024 }
}
