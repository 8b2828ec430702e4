//! Twirp over HTTP: from a request to a method of a service, and back.
//!
//! Statuses and texts are those of Twirp's generated Go servers, version 7 of the protocol, which clients match on.
//! <https://twitchtv.github.io/twirp/docs/spec_v7.html>

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

use crate::api;
use crate::api::error::{Code, Error};
use crate::api::service::{self, Encoding, Service};
use crate::api::tally::Tally;
use crate::auth::grants::Claims;
use crate::http::{self, Site};

/// `POST /twirp/livekit.<Service>/<Method>`
pub async fn serve(
    State(site): State<Site>,
    Path((service, method)): Path<(String, String)>,
    request: Request,
) -> Response {
    let Some(service) = site.api.services.iter().find(|known| known.is(&service)) else {
        return http::not_found().await;
    };
    let start = Instant::now();
    let found = service.find(&method);
    let answered = match route(found, &request) {
        Ok((method, encoding)) => answer(&site, method, encoding, request).await,
        Err(error) => Err(error),
    };
    let status = answered.as_ref().map_or_else(|error| error.code.status(), |_| StatusCode::OK);
    let code = answered.as_ref().err().map(|error| error.code);
    // Only names that we gave: others would be labels without end.
    let (service, method) = (service.name, found.map_or("", |method| method.name));
    site.api.tally.count(service, method, code, start.elapsed());
    let took_ms = start.elapsed().as_millis();
    match code {
        // Strangers cannot fill the log.
        Some(Code::Unauthenticated) => tracing::debug!(service, method, "call denied"),
        Some(code) => tracing::info!(service, method, code = code.name(), took_ms, "call refused"),
        None => tracing::info!(service, method, took_ms, "call"),
    }
    match answered {
        Ok((encoding, body)) => respond(status, encoding.content_type(), body),
        Err(error) => error.into_response(),
    }
}

/// What is wrong with the way a request comes, in Twirp's order.
fn route<'a>(
    found: Option<&'a service::Method>,
    request: &Request,
) -> Result<(&'a service::Method, Encoding), Error> {
    let (verb, path) = (request.method().as_str(), request.uri().path());
    let bad = |text: String| Error::bad_route(text, verb, path);
    if request.method() != Method::POST {
        return Err(bad(format!("unsupported method {verb:?} (only POST is allowed)")));
    }
    let method = found.ok_or_else(|| bad(format!("no handler for path {path:?}")))?;
    let content_type = content_type(request.headers());
    let encoding = Encoding::of(content_type)
        .ok_or_else(|| bad(format!("unexpected Content-Type: {content_type:?}")))?;
    Ok((method, encoding))
}

async fn answer(
    site: &Site,
    method: &service::Method,
    encoding: Encoding,
    mut request: Request,
) -> Result<(Encoding, Bytes), Error> {
    // Before the body is read: strangers cannot make us buffer anything.
    let claims = request.extensions_mut().remove::<Claims>();
    let claims = claims.filter(|claims| method.right.is_granted(claims)).ok_or(Error::PERMISSIONS_DENIED)?;
    let body = timeout(BODY_MAX, body(request)).await;
    let body =
        body.map_err(|_| Error::plain(Code::DeadlineExceeded, "failed to read request: deadline exceeded"))??;
    let answer = timeout(ANSWER_MAX, method.answer(site.clone(), Arc::new(claims), encoding, body)).await;
    let answer = answer.map_err(|_| Error::wrapped(Code::DeadlineExceeded, "request timed out"))??;
    Ok((encoding, answer))
}

async fn body(request: Request) -> Result<Bytes, Error> {
    let read = Limited::new(request.into_body(), BODY_LEN_MAX).collect().await;
    match read {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Error::plain(Code::InvalidArgument, TOO_LARGE)),
        Err(_) => Err(Error::plain(Code::Malformed, "failed to read request body")),
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        respond(self.code.status(), Encoding::Json.content_type(), body.into())
    }
}

fn respond(status: StatusCode, content_type: &'static str, body: Bytes) -> Response {
    let length = HeaderValue::from(body.len());
    let mut response = (status, Body::from(body)).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CONTENT_LENGTH, length);
    response
}

fn content_type(headers: &HeaderMap) -> &str {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// What the API is answered from.
#[derive(Debug)]
pub struct Api {
    pub services: Vec<Service>,
    pub tally: Tally,
}

impl Default for Api {
    fn default() -> Self {
        Self { services: api::services(), tally: Tally::default() }
    }
}

/// Metadata may be 512 KiB.
pub const BODY_LEN_MAX: usize = 1024 * 1024;
const TOO_LARGE: &str = "the request is larger than 1048576 bytes";
const BODY_MAX: Duration = Duration::from_secs(10);
/// Longer than a remote procedure call may take.
const ANSWER_MAX: Duration = Duration::from_secs(120);
