//! Reads a YAML document into a [`Config`], and says what in it is unknown or without effect.

use crate::config::Config;
use crate::config::known::{self, Standing};
use crate::config::outline::Outline;

/// A document that could be read.
#[derive(Debug)]
pub struct Document {
    pub config: Config,
    /// Dotted names of LiveKit's keys that have no effect yet, in the order of the document.
    pub not_applied: Vec<String>,
    /// A sentence for each key that nobody knows; only without `Strictness::Strict`.
    pub unknown: Vec<String>,
}

/// Whether an unknown key is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    Strict,
    Lenient,
}

/// # Errors
/// A sentence with the line, the key and the value.
pub fn read(text: &str, strictness: Strictness) -> Result<Document, String> {
    let mut document = Document { config: Config::default(), not_applied: Vec::new(), unknown: Vec::new() };
    let outline: Option<Outline> = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    let Some(outline) = outline else { return Ok(document) };
    if !matches!(outline, Outline::Mapping(_)) {
        return Err("not a mapping of keys to values".to_owned());
    }
    document.visit(&mut Vec::new(), &outline);
    if strictness == Strictness::Strict && !document.unknown.is_empty() {
        return Err(document.unknown.join("; "));
    }
    document.config = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    Ok(document)
}

impl Document {
    fn visit<'a>(&mut self, path: &mut Vec<&'a str>, outline: &'a Outline) {
        match outline {
            Outline::Scalar => {}
            Outline::Sequence(items) => items.iter().for_each(|item| self.visit(path, item)),
            Outline::Mapping(keys) => {
                for key in keys {
                    path.push(&key.name);
                    match known::standing(path) {
                        Some(Standing::Applied) => {}
                        Some(Standing::NotYet) => self.note(path.join(".")),
                        None if known::is_section(path) => self.visit(path, &key.value),
                        None => self.unknown.push(complaint(path, key.line)),
                    }
                    path.pop();
                }
            }
        }
    }

    fn note(&mut self, name: String) {
        if !self.not_applied.contains(&name) {
            self.not_applied.push(name);
        }
    }
}

fn complaint(path: &[&str], line: u64) -> String {
    let full = path.join(".");
    let Some((name, parent)) = path.split_last() else { return full };
    match known::nearest(parent, name) {
        Some(nearest) => format!("line {line}: unknown key {full:?}; did you mean {nearest:?}?"),
        None => format!("line {line}: unknown key {full:?}"),
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use super::*;
    use crate::config::Prometheus;
    use crate::config::port_range::PortRange;

    fn config(text: &str) -> Config {
        read(text, Strictness::Strict).unwrap().config
    }

    #[test]
    fn nothing_is_the_defaults() {
        for text in ["", "\n", "# only a comment\n", "{}"] {
            assert_eq!(config(text), Config::default(), "{text:?}");
        }
    }

    #[test]
    fn values_arrive() {
        let text = "
port: 80
bind_addresses: ['127.0.0.1', \"::1\"]
keys:
  key1: secret1
  key2: secret2
key_file: /etc/keys
log_level: info
logging: { level: warn, json: true, sample: true }
region: mars
development: true
prometheus_port: 6789
prometheus: { port: 6790, username: u, password: p }
rtc:
  udp_port: 7882-7890
  tcp_port: 7881
  port_range_start: 50000
  port_range_end: 60000
  node_ip: 192.0.2.1,2001:db8::1
  use_external_ip: true
  stun_servers: [stun.example:3478]
  enable_loopback_candidate: true
room:
  auto_create: false
  max_participants: 9
  empty_timeout: 1
  departure_timeout: 2
  playout_delay: { enabled: true, min: 100, max: 2000 }
  enabled_codecs:
    - mime: audio/opus
    - { mime: video/vp8, fmtp_line: x=1 }
audio: { active_level: 30, min_percentile: 50, update_interval: 500, smooth_intervals: 4, active_red_encoding: true }
video: { dynacast_pause_delay: 2s }
limit: { num_tracks: 5, max_metadata_size: 1, max_room_name_length: 2, memory_bytes: 1000000 }
media_planes: ['unix:/run/a.sock', 'http://192.0.2.7:9000']
trusted_proxies: [10.0.0.0/8, '::1']
drain_timeout: 1m30s
runtime_dir: /run/millrace
media: { workers: 3, pin: false, spread_above: 7, io: epoll, gso: off, flush_delay_us: 500, dtls: webrtc }
";
        let config = config(text);
        assert_eq!(config.port, 80);
        assert_eq!(config.bind_addresses, ["127.0.0.1", "::1"]);
        assert_eq!(config.keys.keys().collect::<Vec<_>>(), ["key1", "key2"]);
        assert_eq!(config.key_file.as_deref(), Some("/etc/keys".as_ref()));
        assert_eq!(config.log_level.as_deref(), Some("info"));
        assert_eq!((config.logging.level.as_deref(), config.logging.json), (Some("warn"), true));
        assert_eq!((config.region.as_str(), config.development), ("mars", true));
        let Prometheus { port, username, password } = &config.prometheus;
        assert_eq!((config.prometheus_port, *port), (6789, 6790));
        assert_eq!((username.as_str(), password.as_str()), ("u", "p"));
        assert_eq!(config.limit.memory_bytes, 1_000_000);
        assert_eq!(config.rtc.udp_port, PortRange::new(7882, 7890));
        assert_eq!((config.rtc.port_range_start, config.rtc.port_range_end), (50000, 60000));
        let addresses: [IpAddr; 2] = ["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        assert_eq!(config.rtc.node_ip, addresses);
        assert!(config.rtc.use_external_ip && config.rtc.enable_loopback_candidate);
        assert_eq!(config.rtc.stun_servers, ["stun.example:3478"]);
        assert!(!config.room.auto_create);
        assert_eq!(
            (config.room.max_participants, config.room.empty_timeout, config.room.departure_timeout),
            (9, 1, 2)
        );
        let playout_delay = config.room.playout_delay;
        assert_eq!((playout_delay.enabled, playout_delay.min, playout_delay.max), (true, 100, 2000));
        let codecs: Vec<_> = config.room.enabled_codecs.iter().map(|codec| codec.mime.as_str()).collect();
        assert_eq!(codecs, ["audio/opus", "video/vp8"]);
        assert_eq!((config.audio.active_level, config.audio.update_interval), (30, 500));
        assert!(config.audio.active_red_encoding);
        assert_eq!(config.video.dynacast_pause_delay, Duration::from_secs(2));
        assert_eq!((config.limit.num_tracks, config.limit.max_metadata_size), (5, 1));
        assert_eq!(config.media_planes.len(), 2);
        assert_eq!(config.trusted_proxies, ["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()]);
        assert_eq!(config.drain_timeout, Duration::from_secs(90));
        assert_eq!(
            (config.media.workers, config.media.pin, config.media.spread_above),
            (Some(3), Some(false), 7)
        );
        assert_eq!(
            (config.media.io.as_deref(), config.media.dtls.as_deref()),
            (Some("epoll"), Some("webrtc"))
        );
        assert_eq!((config.media.gso.as_deref(), config.media.flush_delay_us), (Some("off"), Some(500)));
    }

    #[test]
    fn every_known_key_is_accepted_by_itself() {
        for (path, standing) in known::KEYS {
            let path: Vec<&str> =
                path.split('.').map(|name| if name.contains('*') { "anything" } else { name }).collect();
            let nested =
                path.iter().rev().fold(String::from("~"), |below, name| format!("{{ {name}: {below} }}"));
            let outline: Outline = serde_saphyr::from_str(&nested).unwrap();
            let mut document =
                Document { config: Config::default(), not_applied: Vec::new(), unknown: Vec::new() };
            document.visit(&mut Vec::new(), &outline);
            assert_eq!(document.unknown, Vec::<String>::new(), "{path:?}");
            assert_eq!(document.not_applied.is_empty(), *standing == Standing::Applied, "{path:?}");
        }
    }

    #[test]
    fn mistakes_are_told_with_line_and_key() {
        for (name, text, expected) in [
            ("unknown key", "port: 1\nprot: 2\n", "line 2: unknown key \"prot\"; did you mean \"port\"?"),
            (
                "nested",
                "rtc:\n  udp_prot: 1\n",
                "line 2: unknown key \"rtc.udp_prot\"; did you mean \"udp_port\"?",
            ),
            ("nothing like it", "blancmange: 2\n", "line 1: unknown key \"blancmange\""),
            ("two", "a1: 1\nb1: 2\n", "line 2: unknown key \"b1\""),
            ("LiveKit's stale key", "debug_handler_port: 1\n", "did you mean \"debug_handler\"?"),
            (
                "a list of mappings",
                "room:\n  enabled_codecs:\n    - mine: x\n",
                "line 3: unknown key \"room.enabled_codecs.mine\"",
            ),
            ("wrong type", "port: many\n", "line 1"),
            ("port out of range", "port: 70000\n", "line 1"),
            ("no range", "rtc:\n  udp_port: 9-1\n", "neither a port nor a range"),
            ("no duration", "drain_timeout: soon\n", "not a duration"),
            ("no address", "rtc:\n  node_ip: here\n", "not an IP address"),
            ("no network", "trusted_proxies: [proxy]\n", "neither an IP address nor a network"),
            ("a list", "- port\n", "not a mapping"),
            ("a text", "port\n", "not a mapping"),
            ("no YAML", "port: [1\n", "line"),
            ("a key twice", "port: 1\nport: 2\n", "port"),
        ] {
            let error = read(text, Strictness::Strict).expect_err(name);
            assert!(error.contains(expected), "{name}: {error}");
        }
    }

    #[test]
    fn without_strictness_unknown_keys_are_only_told() {
        let document = read("prot: 2\nport: 3\n", Strictness::Lenient).unwrap();
        assert_eq!(document.config.port, 3);
        assert_eq!(document.unknown.len(), 1);
    }

    #[test]
    fn keys_without_effect_are_named_once() {
        let text = "redis:\n  address: a\n  db: 1\nturn:\n  enabled: true\nrtc:\n  turn_servers:\n  - host: a\n    port: 1\n  - host: b\n";
        let document = read(text, Strictness::Strict).unwrap();
        let expected =
            ["redis.address", "redis.db", "turn.enabled", "rtc.turn_servers.host", "rtc.turn_servers.port"];
        assert_eq!(document.not_applied, expected);
    }

    #[test]
    fn sections_may_be_empty() {
        let config = config(
            "keys:\nrtc:\nroom:\n  playout_delay:\nlimit:\nlogging:\naudio:\nvideo:\nbind_addresses:\n",
        );
        assert_eq!(config, Config::default());
    }

    #[test]
    fn the_sample_shows_the_defaults() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/config-sample.yaml");
        let text = std::fs::read_to_string(path).unwrap();
        let document = read(&text, Strictness::Strict).unwrap();
        assert_eq!(document.not_applied, Vec::<String>::new());
        let mut expected = Config::default();
        expected.keys.clone_from(&document.config.keys);
        // Said in words there, and left open here: what is not told depends on the mode.
        expected.logging.level = Some("info".to_owned());
        (expected.rtc.port_range_start, expected.rtc.port_range_end) = (50_000, 60_000);
        (expected.media.io, expected.media.dtls) = (Some("auto".to_owned()), Some("dimpl".to_owned()));
        (expected.media.gso, expected.media.flush_delay_us) = (Some("auto".to_owned()), Some(1000));
        assert_eq!(document.config, expected);
    }
}
