//! The server as a whole: start, drain, stop.

pub mod external_address;
pub mod media_planes;
pub mod memory;
pub mod reload;
pub mod signals;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use livekit_protocol::{DisconnectReason, ServerInfo};
use logs::stderr::{self, Filter};
use rand::Rng;
use rand::distr::Alphanumeric;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::agent::dispatcher::Settings;
use crate::agent::effect::Errand;
use crate::agent::errands;
use crate::agent::service::Agents;
use crate::auth::revocation::Revocations;
use crate::cli::Serve;
use crate::config::live::Live;
use crate::config::settle::Settled;
use crate::config::{Config, interfaces};
use crate::http::gate::Gate;
use crate::http::{Site, routes, serve};
use crate::metrics;
use crate::room::notice::{Listener, Listeners};
use crate::room::registry::{Context, Registry};
use crate::server::media_planes::MediaPlanes;
use crate::server::reload::Reloading;
use crate::server::signals::Signals;
use crate::webhook::outbox::Outbox;

/// Runs until told to stop by a signal.
///
/// # Errors
/// A sentence for the operator, if it cannot start.
pub fn run(arguments: Serve, settled: Settled) -> Result<(), String> {
    let logging = &settled.config.logging;
    let logs = stderr::start(logging.level.as_deref().unwrap_or("info"), logging.json)?;
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start threads: {error}"))?;
    let served = runtime.block_on(start_and_serve(arguments, settled, logs.filter()));
    // Nothing that is still running is worth waiting for.
    runtime.shutdown_timeout(Duration::from_millis(100));
    let dropped = logs.dropped().dropped_lines();
    if dropped > 0 {
        tracing::warn!(lines = dropped, "log lines were dropped, for nobody took them in time");
    }
    served
}

async fn start_and_serve(arguments: Serve, settled: Settled, filter: Filter) -> Result<(), String> {
    let Settled { mut config, keys, bind, remarks, warnings } = settled;
    remarks.iter().for_each(|remark| tracing::info!("{remark}"));
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let mut signals = Signals::listen()?;
    let hangup = signals::hangup()?;
    let at_start = config.clone();
    find_external_address(&mut config).await;
    choose_addresses(&mut config)?;
    // Bound before anything else is started, for a port in use is the most common mistake. Clients that connect
    // already wait in the backlog.
    let listeners = serve::bind(&bind, config.port)?;
    let scraped = metrics::listen::bind(&config.prometheus, &bind)?;
    let media_planes = MediaPlanes::start(&config).await?;
    let (site, queue) = site(config, keys, &media_planes);
    site.webhooks.open();
    let stop = CancellationToken::new();
    listen(listeners, &site, &stop);
    for listener in scraped {
        tokio::spawn(metrics::listen::serve(listener, site.clone(), stop.clone()));
    }
    tokio::spawn(memory::watch(site.clone(), stop.clone()));
    let (config, keys) = (site.config.clone(), Arc::clone(&site.keys));
    tokio::spawn(Reloading { arguments, at_start, config, keys, filter }.run(hangup, stop.clone()));
    tokio::spawn(site.agents.clone().run_timers(stop.clone()));
    tokio::spawn(errands::run(site.agents.clone(), Arc::clone(&site.registry), queue, stop.clone()));
    let ending = drain(&site, &mut signals).await;
    end(&site, media_planes, ending).await;
    stop.cancel();
    Ok(())
}

fn site(
    config: Config,
    keys: crate::auth::token::Keys,
    media_planes: &MediaPlanes,
) -> (Site, mpsc::Receiver<Errand>) {
    let server_info = server_info(&config);
    let keys = Arc::new(keys);
    let config = Live::new(config);
    let settings = Settings { config: config.clone(), server_info: server_info.clone() };
    let (agents, queue) = Agents::new(settings, Arc::clone(&keys));
    let webhooks = Arc::new(Outbox::new(config.clone(), Arc::clone(&keys), &server_info.node_id));
    let context = Context {
        config: config.clone(),
        keys: Arc::clone(&keys),
        planes: media_planes.planes(),
        server_info,
        listeners: Listeners::new(vec![Arc::new(agents.clone()), Arc::clone(&webhooks) as Arc<dyn Listener>]),
        revocations: Revocations::default(),
    };
    let site = Site {
        config,
        agents,
        keys,
        registry: Arc::new(Registry::new(Arc::new(context))),
        counters: Arc::default(),
        api: Arc::default(),
        connections: TaskTracker::new(),
        whip: Arc::default(),
        webhooks,
    };
    (site, queue)
}

fn listen(listeners: Vec<TcpListener>, site: &Site, stop: &CancellationToken) {
    let gate = Gate::new(&site.config.now().trusted_proxies);
    let routes: Router = routes(site.clone());
    let addresses: Vec<String> = listeners
        .iter()
        .filter_map(|listener| listener.local_addr().ok())
        .map(|address| format!("http://{address}"))
        .collect();
    for listener in listeners {
        tokio::spawn(serve::serve(listener, site.clone(), routes.clone(), gate.clone(), stop.clone()));
    }
    tracing::info!("listening on {}", addresses.join(" and "));
    if site.config.now().development {
        tracing::warn!("development mode: whoever reaches this port can let himself into any room");
    }
}

/// How the end came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Drained,
    Forced,
}

/// Waits for the first signal, and then until nobody is left, the deadline, or the second signal.
async fn drain(site: &Site, signals: &mut Signals) -> Ending {
    let name = signals.next().await;
    let patience = site.config.now().drain_timeout;
    let deadline = Instant::now() + patience;
    let participants = site.registry.counts().participants;
    tracing::info!(
        participants,
        deadline_s = patience.as_secs(),
        "{name}: no new rooms from now on; ending when nobody is left, or at once with another signal"
    );
    tokio::select! {
        () = site.registry.drain(deadline) => Ending::Drained,
        name = signals.next() => {
            tracing::info!("{name} again: ending at once");
            Ending::Forced
        }
    }
}

/// Tells whoever is still there, and ends the media plane that is ours.
async fn end(site: &Site, media_planes: MediaPlanes, ending: Ending) {
    let farewell = async {
        site.registry.close_all(DisconnectReason::ServerShutdown).await;
        site.connections.close();
        tokio::join!(site.agents.close(), site.connections.wait());
    };
    let told = timeout(FAREWELL_MAX, farewell).await.is_ok();
    site.webhooks.flush(FLUSH_MAX).await;
    media_planes.stop().await;
    tracing::info!(?ending, told, "ended");
}

/// Those that clients are told, if some are to be chosen.
fn choose_addresses(config: &mut Config) -> Result<(), String> {
    if let Some(addresses) = interfaces::chosen(&config.rtc)? {
        tracing::info!(?addresses, "addresses chosen by rtc.interfaces and rtc.ips");
        config.rtc.node_ip = addresses;
    }
    Ok(())
}

async fn find_external_address(config: &mut Config) {
    let for_nobody = !config.media_planes.is_empty();
    if !config.rtc.use_external_ip || !config.rtc.node_ip.is_empty() || for_nobody {
        return;
    }
    match external_address::find(&config.rtc.stun_servers).await {
        Some(address) => {
            tracing::info!(%address, "external address found");
            config.rtc.node_ip.push(address);
        }
        None => tracing::warn!(
            "rtc.use_external_ip: no STUN server answered; going on with the addresses of this host, which clients \
             beyond a NAT cannot reach (rtc.node_ip or --node-ip sets the address)"
        ),
    }
}

fn server_info(config: &Config) -> ServerInfo {
    let random = rand::rng().sample_iter(Alphanumeric).take(NODE_ID_LEN);
    ServerInfo {
        version: LIVEKIT_VERSION.to_owned(),
        protocol: SIGNAL_PROTOCOL,
        region: config.region.clone(),
        node_id: format!("ND_{}", random.map(char::from).collect::<String>()),
        debug_info: if config.development {
            concat!("millrace ", env!("CARGO_PKG_VERSION")).to_owned()
        } else {
            String::new()
        },
        agent_protocol: AGENT_PROTOCOL,
        ..ServerInfo::default()
    }
}

/// SDKs turn features on by the server's version (JS wants 1.8.0 for RPC): this is the one whose behaviour ours is.
const LIVEKIT_VERSION: &str = "1.13.5";
const SIGNAL_PROTOCOL: i32 = 17;
const AGENT_PROTOCOL: i32 = 1;
const NODE_ID_LEN: usize = 12;
/// All of this, with what the media plane takes to end, less than a second.
const FLUSH_MAX: Duration = Duration::from_millis(200);
const FAREWELL_MAX: Duration = Duration::from_millis(600);
