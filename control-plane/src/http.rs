//! The HTTP surface: routes, CORS, limits.

pub mod client_address;
pub mod cors;
#[cfg(test)]
pub(crate) mod fixture;
pub mod gate;
pub mod health;
pub mod lingering;
pub mod patient;
pub mod serve;
pub mod stats;

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{ORIGIN, X_CONTENT_TYPE_OPTIONS};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use futures_util::FutureExt;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::agent;
use crate::agent::service::Agents;
use crate::api::twirp::{self, Api};
use crate::auth::bearer::{self, AuthError};
use crate::auth::grants::Claims;
use crate::auth::token::Keys;
use crate::config::live::Live;
use crate::debug;
use crate::http::gate::{Pass, Refusal};
use crate::page;
use crate::room::registry::Registry;
use crate::signal::counters::Counters;
use crate::signal::door;
use crate::signal::status::{Rejection, text};
use crate::webhook::outbox::Outbox;
use crate::whip::route;
use crate::whip::session::Sessions;

/// What requests are answered from.
#[derive(Clone, Debug)]
pub struct Site {
    pub config: Live,
    pub keys: Arc<Keys>,
    pub registry: Arc<Registry>,
    pub agents: Agents,
    pub counters: Arc<Counters>,
    pub api: Arc<Api>,
    /// The signalling connections, and the sessions that have none.
    pub connections: TaskTracker,
    pub whip: Arc<Sessions>,
    pub webhooks: Arc<Outbox>,
}

/// Who is at the other end of the connection, and its place among the connections.
#[derive(Clone, Debug)]
pub struct Peer {
    pub address: SocketAddr,
    /// The same, or somebody behind that proxy.
    pub client: IpAddr,
    pub pass: Arc<Pass>,
}

pub fn routes(site: Site) -> Router {
    let routes = Router::new()
        .route("/", any(health::root))
        .route("/healthz", any(health::live))
        .route("/readyz", any(health::ready))
        .route("/stats", any(stats::stats))
        .route("/agent", any(agent::door::connect))
        .route("/rtc", any(door::join_v0))
        .route("/rtc/v1", any(door::join_v1))
        .route("/rtc/validate", any(door::validate_v0))
        .route("/rtc/v1/validate", any(door::validate_v1))
        .route("/twirp/{service}/{method}", any(twirp::serve))
        .fallback(not_found);
    let routes = route::add_routes(routes);
    let routes =
        if site.config.now().development { debug::add_routes(page::add_routes(routes)) } else { routes };
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
    if !is_private(&path) {
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
    let peer = recognise(&site, &mut request);
    let query = request.uri().query().unwrap_or_default();
    let claims = claims(&site, request.headers(), query);
    let has_token = matches!(claims, Ok(Some(_)));
    let _place = match peer.map(|peer| place(&site, &peer, has_token)).transpose() {
        Ok(place) => place,
        Err(refusal) => {
            site.counters.connections_refused.increment();
            tracing::debug!(?refusal, path, "request refused");
            return StatusCode::TOO_MANY_REQUESTS.into_response();
        }
    };
    match claims {
        Ok(Some(claims)) => _ = request.extensions_mut().insert(claims),
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

/// Who asks; a token whose id is revoked is nobody's.
fn claims(site: &Site, headers: &HeaderMap, query: &str) -> Result<Option<Claims>, AuthError> {
    let now = SystemTime::now();
    let claims = bearer::claims(now, &site.keys, headers, query)?;
    match claims {
        Some(claims) if site.registry.revocations().concern_token(now, &claims) => Err(AuthError::Revoked),
        claims => Ok(claims),
    }
}

/// A request's place among those of strangers: none with a valid token, and its connection's unless that is a proxy's.
fn place(site: &Site, peer: &Peer, has_token: bool) -> Result<Option<Pass>, Refusal> {
    if has_token {
        peer.pass.authenticated();
        return Ok(None);
    }
    if site.config.now().trusted_proxies.is_empty() || peer.client == peer.address.ip() {
        return Ok(None);
    }
    peer.pass.behind(Instant::now(), peer.client).map(Some)
}

/// Finds out who is behind the connection's address.
fn recognise(site: &Site, request: &mut Request) -> Option<Peer> {
    let mut peer = request.extensions().get::<Peer>()?.clone();
    let config = site.config.now();
    peer.client = client_address::address(request.headers(), peer.address.ip(), &config.trusted_proxies);
    request.extensions_mut().insert(peer.clone());
    Some(peer)
}

/// As Go's server says it.
pub async fn not_found() -> Response {
    let mut response = text(StatusCode::NOT_FOUND, "404 page not found\n");
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Paths that pages of other origins may not read: a token for anybody is one of them.
fn is_private(path: &str) -> bool {
    path.starts_with("/dev/") || path.starts_with("/debug/")
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE;
    use livekit_protocol::{JoinRequest, WrappedJoinRequest};
    use prost::Message;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::auth::grants::VideoGrant;
    use crate::config::Config;
    use crate::http::fixture::keys;
    use crate::http::gate::Gate;

    /// The whole surface on a real socket; its rooms have no media plane.
    async fn start(config: Config) -> SocketAddr {
        let site = fixture::site(config, "");
        let listener = serve::bind(&["127.0.0.1".parse().unwrap()], 0).unwrap().remove(0);
        let address = listener.local_addr().unwrap();
        let routes = routes(site.clone());
        let gate = Gate::new(&site.config.now().trusted_proxies);
        tokio::spawn(serve::serve(listener, site, routes, gate, CancellationToken::new()));
        address
    }

    fn token(identity: &str, video: VideoGrant) -> String {
        let claims = Claims { identity: identity.to_owned(), video, ..Claims::default() };
        keys().sign(SystemTime::now(), "key", &claims, Duration::from_secs(60)).unwrap()
    }

    fn joining() -> VideoGrant {
        VideoGrant { room_join: true, room: "r".to_owned(), ..VideoGrant::default() }
    }

    #[derive(Debug)]
    struct Answer {
        status: u16,
        headers: String,
        body: String,
    }

    impl Answer {
        fn header(&self, name: &str) -> Option<&str> {
            self.headers.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        }
    }

    async fn send(address: SocketAddr, method: &str, path: &str, headers: &str) -> Answer {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("{method} {path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let (line, headers) = head.split_once("\r\n").unwrap_or((head, ""));
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, headers: headers.to_owned(), body: body.to_owned() }
    }

    async fn get(address: SocketAddr, path: &str, headers: &str) -> Answer {
        send(address, "GET", path, &format!("connection: close\r\n{headers}")).await
    }

    #[tokio::test]
    async fn statuses_and_texts_are_livekits() {
        let address = start(Config::default()).await;
        let good = token("alice", joining());
        let of = |grant| token("alice", grant);
        let elsewhere = of(VideoGrant { room: String::new(), ..joining() });
        let no_join = of(VideoGrant { room_join: false, ..joining() });
        let nobody = token("", joining());
        let silent = of(VideoGrant { can_publish: Some(false), ..joining() });
        let long = token(&"x".repeat(257), joining());
        let long_room = of(VideoGrant { room: "x".repeat(257), ..joining() });
        let wrap = |request: JoinRequest| {
            let wrapped = WrappedJoinRequest { join_request: request.encode_to_vec(), ..Default::default() };
            URL_SAFE.encode(wrapped.encode_to_vec())
        };
        let join_request = wrap(JoinRequest { participant_sid: "PA_1".to_owned(), ..Default::default() });
        let metadata = wrap(JoinRequest { metadata: "m".to_owned(), ..Default::default() });
        for (name, path, status, body) in [
            ("health without a media plane", "/".to_owned(), 406, "Not Ready"),
            ("health with a query", "/?x=1".to_owned(), 406, "Not Ready"),
            ("alive", "/healthz".to_owned(), 200, "OK"),
            ("ready", "/readyz".to_owned(), 503, "no media plane is attached"),
            ("nothing there", "/nothing".to_owned(), 404, "404 page not found\n"),
            ("not a WebSocket, of a worker", "/agent".to_owned(), 404, ""),
            ("not a WebSocket", "/rtc".to_owned(), 404, ""),
            ("not a WebSocket, v1", format!("/rtc/v1?access_token={good}"), 404, ""),
            ("no token", "/rtc/validate".to_owned(), 401, "no permissions to access the room"),
            (
                "garbage token",
                "/rtc/validate?access_token=garbage".to_owned(),
                401,
                "invalid authorization token",
            ),
            (
                "garbage token anywhere",
                "/?access_token=garbage".to_owned(),
                401,
                "invalid authorization token",
            ),
            ("no right to join", format!("/rtc/validate?access_token={no_join}"), 401, "permissions denied"),
            ("no identity", format!("/rtc/validate?access_token={nobody}"), 400, "identity cannot be empty"),
            (
                "long identity",
                format!("/rtc/validate?access_token={long}"),
                400,
                "participant identity length exceeds limits: max length 256",
            ),
            (
                "long room",
                format!("/rtc/validate?access_token={long_room}"),
                400,
                "room name length exceeds limits: max length 256",
            ),
            ("no room", format!("/rtc/validate?access_token={elsewhere}"), 400, "no room name"),
            ("room by parameter", format!("/rtc/validate?access_token={elsewhere}&room=r"), 200, "success"),
            ("fine", format!("/rtc/validate?access_token={good}"), 200, "success"),
            ("double slash", format!("//rtc/validate?access_token={good}"), 200, "success"),
            ("trailing slash", format!("/rtc/validate/?access_token={good}"), 404, "404 page not found\n"),
            (
                "publish without the right",
                format!("/rtc/validate?access_token={silent}&publish=x"),
                401,
                "no permissions to access the room",
            ),
            (
                "attributes without the right",
                format!("/rtc/validate?access_token={good}&attributes=eyJhIjoiYiJ9"),
                401,
                "no permissions to access the room",
            ),
            (
                "attributes that are none",
                format!("/rtc/validate?access_token={good}&attributes=!"),
                400,
                "cannot decode attributes",
            ),
            (
                "v1 without a join request",
                format!("/rtc/v1/validate?access_token={good}"),
                400,
                "join_request is required",
            ),
            ("v1 without anything", "/rtc/v1/validate".to_owned(), 400, "join_request is required"),
            (
                "v1 with a bad one",
                format!("/rtc/v1/validate?access_token={good}&join_request=!"),
                400,
                "cannot base64 decode wrapped join request",
            ),
            (
                "v1 without a token",
                format!("/rtc/v1/validate?join_request={join_request}"),
                401,
                "no permissions to access the room",
            ),
            (
                "v1 fine",
                format!("/rtc/v1/validate?access_token={good}&join_request={join_request}"),
                200,
                "success",
            ),
            (
                "v1 metadata without the right",
                format!("/rtc/v1/validate?access_token={good}&join_request={metadata}"),
                401,
                "no permissions to access the room",
            ),
            (
                "a join request on v0",
                format!("/rtc/validate?access_token={good}&join_request={join_request}"),
                200,
                "success",
            ),
        ] {
            let answer = get(address, &path, "").await;
            assert_eq!((answer.status, answer.body.as_str()), (status, body), "{name}");
            let everyone = answer.header("access-control-allow-origin") == Some("*");
            assert_eq!(everyone, path.contains("/validate?") || path.ends_with("/validate"), "{name}");
            if !body.is_empty() {
                assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"), "{name}");
            }
        }
    }

    #[tokio::test]
    async fn a_join_that_fails_is_answered_before_the_upgrade() {
        let address = start(Config::default()).await;
        let upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let good = token("alice", joining());
        for (name, path, headers, status, body) in [
            ("no token", "/rtc".to_owned(), upgrade, 401, "no permissions to access the room"),
            (
                "no media plane",
                format!("/rtc?access_token={good}"),
                upgrade,
                503,
                "no media plane is attached",
            ),
            (
                "no join request",
                format!("/rtc/v1?access_token={good}"),
                upgrade,
                400,
                "join_request is required",
            ),
            (
                "broken handshake",
                format!("/rtc?access_token={good}"),
                "connection: upgrade\r\nupgrade: websocket\r\n",
                400,
                "",
            ),
        ] {
            let answer =
                send(address, "GET", &path, &headers.replace("upgrade\r\n", "upgrade, close\r\n")).await;
            assert_eq!(answer.status, status, "{name}: {answer:?}");
            assert!(answer.body.starts_with(body), "{name}: {answer:?}");
        }
    }

    #[tokio::test]
    async fn agent_workers_register_in_either_form() {
        use futures_util::{SinkExt, StreamExt};
        use tokio_tungstenite::tungstenite::Message as Frame;
        use tokio_tungstenite::tungstenite::client::IntoClientRequest;

        let address = start(Config::default()).await;
        let connect = async |token: String| {
            let mut request = format!("ws://{address}/agent").into_client_request().unwrap();
            let header = format!("Bearer {token}").parse().unwrap();
            request.headers_mut().insert("authorization", header);
            tokio_tungstenite::connect_async(request).await
        };
        let refused = connect(token("alice", joining())).await.unwrap_err();
        let tokio_tungstenite::tungstenite::Error::Http(answer) = refused else { panic!("{refused:?}") };
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        let grant = VideoGrant { agent: true, ..VideoGrant::default() };
        let (mut worker, _) = connect(token("", grant.clone())).await.unwrap();
        worker.send(Frame::text(r#"{"register":{"type":"JT_ROOM","agentName":"a"}}"#)).await.unwrap();
        let answer = worker.next().await.unwrap().unwrap().into_text().unwrap();
        assert!(answer.starts_with(r#"{"register":{"workerId":"AW_"#), "{answer}");
        let (mut worker, _) = connect(token("", grant)).await.unwrap();
        let register = livekit_protocol::RegisterWorkerRequest::default();
        let message = Some(livekit_protocol::worker_message::Message::Register(register));
        let request = livekit_protocol::WorkerMessage { message };
        worker.send(Frame::binary(request.encode_to_vec())).await.unwrap();
        let answer = worker.next().await.unwrap().unwrap();
        assert!(answer.is_binary());
        worker.send(Frame::binary(request.encode_to_vec())).await.unwrap();
        assert!(worker.next().await.unwrap().unwrap().is_close(), "once is enough");
    }

    #[tokio::test]
    async fn clients_behind_a_trusted_proxy_have_their_own_limits() {
        let trusting = Config { trusted_proxies: vec!["127.0.0.1".parse().unwrap()], ..Config::default() };
        let address = start(trusting).await;
        let good = token("alice", joining());
        let mut answered = 0;
        loop {
            match get(address, "/nothing", "x-forwarded-for: 203.0.113.1\r\n").await.status {
                429 => break,
                status => assert_eq!(status, 404),
            }
            answered += 1;
            assert!(answered < 2_000, "fifty a second are enough");
        }
        assert!(answered >= 50, "{answered}");
        for (name, path, from, status) in [
            ("another client", "/healthz".to_owned(), "203.0.113.2", 200),
            ("with a token", format!("/rtc/validate?access_token={good}"), "203.0.113.1", 200),
        ] {
            let answer = get(address, &path, &format!("x-forwarded-for: {from}\r\n")).await;
            assert_eq!(answer.status, status, "{name}");
        }
        assert_eq!(get(address, "/healthz", "").await.status, 200, "the proxy itself");
    }

    #[tokio::test]
    async fn rooms_are_not_created_against_the_configuration() {
        let mut config = Config::default();
        config.room.auto_create = false;
        let address = start(config).await;
        let answer =
            get(address, &format!("/rtc/validate?access_token={}", token("alice", joining())), "").await;
        assert_eq!((answer.status, answer.body.as_str()), (404, "requested room does not exist"));
    }

    #[tokio::test]
    async fn any_origin_may_ask() {
        let address = start(Config::default()).await;
        let answer = get(address, "/", "origin: https://a.example\r\n").await;
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://a.example"));
        assert_eq!(answer.header("access-control-expose-headers"), Some("*"));
        assert_eq!(answer.header("vary"), Some("Origin"));
        let asked =
            "connection: close\r\norigin: https://a.example\r\naccess-control-request-method: POST\r\n";
        let answer = send(address, "OPTIONS", "/rtc/validate?access_token=garbage", asked).await;
        assert_eq!((answer.status, answer.header("access-control-max-age")), (204, Some("86400")));
    }

    #[tokio::test]
    async fn the_page_and_its_tokens_are_for_development_only() {
        let html = "accept: text/html,application/xhtml+xml\r\norigin: https://a.example\r\n";
        let production = start(Config::default()).await;
        assert_eq!(get(production, "/", html).await.body, "Not Ready");
        assert_eq!(get(production, "/dev/token?room=r&identity=a", "").await.status, 404);
        assert_eq!(get(production, "/dev/app.js", "").await.status, 404);

        let development = start(Config { development: true, ..Config::default() }).await;
        assert_eq!(get(development, "/", "accept: */*\r\n").await.body, "Not Ready");
        let page = get(development, "/", html).await;
        assert!(page.body.contains("<title>Millrace</title>"), "{page:?}");
        assert!(get(development, "/dev/app.js", "").await.body.len() > 100_000);
        assert_eq!(get(development, "/dev/token?room=r", "").await.status, 400);
        let answer = get(development, "/dev/token?room=r&identity=a", html).await;
        assert_eq!(answer.header("access-control-allow-origin"), None, "other origins get no tokens");
        let answer: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        let token = answer["token"].as_str().unwrap();
        let claims = keys().verify(token, SystemTime::now()).unwrap();
        assert_eq!((claims.identity.as_str(), claims.video.room.as_str()), ("a", "r"));
    }

    #[tokio::test]
    async fn heads_have_their_limits() {
        let address = start(Config::default()).await;
        let good = token("alice", joining());
        let padded =
            |path: &str, len: usize| format!("{path}?access_token={good}&padding={}", "x".repeat(len));
        for (name, path, status) in [
            ("/rtc takes an offer", padded("/rtc/validate", 40_000), 200),
            ("the rest does not", padded("/healthz", 20_000), 431),
            ("a little is fine", padded("/healthz", 10_000), 200),
        ] {
            assert_eq!(get(address, &path, "").await.status, status, "{name}");
        }
        let mut stream = TcpStream::connect(address).await.unwrap();
        let endless = [b'x'; 80 * 1024];
        let _ = stream.write_all(b"GET /rtc?").await;
        let _ = stream.write_all(&endless).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
}
