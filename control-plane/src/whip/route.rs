//! `/whip/v1` and `/whep/v1`: an offer becomes a session, which is then patched or deleted.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::header::{ALLOW, CONTENT_TYPE, ETAG, IF_MATCH, LINK, LOCATION, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use livekit_protocol::{DisconnectReason, IceServer};

use crate::auth::grants::Claims;
use crate::http::{Peer, Site};
use crate::room::join::Join;
use crate::signal::arrival::{self, OneShot};
use crate::signal::door;
use crate::signal::query::Query;
use crate::signal::sink;
use crate::signal::status::Rejection;
use crate::whip::fragment::Credentials;
use crate::whip::session::{Denied, Sessions, Welcome};
use crate::whip::tracks;

/// Which way media goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// WHIP: the client publishes.
    In,
    /// WHEP: the client plays what is published.
    Out,
}

pub fn add_routes(routes: Router<Site>) -> Router<Site> {
    routes
        .route("/whip/v1", any(|State(site), request| endpoint(site, Way::In, request)))
        .route("/whep/v1", any(|State(site), request| endpoint(site, Way::Out, request)))
        .route("/whip/v1/{id}", any(resource))
        .route("/whep/v1/{id}", any(resource))
}

async fn endpoint(site: Site, way: Way, request: Request) -> Response {
    if request.method() == Method::POST {
        let counters = Arc::clone(&site.counters);
        return begin(site, way, request).await.unwrap_or_else(|refusal| {
            counters.refused.increment();
            refusal.into_response()
        });
    }
    if request.method() == Method::GET || request.method() == Method::OPTIONS {
        return (StatusCode::NO_CONTENT, [(ACCEPT_POST, SDP)]).into_response();
    }
    (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, HeaderValue::from_static("OPTIONS, GET, POST"))])
        .into_response()
}

/// An offer: its client joins the room, and gets the answer.
async fn begin(site: Site, way: Way, request: Request) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let claims = parts.extensions.get::<Claims>().cloned().ok_or(Rejection::NO_PERMISSION)?;
    may(way, &claims)?;
    expect_type(&parts.headers, "application/sdp")?;
    let offer = text(body).await?;
    let description = sdp::session::Session::parse(&offer)
        .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, format!("offer: {error}")))?;
    let remote_address =
        parts.extensions.get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.client);
    let tracks = if way == Way::In { tracks::announced(&description) } else { Vec::new() };
    if way == Way::In && tracks.is_empty() {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "the offer sends nothing"));
    }
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let one_shot = OneShot { offer: offer.clone(), tracks, subscribes: way == Way::Out };
    let arrival = arrival::one_shot(&query, claims.clone(), &parts.headers, remote_address, one_shot)?;
    let room = arrival.room.clone();
    let (sink, mut outgoing) = sink::channel();
    let participant = door::enter(&site, Join { arrival, sink }).await?;
    let welcome = Sessions::welcome(&mut outgoing).await.map_err(Refusal::from)?;
    let nothing = way == Way::Out && welcome.sends == 0;
    let session = site.whip.keep(&welcome, &claims, room, offer, participant, outgoing);
    site.connections.spawn(site.connections.track_future(session));
    if nothing {
        if let Some(session) = site.whip.find(&welcome.id, &claims) {
            session.leave().await;
        }
        return Err(Refusal::new(StatusCode::CONFLICT, "nothing is published that this client could play"));
    }
    Ok(created(way, welcome))
}

fn may(way: Way, claims: &Claims) -> Result<(), Rejection> {
    let grant = &claims.video;
    let may = match way {
        Way::In => grant.can_publish(),
        Way::Out => grant.can_subscribe(),
    };
    if !grant.room_join {
        Err(Rejection::PERMISSIONS_DENIED)
    } else if may {
        Ok(())
    } else {
        Err(Rejection::NO_PERMISSION)
    }
}

fn created(way: Way, welcome: Welcome) -> Response {
    let path = if way == Way::In { "whip" } else { "whep" };
    let mut response = (StatusCode::CREATED, [(CONTENT_TYPE, SDP)], welcome.answer).into_response();
    let headers = response.headers_mut();
    headers.insert(ACCEPT_PATCH, HeaderValue::from_static(FRAGMENT));
    insert(headers, LOCATION, &format!("/{path}/v1/{}", welcome.id));
    insert(headers, ETAG, &quoted(&welcome.etag));
    for link in welcome.ice_servers.iter().flat_map(links) {
        if let Ok(link) = HeaderValue::try_from(link) {
            headers.append(LINK, link);
        }
    }
    response
}

/// RFC 9725 §4.6: one link for each address of an ICE server.
fn links(server: &IceServer) -> impl Iterator<Item = String> {
    server.urls.iter().map(|url| {
        let mut link = format!("<{url}>; rel=\"ice-server\"");
        if !server.username.is_empty() {
            link.push_str(&format!(
                "; username=\"{}\"; credential=\"{}\"",
                server.username, server.credential
            ));
            link.push_str("; credential-type=\"password\"");
        }
        link
    })
}

async fn resource(State(site): State<Site>, Path(id): Path<String>, request: Request) -> Response {
    let counters = Arc::clone(&site.counters);
    change(&site, &id, request).await.unwrap_or_else(|refusal| {
        counters.refused.increment();
        refusal.into_response()
    })
}

async fn change(site: &Site, id: &str, request: Request) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let claims = parts.extensions.get::<Claims>().ok_or(Rejection::NO_PERMISSION)?;
    let session = site
        .whip
        .find(id, claims)
        .filter(|session| !site.registry.revocations().concern(SystemTime::now(), session.room(), claims));
    let session = session.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "no such session"))?;
    match parts.method {
        Method::PATCH => patch(&session, &parts.headers, body).await,
        Method::DELETE => {
            session.leave().await;
            Ok(StatusCode::OK.into_response())
        }
        _ => {
            let allow = [(ALLOW, HeaderValue::from_static("PATCH, DELETE"))];
            Ok((StatusCode::METHOD_NOT_ALLOWED, allow).into_response())
        }
    }
}

/// RFC 9725 §4.3: candidates, or with `If-Match: *` an ICE restart.
async fn patch(
    session: &crate::whip::session::Session,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    expect_type(headers, FRAGMENT)?;
    let wanted = headers.get(IF_MATCH).and_then(|value| value.to_str().ok());
    let wanted =
        wanted.ok_or_else(|| Refusal::new(StatusCode::PRECONDITION_REQUIRED, "If-Match is required"))?;
    let fragment = text(body).await?;
    if wanted != "*" {
        // ICE-lite sends checks to nobody, so it has no use for the client's candidates.
        return match session.has_tag(wanted.trim_matches('"')).await {
            Some(true) => Ok(StatusCode::NO_CONTENT.into_response()),
            Some(false) => {
                Err(Refusal::new(StatusCode::PRECONDITION_FAILED, "another ICE session is in force"))
            }
            None => Err(Refusal::new(StatusCode::NOT_FOUND, "no such session")),
        };
    }
    let credentials = Credentials::parse(&fragment)
        .ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, "the fragment has no ICE credentials"))?;
    let restarted = session
        .restart(credentials)
        .await
        .ok_or_else(|| Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "ICE cannot be restarted"))?;
    let mut response = (StatusCode::OK, [(CONTENT_TYPE, FRAGMENT)], restarted.fragment).into_response();
    insert(response.headers_mut(), ETAG, &quoted(&restarted.etag));
    Ok(response)
}

fn expect_type(headers: &HeaderMap, expected: &'static str) -> Result<(), Refusal> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = given.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("content type must be {expected}")))
}

async fn text(body: Body) -> Result<String, Refusal> {
    let bytes = to_bytes(body, BODY_LEN_MAX)
        .await
        .map_err(|_| Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too long a body"))?;
    let text = String::from_utf8(bytes.into())
        .map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "the body is no text"))?;
    if text.is_empty() { Err(Refusal::new(StatusCode::BAD_REQUEST, "the body is empty")) } else { Ok(text) }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

/// What went wrong, worded as LiveKit words it: JSON, labelled as a session description.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refusal {
    status: StatusCode,
    text: String,
}

impl Refusal {
    fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        Self::new(rejection.status, rejection.text)
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Offer => Self::new(StatusCode::BAD_REQUEST, "the offer cannot be answered"),
            Denied::Closed(DisconnectReason::DuplicateIdentity) => {
                Self::new(StatusCode::CONFLICT, "somebody else joined with this identity")
            }
            Denied::Closed(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "the room closed"),
            Denied::Silent => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the room did not answer"),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        // Strangers cannot fill the log.
        if matches!(self.status, StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND) {
            tracing::debug!(status = self.status.as_u16(), text = self.text, "WHIP or WHEP refused");
        } else {
            tracing::info!(status = self.status.as_u16(), text = self.text, "WHIP or WHEP refused");
        }
        let body = serde_json::json!({ "error": self.text }).to_string();
        let mut response = (self.status, [(CONTENT_TYPE, SDP)], body).into_response();
        if matches!(self.status, StatusCode::CONFLICT | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response
    }
}

const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
const BODY_LEN_MAX: usize = 256 * 1024;
