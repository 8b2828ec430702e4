//! A server while it is measured: started, waited for, asked what it counted, ended with all that it started.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use ureq::Agent;

use crate::contender::Contender;
use crate::process;

/// Where servers run, and how they are reached.
#[derive(Clone, Debug)]
pub struct Place {
    /// Words before the command: a namespace, a core.
    pub prefix: Vec<String>,
    pub address: String,
    pub port: u16,
    pub udp_port: u16,
    /// For what they write and for their process numbers, which whoever started us ends if we cannot.
    pub directory: PathBuf,
}

impl Place {
    #[must_use]
    pub fn url(&self) -> String {
        format!("ws://{}:{}", self.address, self.port)
    }

    /// What the server that runs, or ran last, has said.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.directory.join("server.log")
    }

    /// LiveKit's configuration, which ours reads as well.
    fn configuration(&self) -> String {
        let Self { address, port, udp_port, .. } = self;
        let loopback = address.starts_with("127.");
        format!(
            "port: {port}\ndevelopment: true\nlogging: {{ level: warn }}\nrtc: {{ udp_port: {udp_port}, \
             node_ip: {address}, use_external_ip: false, enable_loopback_candidate: {loopback} }}\n"
        )
    }
}

#[derive(Debug)]
pub struct Server {
    child: Child,
    pids: Vec<u32>,
    counts: String,
    /// The file with the process numbers.
    list: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0:?} could not be started: {1}")]
    Start(String, io::Error),
    #[error("{0:?} ended before it answered")]
    Ended(String),
    #[error("{0:?} did not answer at {1} within {PATIENCE:?}")]
    Silent(String, String),
}

impl Server {
    /// Starts it and waits until it answers.
    pub fn start(place: &Place, contender: &Contender) -> Result<Self, Failure> {
        let command = &contender.command;
        let prefix = place.prefix.iter().map(String::as_str);
        let mut words = prefix.chain(["sh", "-c"]);
        let mut process = Command::new(words.next().unwrap_or("sh"));
        // By `env`, as there may be variables before the program.
        process.args(words).arg(format!("exec env {command}"));
        process.env("LIVEKIT_CONFIG", place.configuration());
        process.env("LIVEKIT_KEYS", format!("{KEY}: {SECRET}"));
        process.env("XDG_RUNTIME_DIR", &place.directory);
        let cannot_start = |error| Failure::Start(command.clone(), error);
        let log = File::create(place.log()).map_err(cannot_start)?;
        let errors = log.try_clone().map_err(cannot_start)?;
        process.stdin(Stdio::null()).stdout(log).stderr(errors);
        let child = process.spawn().map_err(cannot_start)?;
        let http = format!("http://{}:{}", place.address, place.port);
        let mut server = Self {
            pids: vec![child.id()],
            child,
            counts: format!("{http}/debug/counts"),
            list: place.directory.join("pids"),
        };
        let answered = server.wait(command, &http);
        // Those that it started, too: a media plane may outlive its control plane.
        server.pids = process::tree(server.child.id());
        let list: String = server.pids.iter().map(|pid| format!("{pid}\n")).collect();
        let _ = fs::write(&server.list, list);
        answered.map(|()| server)
    }

    fn wait(&mut self, command: &str, http: &str) -> Result<(), Failure> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if self.child.try_wait().is_ok_and(|status| status.is_some()) {
                return Err(Failure::Ended(command.to_owned()));
            }
            if agent().get(http).call().is_ok_and(|answer| answer.status() == 200) {
                sleep(SETTLING);
                return Ok(());
            }
            sleep(Duration::from_millis(50));
        }
        Err(Failure::Silent(command.to_owned(), http.to_owned()))
    }

    /// Every process of it.
    #[must_use]
    pub fn pids(&self) -> &[u32] {
        &self.pids
    }

    /// What the workers of its media planes have counted, summed; nothing if this server does not tell.
    #[must_use]
    pub fn counters(&self) -> BTreeMap<String, u64> {
        let answer = agent().get(&self.counts).call().ok().filter(|answer| answer.status() == 200);
        let text = answer.and_then(|mut answer| answer.body_mut().read_to_string().ok()).unwrap_or_default();
        summed(&serde_json::from_str(&text).unwrap_or_default())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The first one asks ours to wait for its rooms to empty.
        for (signal, patience) in [(Signal::SIGTERM, 300), (Signal::SIGTERM, 3_000), (Signal::SIGKILL, 3_000)]
        {
            for pid in &self.pids {
                process::signal(*pid, signal);
            }
            let end = Instant::now() + Duration::from_millis(patience);
            while Instant::now() < end {
                let _ = self.child.try_wait();
                if !self.pids.iter().any(|pid| process::is_alive(*pid)) {
                    // The numbers may be given to others from now on.
                    let _ = fs::remove_file(&self.list);
                    return;
                }
                sleep(Duration::from_millis(20));
            }
        }
    }
}

fn summed(counts: &Value) -> BTreeMap<String, u64> {
    let planes = counts["media"].as_array().into_iter().flatten();
    let workers = planes.flat_map(|plane| plane["workers"].as_array().into_iter().flatten());
    let mut sums = BTreeMap::new();
    for (name, value) in workers.flat_map(|worker| worker.as_object().into_iter().flatten()) {
        *sums.entry(name.clone()).or_default() += value.as_u64().unwrap_or_default();
    }
    sums
}

fn agent() -> Agent {
    let config = Agent::config_builder().timeout_global(Some(Duration::from_secs(3)));
    config.http_status_as_error(false).build().into()
}

pub const KEY: &str = "bench";
pub const SECRET: &str = "a-secret-for-benchmarks-and-nothing-else";
const PATIENCE: Duration = Duration::from_secs(20);
/// What a server still does after its first answer is not measured.
const SETTLING: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn counters_of_all_workers_are_summed() {
        let counts = json!({
            "control": { "rooms": 1 },
            "media": [
                { "workers": [{ "copies_sent": 3, "peers": 1 }, { "copies_sent": 4 }], "process": { "x": 9 } },
                null,
            ],
        });
        let expected = BTreeMap::from([("copies_sent".to_owned(), 7), ("peers".to_owned(), 1)]);
        assert_eq!(summed(&counts), expected);
        assert_eq!(summed(&Value::Null), BTreeMap::new());
    }

    #[test]
    fn a_program_that_ends_at_once_is_no_server() {
        let directory = std::env::temp_dir().join(format!("millrace-server-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let address = String::from("127.0.0.1");
        // Nobody listens on the port of the discard protocol.
        let place = Place { prefix: Vec::new(), address, port: 9, udp_port: 9, directory };
        let peer = Contender::peer("LEFT=1 sh -c 'echo $LEFT: $LIVEKIT_KEYS; exit 1'");
        let failure = Server::start(&place, &peer).unwrap_err();
        let (said, listed) =
            (fs::read_to_string(place.log()).unwrap(), place.directory.join("pids").exists());
        fs::remove_dir_all(&place.directory).unwrap();
        assert!(matches!(failure, Failure::Ended(_)), "{failure}");
        assert_eq!(said, format!("1: {KEY}: {SECRET}\n"), "variables before the program are for it");
        assert!(!listed, "of what has ended there is no number left to signal");
    }
}
