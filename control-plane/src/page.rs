//! The page at `/` in dev mode: join a room from a browser.

use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::auth::grants::{Claims, VideoGrant};
use crate::http::Site;
use crate::signal::query::Query;
use crate::signal::status::text;

/// Only for development mode: whoever asks gets a token.
pub fn add_routes(routes: Router<Site>) -> Router<Site> {
    routes.route("/dev/app.js", get(script)).route("/dev/token", get(token))
}

/// A browser asks for HTML, a health check does not.
pub fn wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|kind| kind.trim().starts_with("text/html"))
}

pub fn html() -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(SECURITY_POLICY)),
    ];
    (headers, include_str!("../web/dist/index.html")).into_response()
}

async fn script() -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8")),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, include_str!("../web/dist/app.js")).into_response()
}

/// `GET /dev/token?room=&identity=`: a token to join that room, signed with the first key.
async fn token(State(site): State<Site>, RawQuery(query): RawQuery) -> Response {
    let query = Query::parse(&query.unwrap_or_default());
    let (room, identity) = (query.text("room"), query.text("identity"));
    if room.is_empty() || identity.is_empty() {
        return text(StatusCode::BAD_REQUEST, "room and identity are required");
    }
    let claims = Claims {
        identity: identity.to_owned(),
        name: identity.to_owned(),
        video: VideoGrant {
            room_join: true,
            room: room.to_owned(),
            can_update_own_metadata: Some(true),
            ..VideoGrant::default()
        },
        ..Claims::default()
    };
    let key = site.keys.first_api_key();
    match key.and_then(|key| site.keys.sign(SystemTime::now(), &key, &claims, TOKEN_LIFE)) {
        Some(token) => axum::Json(serde_json::json!({ "token": token })).into_response(),
        None => text(StatusCode::SERVICE_UNAVAILABLE, "no API key is configured"),
    }
}

const TOKEN_LIFE: Duration = Duration::from_secs(6 * 3600);
const SECURITY_POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; connect-src *; media-src 'self' blob: mediastream:; worker-src 'self' blob:; frame-ancestors 'none'";
