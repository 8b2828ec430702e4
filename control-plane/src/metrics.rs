//! What both planes count, in the text form that Prometheus scrapes.
//!
//! Counters are asked of the media planes when somebody scrapes. One that does not answer in time costs the scrape its
//! own rows and nothing else. No label names a room or a person.

pub mod families;
pub mod listen;
pub mod livekit;
pub mod media;

use std::time::Duration;

use futures_util::future::join_all;
use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use tokio::time::timeout;

use crate::http::Site;
use crate::metrics::families::Families;

/// Everything, as of now.
///
/// # Errors
/// When a name is not one that Prometheus takes.
pub async fn render(site: &Site) -> Result<String, prometheus::Error> {
    let mut families = Families::default();
    for family in ProcessCollector::for_self().collect() {
        families.add(family);
    }
    let node = livekit::Node::of(site.registry.server_info());
    livekit::rooms(&mut families, &node, &site.registry.counts());
    livekit::calls(&mut families, &node, &site.api.tally);
    livekit::joins(&mut families, &node, site.registry.joins());
    control_plane(&mut families, site);
    agents(&mut families, site);
    for family in site.webhooks.counters().collect() {
        families.add(family);
    }
    let planes = site.registry.planes().all();
    let answers = join_all(planes.iter().map(|plane| timeout(PATIENCE, plane.counters()))).await;
    for (index, answer) in answers.into_iter().enumerate() {
        let plane = index.to_string();
        let answer = answer.ok().and_then(Result::ok);
        let up = u64::from(answer.is_some());
        families.gauge("millrace_media_up", "Whether the media plane answers.", &[("plane", &plane)], up);
        if let Some(answer) = answer {
            media::add(&mut families, &plane, &answer);
            livekit::packets(&mut families, &node, &plane, &answer.workers);
        }
    }
    families.text()
}

fn control_plane(families: &mut Families, site: &Site) {
    families.gauge(
        "millrace_control_connections",
        "Signalling connections.",
        &[],
        u64::try_from(site.connections.len()).unwrap_or(u64::MAX),
    );
    families.gauge(
        "millrace_control_memory_low",
        "Whether joins are refused for want of memory.",
        &[],
        site.registry.is_memory_low().into(),
    );
    families.counter(
        "millrace_control_scrapes_refused_total",
        "Connections for metrics beyond those that are answered at once.",
        &[],
        site.counters.scrapes_refused.value(),
    );
    families.gauge(
        "millrace_control_revocations",
        "Identities and tokens that are not let in.",
        &[],
        u64::try_from(site.registry.revocations().len()).unwrap_or(u64::MAX),
    );
    for (what, count) in site.registry.refusals() {
        let help = "What was refused to clients.";
        families.counter("millrace_control_refused_total", help, &[("what", what)], count);
    }
    for (event, count) in site.counters.rows() {
        let help = "What happened to signalling connections.";
        families.counter("millrace_control_signal_total", help, &[("event", event)], count);
    }
}

fn agents(families: &mut Families, site: &Site) {
    let snapshot = site.agents.snapshot();
    let gauge = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
    for (kind, count) in snapshot.workers {
        let help = "Agent workers that have registered, by the jobs that they take.";
        families.gauge("millrace_agent_workers", help, &[("type", kind)], gauge(count));
    }
    for (state, count) in [("waiting", snapshot.jobs_waiting), ("running", snapshot.jobs_running)] {
        families.gauge("millrace_agent_jobs", "Jobs of agents.", &[("state", state)], gauge(count));
    }
    for (event, count) in snapshot.events {
        let help = "What happened to jobs of agents, and what was refused to their workers.";
        families.counter("millrace_agent_events_total", help, &[("event", event)], count);
    }
    for (event, count) in site.agents.counters().rows() {
        let help = "What happened to connections of agent workers.";
        families.counter("millrace_agent_connections_total", help, &[("event", event)], count);
    }
}

/// Less than scrapers wait.
const PATIENCE: Duration = Duration::from_secs(2);
