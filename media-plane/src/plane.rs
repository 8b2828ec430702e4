//! The media plane as a whole: starts its threads, serves control planes, and stops in order.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;
use std::time::Duration;

use driver::clock::Clock;
use driver::doorbell::Doorbell;
use driver::pin::allowed_cores;
use proto::media::v1::{Candidate, Protocol};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::task;
use tokio::time::timeout;
use tracing_appender::non_blocking::ErrorCounter;
use units::handle::WorkerIndex;

use crate::cli::listen::Listen;
use crate::cli::{Settings, addresses};
use crate::dtls::certificate::Certificate;
use crate::grpc::Service;
use crate::grpc::hub::{Hub, Identity};
use crate::grpc::links::{HelperLink, WorkerLink};
use crate::grpc::listen::Listener;
use crate::grpc::request::Request;
use crate::grpc::token::Token;
use crate::helper;
use crate::helper::input::Input;
use crate::mailbox::helper::HelperSink;
use crate::mailbox::{TaskBell, ring};
use crate::resource::{Limits, Table};
use crate::worker::mail::{HELPER_COMMANDS, ORDERS, REPORTS};
use crate::worker::{self, Setup};

#[derive(Debug)]
pub struct Plane {
    listener: Listener,
    service: Service,
    token: Token,
    hub: mpsc::Sender<Request>,
    hub_task: task::JoinHandle<(Vec<WorkerLink>, HelperLink)>,
    workers: Vec<JoinHandle<()>>,
    helper: JoinHandle<()>,
}

#[derive(Debug, Error)]
pub enum StartError {
    #[error("cannot listen on {0}: {1}")]
    Listen(Listen, io::Error),
    #[error("cannot make a certificate: {0}")]
    Certificate(rcgen::Error),
    #[error("cannot start the helper thread: {0}")]
    Helper(io::Error),
    #[error("cannot open a doorbell: {0}")]
    Doorbell(io::Error),
    #[error(transparent)]
    Worker(#[from] worker::StartError),
}

impl Plane {
    /// Starts every thread. Nobody is served before [`Self::serve`]. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn start(settings: &Settings, log_lines_dropped: Option<ErrorCounter>) -> Result<Self, StartError> {
        // First, so that a second media plane on the same socket ends before it takes ports.
        let listener = Listener::bind(&settings.listen)
            .map_err(|error| StartError::Listen(settings.listen.clone(), error))?;
        let certificate = Certificate::generate().map_err(StartError::Certificate)?;
        let certificate_sha256 = certificate.fingerprint().value().to_vec();
        let bell = TaskBell::default();

        let mut links = Vec::new();
        let mut to_workers = Vec::new();
        let mut ends = Vec::new();
        for _ in 0..settings.workers {
            let doorbell = Doorbell::new().map_err(StartError::Doorbell)?;
            let (orders, orders_end) = ring(ORDERS, doorbell.clone());
            let (commands, commands_end) = ring(HELPER_COMMANDS, doorbell.clone());
            let (reports_end, reports) = ring(REPORTS, bell.clone());
            links.push(WorkerLink::new(orders, reports));
            to_workers.push(commands);
            ends.push((doorbell, orders_end, commands_end, reports_end));
        }

        let (outputs_end, outputs) = ring(HELPER_OUTPUTS, bell.clone());
        let dropped = Arc::new(AtomicU64::new(0));
        let sink = HelperSink::new(to_workers, outputs_end, Arc::clone(&dropped));
        let config = helper::Config { dtls: settings.dtls, certificate };
        let (handle, helper) = helper::thread::spawn(config, sink).map_err(StartError::Helper)?;

        let clock = Clock::start();
        let cores = if settings.pin { allowed_cores().unwrap_or_default() } else { Vec::new() };
        let addresses = addresses::advertised(&settings.node_addresses, settings.loopback_candidate);
        let mut workers = Vec::new();
        let mut candidates = Vec::new();
        for (index, (bell, orders, commands, reports)) in (0..).zip(ends) {
            let started = worker::start(Setup {
                index: WorkerIndex(index),
                clock,
                core: cores.get(usize::from(index) % cores.len().max(1)).copied(),
                io: settings.io,
                gso: settings.gso,
                flush_delay: settings.flush_delay,
                address: addresses::of_sockets(&addresses),
                ports: settings.ports.of_worker(index),
                shared_by: settings.ports.are_shared().then_some(settings.workers),
                bell,
                orders,
                commands,
                reports,
                helper: handle.clone(),
            })?;
            tracing::info!(worker = index, port = started.port, io = started.io, "worker started");
            candidates.push(candidates_of(&addresses, started.port));
            workers.push(started.thread);
        }

        let identity = Identity { certificate_sha256, incarnation: rand::random(), candidates };
        let table = Table::new(settings.workers, Limits::default());
        let (hub, requests) = mpsc::channel(REQUESTS);
        let helper_link = HelperLink::new(handle, outputs, dropped);
        let mut hub_of_all = Hub::new(identity, table, links, helper_link, bell, requests);
        if settings.ports.are_shared() {
            hub_of_all.connect_all();
        }
        let hub_task = task::spawn(hub_of_all.run());
        let service = Service::new(hub.clone(), log_lines_dropped);
        let token = Token::new(settings.token.clone());
        tracing::info!(listen = %settings.listen, ?addresses, "media plane ready");
        Ok(Self { listener, service, token, hub, hub_task, workers, helper })
    }

    /// The address of the gRPC server, if it is TCP.
    #[must_use]
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.listener.tcp_address()
    }

    /// Serves control planes until `end` is over, then stops every thread.
    ///
    /// # Errors
    /// When the server fails.
    pub async fn serve(self, end: impl Future<Output = ()>) -> Result<(), tonic::transport::Error> {
        let Self { listener, service, token, hub, hub_task, workers, helper } = self;
        let outcome = tokio::select! {
            outcome = listener.serve(service, token) => outcome,
            () = end => Ok(()),
        };
        // Fails only if the hub is gone already; then its task tells more.
        let _ = hub.send(Request::Stop).await;
        match hub_task.await {
            Ok((links, helper_link)) => stop(links, helper_link, workers, helper).await,
            Err(error) => tracing::error!(%error, "the hub failed"),
        }
        outcome
    }
}

/// The helper first: it says goodbye through the workers.
async fn stop(
    mut links: Vec<WorkerLink>,
    helper_link: HelperLink,
    workers: Vec<JoinHandle<()>>,
    helper: JoinHandle<()>,
) {
    if helper_link.order(Input::Stop).is_ok() {
        join("helper", helper).await;
    }
    for (link, worker) in links.iter_mut().zip(workers) {
        if link.stop() {
            join("worker", worker).await;
        }
    }
}

/// A thread that does not end in time is left to the end of the process.
async fn join(name: &'static str, thread: JoinHandle<()>) {
    match timeout(PATIENCE, task::spawn_blocking(|| thread.join())).await {
        Ok(Ok(Ok(()))) => {}
        Ok(_) => tracing::error!(name, "thread ended by a panic"),
        Err(_) => tracing::error!(name, "thread does not stop"),
    }
}

fn candidates_of(addresses: &[IpAddr], port: u16) -> Vec<Candidate> {
    let candidate = |address: &IpAddr| Candidate {
        address: address.to_string(),
        port: port.into(),
        protocol: Protocol::Udp.into(),
    };
    addresses.iter().map(candidate).collect()
}

const HELPER_OUTPUTS: usize = 4096;
const REQUESTS: usize = 256;
const PATIENCE: Duration = Duration::from_secs(1);
