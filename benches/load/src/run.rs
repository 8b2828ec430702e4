//! A run: everybody joins, media settles, a window is measured, everybody leaves.

use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::net::lookup_host;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::clock;
use crate::command_line::Options;
use crate::cores::Cores;
use crate::description::Media;
use crate::dtls::Identity;
use crate::film::{self, Film};
use crate::measure::Tally;
use crate::network::Network;
use crate::participant::{self, Plan, Shared, live};
use crate::process::{Usage, usage};
use crate::publisher::Script;
use crate::receiver::Mode;
use crate::report::{Findings, Report};
use crate::spacing::{self, Spacing};

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}: {1}")]
    Participant(String, participant::Failure),
    #[error("{0} of {1} participants were not connected in time")]
    Timeout(usize, usize),
    #[error("--url has no host that can be found")]
    Host,
    #[error("{0}: {1}")]
    File(String, io::Error),
    #[error("--film: {0}")]
    Film(#[from] film::Malformed),
    #[error("--spacing: {0}")]
    Spacing(#[from] spacing::Malformed),
    #[error("no thread for the media: {0}")]
    Thread(io::Error),
    #[error("no certificate: {0}")]
    Certificate(#[from] webrtc_dtls::Error),
    #[error("--server-pids: there is no process {0}")]
    Process(u32),
    #[error("the media thread has ended")]
    ThreadEnded,
}

pub async fn run(options: &Options) -> Result<Report, Failure> {
    let (networks, threads) = start_networks(options)?;
    let outcome = measure(options, networks.clone()).await;
    networks.iter().for_each(Network::stop);
    for thread in threads {
        // One that panicked has said so, and what it had counted is gone.
        thread.join().map_err(|_| Failure::ThreadEnded)?;
    }
    outcome
}

fn start_networks(options: &Options) -> Result<(Vec<Network>, Vec<JoinHandle<()>>), Failure> {
    let read =
        |path: &Path| std::fs::read(path).map_err(|error| Failure::File(path.display().to_string(), error));
    let spacing = match &options.spacing {
        Some(path) => Spacing::parse(&String::from_utf8_lossy(&read(path)?))?,
        None => Spacing::built_in(),
    };
    let film = match &options.film {
        Some(path) => Some(Film::parse(&read(path)?)?),
        None => None,
    };
    let script = Arc::new(Script { spacing, film });
    let start = |index: u32| {
        Network::start(format!("media-{index}"), Arc::clone(&script), !options.no_gro)
            .map_err(Failure::Thread)
    };
    let started: Result<Vec<_>, _> = (0..options.threads.max(1)).map(start).collect();
    Ok(started?.into_iter().unzip())
}

async fn measure(options: &Options, networks: Vec<Network>) -> Result<Report, Failure> {
    let before = sample(options)?;
    let mut crowd = Crowd::gather(options, networks.clone()).await?;
    let wanted = subscriptions(options);
    say(options, &format!("{} participants joined", crowd.joins.len()));
    crowd.during(options, settle(&networks, wanted)).await??;
    crowd.during(options, sleep(Duration::from_secs(options.warm_up))).await?;

    networks.iter().for_each(Network::begin_window);
    let began = tell(&networks).await?;
    let begin = sample(options)?;
    let (begun, loader_cpu, cores) = (Instant::now(), clock::process_cpu(), Cores::now());
    crowd.during(options, watch_window(options, &networks)).await??;
    let ended = tell(&networks).await?;
    let end = sample(options)?;
    let (elapsed, loader_cpu) = (begun.elapsed(), clock::process_cpu().saturating_sub(loader_cpu));
    let cores = Cores::now().since(&cores);

    let joins = crowd.joins.clone();
    crowd.leave().await;
    let busiest = ended.cpu.iter().zip(&began.cpu).map(|(end, begin)| end.saturating_sub(*begin)).max();
    let server: Vec<(u32, [Usage; 3])> = options
        .server_pids
        .iter()
        .zip(before.into_iter().zip(begin).zip(end))
        .map(|(pid, ((before, begin), end))| (*pid, [before, begin, end]))
        .collect();
    Ok(Report::new(&Findings {
        participants: joins.len() as u64,
        subscriptions: wanted,
        tally: &ended.tally,
        joins: &joins,
        elapsed,
        loader_cpu,
        thread_cpu: busiest.unwrap_or_default(),
        cores,
        server: &server,
    }))
}

/// All participants, while they live.
struct Crowd {
    lives: JoinSet<(String, Result<(), participant::Failure>)>,
    stop: watch::Sender<bool>,
    joins: Vec<Duration>,
}

impl Crowd {
    async fn gather(options: &Options, networks: Vec<Network>) -> Result<Self, Failure> {
        let host = options.url.host_str().ok_or(Failure::Host)?.trim_matches(['[', ']']);
        let port = options.url.port_or_known_default().ok_or(Failure::Host)?;
        let address = lookup_host((host, port)).await.ok().and_then(|mut found| found.next());
        let shared = Arc::new(Shared {
            url: options.url.clone(),
            address: address.ok_or(Failure::Host)?,
            key: options.key.clone(),
            secret: options.secret.clone(),
            identity: Identity::new(options.srtp)?,
            networks,
        });
        let (stop, stopped) = watch::channel(false);
        let mut crowd = Self { lives: JoinSet::new(), stop, joins: Vec::new() };
        let gate = Arc::new(Semaphore::new(usize::try_from(options.joining).unwrap_or(1).max(1)));
        let mut joined = Vec::new();
        for plan in plans(options) {
            let (tell, told) = oneshot::channel();
            joined.push(told);
            let (shared, stopped, gate) = (Arc::clone(&shared), stopped.clone(), Arc::clone(&gate));
            crowd.lives.spawn(async move {
                let name = format!("{}/{}", plan.room, plan.identity);
                let ticket = gate.acquire_owned().await;
                let (tell_first, told_first) = oneshot::channel();
                let life = live(shared, plan, tell_first, stopped);
                tokio::pin!(life);
                let result = tokio::select! {
                    result = &mut life => Err(result),
                    took = told_first => Ok(took),
                };
                drop(ticket);
                let result = match result {
                    Err(result) => result,
                    Ok(took) => {
                        if let Ok(took) = took {
                            // Nobody asks any more: the run is over.
                            let _ = tell.send(took);
                        }
                        life.await
                    }
                };
                (name, result)
            });
        }
        let all = joined.len();
        let mut joins = Vec::with_capacity(all);
        let patience = Duration::from_secs(options.join_timeout);
        let everybody = async {
            for (index, joined) in joined.into_iter().enumerate() {
                if let Ok(took) = joined.await {
                    joins.push(took);
                }
                if options.progress && (index + 1).is_multiple_of(PROGRESS_JOINS) {
                    say(options, &format!("{} of {all} joined", index + 1));
                }
            }
        };
        let in_time = crowd.during(options, timeout(patience, everybody)).await?;
        if in_time.is_err() {
            return Err(Failure::Timeout(all - joins.len(), all));
        }
        crowd.joins = joins;
        Ok(crowd)
    }

    /// Waits for `work`, unless somebody fails meanwhile.
    async fn during<Work: Future>(&mut self, options: &Options, work: Work) -> Result<Work::Output, Failure> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                output = &mut work => return Ok(output),
                Some(ended) = self.lives.join_next() => match ended {
                    Ok((name, Err(failure))) => return Err(Failure::Participant(name, failure)),
                    Ok((name, Ok(()))) => say(options, &format!("{name} left")),
                    Err(_) => return Err(Failure::ThreadEnded),
                },
            }
        }
    }

    async fn leave(mut self) {
        self.stop.send_replace(true);
        let everybody = async { while self.lives.join_next().await.is_some() {} };
        // Who takes longer is left behind: what was measured is measured.
        let _ = timeout(PATIENCE, everybody).await;
    }
}

/// Everybody, publishers of a room first.
fn plans(options: &Options) -> Vec<Plan> {
    let mut plans = Vec::new();
    let run: u32 = rand::random();
    for room in 0..options.rooms {
        let mut full = options.full;
        let mut mode = || {
            let mode = if full > 0 { Mode::Full } else { Mode::Sink };
            full = full.saturating_sub(1);
            mode
        };
        let subscribers: Vec<Mode> = (0..options.subscribers).map(|_| mode()).collect();
        let plan = |id: usize, identity: String, publishes, subscribes, mode| Plan {
            id: u32::try_from(id).unwrap_or(u32::MAX),
            room: format!("load-{run:08x}-{room}"),
            identity,
            publishes,
            subscribes,
            mode,
        };
        for index in 0..options.publishers {
            let subscribes = options.publishers_subscribe;
            let mode = if subscribes { mode() } else { Mode::Sink };
            plans.push(plan(plans.len(), format!("publisher-{index}"), options.media, subscribes, mode));
        }
        for (index, mode) in subscribers.into_iter().enumerate() {
            plans.push(plan(plans.len(), format!("subscriber-{index}"), Media::None, true, mode));
        }
    }
    plans
}

/// How many streams there should be.
fn subscriptions(options: &Options) -> u64 {
    if options.media == Media::None {
        return 0;
    }
    let (publishers, subscribers) = (u64::from(options.publishers), u64::from(options.subscribers));
    let of_publishers = if options.publishers_subscribe { publishers.saturating_sub(1) } else { 0 };
    u64::from(options.rooms) * publishers * (subscribers + of_publishers)
}

/// Waits until each subscription brings something; not for ever, as the report says what is missing.
async fn settle(networks: &[Network], wanted: u64) -> Result<(), Failure> {
    let end = Instant::now() + PATIENCE;
    while tell(networks).await?.tally.streams_live < wanted && Instant::now() < end {
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

async fn watch_window(options: &Options, networks: &[Network]) -> Result<(), Failure> {
    let begun = Instant::now();
    let mut packets = 0;
    for second in 1..=options.seconds {
        sleep((Duration::from_secs(second)).saturating_sub(begun.elapsed())).await;
        if options.progress {
            let tally = tell(networks).await?.tally;
            let latency = tally.latency_at(0.99).unwrap_or_default();
            say(
                options,
                &format!(
                    "{second:>4} s: {:>7} packets/s, {} lost, latency p99 {latency} us",
                    tally.packets_received - packets,
                    tally.full_lost + tally.sink_lost,
                ),
            );
            packets = tally.packets_received;
        }
    }
    Ok(())
}

struct Counted {
    tally: Tally,
    /// Of each thread.
    cpu: Vec<Duration>,
}

async fn tell(networks: &[Network]) -> Result<Counted, Failure> {
    let mut counted = Counted { tally: Tally::new(), cpu: Vec::new() };
    for network in networks {
        let told = network.tell().await.ok_or(Failure::ThreadEnded)?;
        counted.tally.add(&told.tally);
        counted.cpu.push(told.cpu);
    }
    Ok(counted)
}

fn sample(options: &Options) -> Result<Vec<Usage>, Failure> {
    options.server_pids.iter().map(|&pid| usage(pid).ok_or(Failure::Process(pid))).collect()
}

fn say(options: &Options, line: &str) {
    if options.progress {
        eprintln!("{line}");
    }
}

const PATIENCE: Duration = Duration::from_secs(15);
const PROGRESS_JOINS: usize = 50;

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn options(arguments: &str) -> Options {
        Options::parse_from(["millrace-load"].into_iter().chain(arguments.split_whitespace()))
    }

    #[test]
    fn rooms_are_planned_with_their_full_subscribers_and_streams() {
        for (arguments, people, full, streams) in [
            ("--publishers 1 --subscribers 10 --full 3", 11, 3, 10),
            ("--rooms 20 --publishers 1 --subscribers 1 --full 1", 40, 20, 20),
            ("--publishers 10 --subscribers 0 --publishers-subscribe --full 2", 10, 2, 90),
            ("--publishers 2 --subscribers 1 --publishers-subscribe --full 2", 3, 2, 4),
            ("--publishers 1 --subscribers 99 --media none --full 0", 100, 0, 0),
        ] {
            let options = options(arguments);
            let plans = plans(&options);
            assert_eq!(plans.len(), people, "{arguments}");
            let measuring = plans.iter().filter(|plan| plan.subscribes && plan.mode == Mode::Full);
            assert_eq!(measuring.count(), full, "{arguments}");
            assert_eq!(subscriptions(&options), streams, "{arguments}");
            let ids: std::collections::BTreeSet<u32> = plans.iter().map(|plan| plan.id).collect();
            assert_eq!(ids.len(), people, "{arguments}");
        }
    }
}
