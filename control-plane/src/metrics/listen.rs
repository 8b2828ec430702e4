//! The port that metrics are scraped from: any path, as LiveKit has it, and a password if one is configured.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use subtle::ConstantTimeEq;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::Prometheus;
use crate::http::{Site, serve};
use crate::metrics::render;

/// Binds the port, on the addresses that clients come to; none if none is configured.
///
/// # Errors
/// A sentence with the port.
pub fn bind(prometheus: &Prometheus, addresses: &[IpAddr]) -> Result<Vec<TcpListener>, String> {
    match prometheus.port {
        0 => Ok(Vec::new()),
        port => serve::bind(addresses, port).map_err(|error| format!("prometheus: {error}")),
    }
}

/// Answers scrapes until told to stop.
pub async fn serve(listener: TcpListener, site: Site, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => {
                    let answering = connection(stream, site.clone());
                    tokio::spawn(async move {
                        // Whoever keeps a connection open for longer than that connects again.
                        let _ = timeout(CONNECTION_MAX, answering).await;
                        drop(place);
                    });
                }
                Err(_) => {
                    site.counters.scrapes_refused.increment();
                    tracing::debug!(%address, "too many scrapes at once");
                }
            },
            Err(error) => {
                tracing::warn!(%error, "could not accept a scrape");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, site: Site) {
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let site = site.clone();
        async move { Ok::<Response<Body>, Infallible>(answer(&site, request.headers()).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_buf_size(HEAD_LEN_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::trace!(%error, "scrape ended");
    }
}

async fn answer(site: &Site, headers: &HeaderMap) -> Response {
    if !is_allowed(&site.config.now().prometheus, headers) {
        let challenge = HeaderValue::from_static(r#"Basic realm="metrics", charset="UTF-8""#);
        return (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, challenge)]).into_response();
    }
    match render(site).await {
        Ok(text) => ([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Basic authentication (RFC 7617), if there is a password.
fn is_allowed(prometheus: &Prometheus, headers: &HeaderMap) -> bool {
    if prometheus.username.is_empty() && prometheus.password.is_empty() {
        return true;
    }
    let told = headers.get(AUTHORIZATION).and_then(|value| {
        let (scheme, credentials) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(credentials.trim()).ok())?
    });
    let right = format!("{}:{}", prometheus.username, prometheus.password);
    told.is_some_and(|told| told.ct_eq(right.as_bytes()).into())
}

/// Scrapers are few; each has one connection.
const CONNECTIONS_MAX: usize = 16;
const CONNECTION_MAX: Duration = Duration::from_secs(600);
const HEAD_MAX: Duration = Duration::from_secs(10);
const HEAD_LEN_MAX: usize = 16 * 1024;
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_asked_for_if_there_is_one() {
        let open = Prometheus::default();
        let closed = Prometheus { port: 1, username: "scraper".into(), password: "pass:word".into() };
        let right = format!("Basic {}", STANDARD.encode("scraper:pass:word"));
        let wrong = format!("Basic {}", STANDARD.encode("scraper:pass"));
        for (name, prometheus, header, allowed) in [
            ("nothing configured", &open, None, true),
            ("nothing said", &closed, None, false),
            ("right", &closed, Some(right.as_str()), true),
            ("another case", &closed, Some(&*right.replace("Basic", "bAsIc")), true),
            ("wrong", &closed, Some(wrong.as_str()), false),
            ("another scheme", &closed, Some("Bearer abc"), false),
            ("not base64", &closed, Some("Basic ***"), false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(header) = header {
                headers.insert(AUTHORIZATION, header.parse().unwrap());
            }
            assert_eq!(is_allowed(prometheus, &headers), allowed, "{name}");
        }
    }
}
