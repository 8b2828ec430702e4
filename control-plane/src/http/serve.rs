//! Listeners and connections: sockets are bound, connections admitted, heads read within their limits.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http::gate::Gate;
use crate::http::lingering::Lingering;
use crate::http::patient::{Patient, Turn};
use crate::http::{Peer, Site, answer};

/// Binds every address; none means all of them, IPv6 and IPv4 with one socket where the system can.
///
/// # Errors
/// A sentence with the address.
pub fn bind(addresses: &[IpAddr], port: u16) -> Result<Vec<TcpListener>, String> {
    if addresses.is_empty() {
        let both = listen(Ipv6Addr::UNSPECIFIED.into(), port, false);
        let one = both.or_else(|error| match error.kind() {
            io::ErrorKind::AddrInUse => Err(error),
            _ => listen(Ipv4Addr::UNSPECIFIED.into(), port, false),
        });
        return one
            .map(|listener| vec![listener])
            .map_err(|error| format!("cannot listen on port {port}: {error}"));
    }
    let v4_is_separate = addresses.contains(&IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let mut listeners = Vec::new();
    for address in addresses {
        match listen(*address, port, v4_is_separate) {
            Ok(listener) => listeners.push(listener),
            // A host without IPv6 has no ::1, and the other loopback address does.
            Err(_) if *address == Ipv6Addr::LOCALHOST && !listeners.is_empty() => {}
            Err(error) => {
                return Err(format!("cannot listen on {}: {error}", SocketAddr::new(*address, port)));
            }
        }
    }
    Ok(listeners)
}

/// Serves connections until told to stop, then lets the requests in hand finish. Upgraded connections are the
/// rooms' business and live on.
pub async fn serve(listener: TcpListener, site: Site, routes: Router, gate: Gate, stop: CancellationToken) {
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => admit(stream, address, &site, &routes, &gate, &stop, &tasks),
            Err(error) => rest(&error).await,
        }
    }
    tasks.close();
    tasks.wait().await;
}

fn admit(
    stream: TcpStream,
    address: SocketAddr,
    site: &Site,
    routes: &Router,
    gate: &Gate,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) {
    match gate.admit(Instant::now(), address.ip()) {
        Ok(pass) => {
            // Signalling is small messages that wait for each other.
            let _ = stream.set_nodelay(true);
            let peer = Peer { address, client: address.ip(), pass: Arc::new(pass) };
            tasks.spawn(connection(stream, peer, site.clone(), routes.clone(), stop.clone()));
        }
        Err(refusal) => {
            site.counters.connections_refused.increment();
            tracing::debug!(%address, ?refusal, "connection refused");
        }
    }
}

async fn connection(stream: TcpStream, peer: Peer, site: Site, routes: Router, stop: CancellationToken) {
    let turn = Turn::default();
    let stream = Patient::new(Lingering::new(stream, Arc::clone(&peer.pass)), turn.clone());
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        turn.answer();
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(peer.clone());
        let answering = answer(site.clone(), routes.clone(), request);
        let turn = turn.clone();
        async move {
            let answered = answering.await;
            // An upgraded connection has its own rules.
            if answered.as_ref().is_ok_and(|response| response.status() != StatusCode::SWITCHING_PROTOCOLS) {
                turn.listen();
            }
            answered
        }
    });
    let connection = http1::Builder::new()
        // `Patient` has the deadlines; this one would count the time between requests as part of a head.
        .header_read_timeout(None)
        .max_buf_size(HEAD_LEN_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "connection ended");
    }
}

/// Out of file descriptors, most likely: accepting at once again would only burn the core.
async fn rest(error: &io::Error) {
    tracing::warn!(%error, "could not accept a connection");
    sleep(Duration::from_millis(100)).await;
}

fn listen(address: IpAddr, port: u16, v6_only: bool) -> io::Result<TcpListener> {
    let address = SocketAddr::new(address, port);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(v6_only || !address.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Also the most that hyper buffers of a request's head.
pub const HEAD_LEN_MAX: usize = 64 * 1024;
const BACKLOG: i32 = 1024;
