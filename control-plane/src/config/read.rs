//! Reads a YAML document into a [`Config`], and says what in it is unknown, wrong or without effect.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::config::Config;
use crate::config::kind::Kind;
use crate::config::known::{self, Standing};
use crate::config::outline::{Key, Outline};

/// A document that could be read.
#[derive(Debug)]
pub struct Document {
    pub config: Config,
    /// Dotted names of LiveKit's keys that have no effect and why, in the order of the document.
    pub idle: Vec<(String, &'static str)>,
    /// A sentence for each key that nobody knows; only without `Strictness::Strict`.
    pub unknown: Vec<String>,
    /// A sentence for each value that is not what it has to be.
    wrong: Vec<String>,
}

/// Whether an unknown key is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    Strict,
    Lenient,
}

/// A key that was set beside the document, and how.
#[derive(Clone, PartialEq, Eq)]
pub struct Setting {
    /// `--rtc.udp_port`, or the name of a variable.
    pub by: String,
    pub path: &'static str,
    pub kind: Kind,
    pub text: String,
}

impl std::fmt::Debug for Setting {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.by)
    }
}

/// # Errors
/// A sentence with the line, the key and the value.
pub fn read(text: &str, strictness: Strictness) -> Result<Document, String> {
    read_with(text, &[], strictness)
}

/// The same, with keys that go before those of the document.
///
/// # Errors
/// A sentence with the line or the flag, the key and the value.
pub fn read_with(text: &str, settings: &[Setting], strictness: Strictness) -> Result<Document, String> {
    let mut document =
        Document { config: Config::default(), idle: Vec::new(), unknown: Vec::new(), wrong: Vec::new() };
    let outline: Option<Outline> = serde_saphyr::from_str(text).map_err(|error| in_one_line(&error, None))?;
    let outline = outline.unwrap_or(Outline::Nothing);
    if !matches!(outline, Outline::Mapping(_) | Outline::Nothing) {
        return Err("not a mapping of keys to values".to_owned());
    }
    document.visit(&mut Vec::new(), &outline);
    if strictness == Strictness::Strict && !document.unknown.is_empty() {
        return Err(document.unknown.join("; "));
    }
    if !document.wrong.is_empty() {
        return Err(document.wrong.join("; "));
    }
    if let Outline::Mapping(_) = outline {
        document.config =
            serde_saphyr::from_str(text).map_err(|error| in_one_line(&error, Some(&outline)))?;
    }
    if !settings.is_empty() {
        document.set(settings, &outline)?;
    }
    Ok(document)
}

impl Document {
    fn visit<'a>(&mut self, path: &mut Vec<&'a str>, outline: &'a Outline) {
        match outline {
            Outline::Scalar(_) | Outline::Nothing => {}
            Outline::Sequence(items) => items.iter().for_each(|item| self.visit(path, item)),
            Outline::Mapping(keys) => {
                for key in keys {
                    path.push(&key.name);
                    match known::find(path) {
                        Some((kind, standing)) => self.check(&path.join("."), key, kind, standing),
                        None if known::is_section(path) => self.visit(path, &key.value),
                        None => self.unknown.push(complaint(path, key.line)),
                    }
                    path.pop();
                }
            }
        }
    }

    fn check(&mut self, path: &str, key: &Key, kind: Kind, standing: Standing) {
        if let Some(wrong) = misfit(&key.value, kind) {
            self.wrong.push(format!("line {}: {path}: {wrong}", key.line));
        }
        self.note(path, standing);
    }

    fn note(&mut self, path: &str, standing: Standing) {
        if let Standing::Idle(why) = standing
            && !self.idle.iter().any(|(other, _)| other == path)
        {
            self.idle.push((path.to_owned(), why));
        }
    }

    /// What is set goes before the document.
    fn set(&mut self, settings: &[Setting], outline: &Outline) -> Result<(), String> {
        let mut whole = value(outline, &mut Vec::new());
        for Setting { by, path, kind, text } in settings {
            let wrong = || format!("{by}: {}", kind.complaint(text).unwrap_or_default());
            let set = kind.read(text).ok_or_else(wrong)?;
            let mut alone = Value::Null;
            put(&mut alone, path, set.clone());
            Config::deserialize(alone).map_err(|error| format!("{by}: {error}"))?;
            put(&mut whole, path, set);
            let names: Vec<&str> = path.split('.').collect();
            if let Some((_, standing)) = known::find(&names) {
                self.note(path, standing);
            }
        }
        let mut config = Config::deserialize(whole).map_err(|error| error.to_string())?;
        // No setting is of them, and the document's own reading has them to the letter.
        config.keys = std::mem::take(&mut self.config.keys);
        config.rtc.turn_servers = std::mem::take(&mut self.config.rtc.turn_servers);
        self.config = config;
        Ok(())
    }
}

/// What is wrong with a value, if something is.
fn misfit(value: &Outline, kind: Kind) -> Option<String> {
    let expected = |found| Some(format!("expected {}, not {found}", kind.expected()));
    match (value, kind) {
        (Outline::Nothing, _) | (_, Kind::Other) => None,
        (Outline::Sequence(_), Kind::Texts) => None,
        (Outline::Scalar(text), kind) => kind.complaint(text),
        (Outline::Mapping(_), _) => expected("a mapping"),
        (Outline::Sequence(_), _) => expected("a list"),
    }
}

/// The document as values of the kinds that its keys have.
fn value<'a>(outline: &'a Outline, path: &mut Vec<&'a str>) -> Value {
    match outline {
        Outline::Nothing => Value::Null,
        Outline::Scalar(text) => match known::find(path) {
            Some((Kind::Other, _)) | None => {
                let guesses = [Kind::Switch, Kind::Whole(u64::MAX), Kind::Real, Kind::Text];
                guesses.iter().find_map(|kind| kind.read(text)).unwrap_or_default()
            }
            Some((kind, _)) => kind.read(text).unwrap_or_else(|| Value::String(text.clone())),
        },
        Outline::Sequence(items) => items.iter().map(|item| value(item, path)).collect(),
        Outline::Mapping(keys) => {
            let mut map = Map::new();
            for key in keys {
                path.push(&key.name);
                map.insert(key.name.clone(), value(&key.value, path));
                path.pop();
            }
            Value::Object(map)
        }
    }
}

/// Sets one value, and makes the sections above it.
fn put(whole: &mut Value, path: &str, set: Value) {
    let mut place = whole;
    for name in path.split('.') {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let Some(section) = place.as_object_mut() else { return };
        place = section.entry(name).or_insert(Value::Null);
    }
    *place = set;
}

/// Without the lines around it, which may hold secrets.
fn in_one_line(error: &serde_saphyr::Error, outline: Option<&Outline>) -> String {
    let line = error.location().map(|location| location.line());
    let key = line.zip(outline).and_then(|(line, outline)| outline.key_at(line));
    let text = error.without_snippet().to_string();
    let text = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    match (line, key) {
        (Some(line), Some(key)) => format!("line {line}: {key}: {text}"),
        (Some(line), None) => format!("line {line}: {text}"),
        (None, _) => text,
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
    use crate::config::table::KEYS;

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
limit: { num_tracks: 5, max_metadata_size: 1, max_room_name_length: 2, memory_bytes: 1000000, max_data_blobs_size: 3 }
enable_data_tracks: false
enable_participant_data_blob: true
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
        assert_eq!(config.limit.max_data_blobs_size, 3);
        assert!(!config.enable_data_tracks && config.enable_participant_data_blob);
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
        for (path, _, standing) in KEYS {
            let path: Vec<&str> =
                path.split('.').map(|name| if name.contains('*') { "anything" } else { name }).collect();
            let nested =
                path.iter().rev().fold(String::from("~"), |below, name| format!("{{ {name}: {below} }}"));
            let outline: Outline = serde_saphyr::from_str(&nested).unwrap();
            let mut document = Document {
                config: Config::default(),
                idle: Vec::new(),
                unknown: Vec::new(),
                wrong: Vec::new(),
            };
            document.visit(&mut Vec::new(), &outline);
            assert_eq!(document.unknown, Vec::<String>::new(), "{path:?}");
            assert_eq!(document.idle.is_empty(), *standing == Standing::Applied, "{path:?}");
        }
    }

    #[test]
    fn every_kind_of_value_is_checked_whether_it_has_effect_or_not() {
        for (path, kind, _) in KEYS.iter().filter(|(path, ..)| !path.contains('*')) {
            let names: Vec<&str> = path.split('.').collect();
            let nest = |value: &str| {
                let below = names.iter().rev();
                below.fold(value.to_owned(), |below, name| format!("{{ {name}: {below} }}"))
            };
            let wrong = match kind {
                Kind::Text | Kind::Secret => "[]",
                Kind::Texts | Kind::Other => continue,
                Kind::Whole(_) | Kind::Port | Kind::Ports | Kind::Real | Kind::Switch | Kind::Duration => {
                    "never"
                }
            };
            let error = read(&nest(wrong), Strictness::Strict).expect_err(path);
            let expected = format!("line 1: {path}: expected {}, not ", kind.expected());
            assert!(error.starts_with(&expected), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }

    #[test]
    fn settings_go_before_the_document() {
        let setting = |path: &'static str, text: &str| {
            let (_, kind) = known::singles().find(|(known, _)| *known == path).unwrap();
            Setting { by: format!("--{path}"), path, kind, text: text.to_owned() }
        };
        let settings = [
            setting("port", "81"),
            setting("rtc.udp_port", "7000-7001"),
            setting("rtc.node_ip", "192.0.2.1"),
            setting("development", "true"),
            setting("video.dynacast_pause_delay", "7s"),
            setting("audio.min_percentile", "50"),
            setting("prometheus.password", "1234"),
            setting("room.sync_streams", "true"),
            setting("rtc.force_tcp", "true"),
        ];
        let text = "port: 80\nkeys: { a: 0123 }\nrtc: { tcp_port: 1, stun_servers: [x] }\nroom:\nlimit: { num_tracks: 4 }\n\
                    room: { enabled_codecs: [{ mime: audio/opus }] }\n";
        let text = text.replace("room:\n", "");
        let document = read_with(&text, &settings, Strictness::Strict).unwrap();
        let config = document.config;
        assert_eq!((config.port, config.development, config.limit.num_tracks), (81, true, 4));
        assert_eq!(config.rtc.udp_port, PortRange::new(7000, 7001));
        assert_eq!(config.rtc.node_ip, ["192.0.2.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(config.rtc.stun_servers, ["x"]);
        assert_eq!(config.keys.get("a").map(String::as_str), Some("0123"), "to the letter");
        assert_eq!(config.video.dynacast_pause_delay, Duration::from_secs(7));
        assert_eq!(config.prometheus.password, "1234");
        assert_eq!(config.room.enabled_codecs.len(), 1);
        let idle: Vec<&str> = document.idle.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(idle, ["rtc.tcp_port", "rtc.force_tcp"]);
        for (path, text, expected) in [
            ("port", "many", "--port: expected a port from 0 to 65535, not \"many\""),
            ("rtc.node_ip", "here", "--rtc.node_ip: \"here\" is not an IP address"),
        ] {
            let error = read_with("", &[setting(path, text)], Strictness::Strict).unwrap_err();
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn secrets_are_not_in_errors() {
        for text in [
            "keys: { a: very-secret }\nport: [1\n",
            "port: x\nkeys: { a: very-secret }\n",
            "keys: { a: very-secret }\nrtc: { node_ip: here }\n",
            "keys: [very-secret]\n",
            "prometheus: { password: [very-secret] }\n",
        ] {
            let error = read(text, Strictness::Strict).expect_err(text);
            assert!(!error.contains("very-secret"), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
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
            ("wrong type", "port: many\n", "line 1: port: expected a port from 0 to 65535, not \"many\""),
            (
                "port out of range",
                "port: 70000\n",
                "line 1: port: expected a port from 0 to 65535, not \"70000\"",
            ),
            ("no range", "rtc:\n  udp_port: 9-1\n", "line 2: rtc.udp_port: expected a port or a range like"),
            ("no duration", "drain_timeout: soon\n", "line 1: drain_timeout: expected a duration like"),
            ("no list", "bind_addresses: here\n", "line 1: bind_addresses: expected a list, not \"here\""),
            ("no address", "rtc:\n  node_ip: here\n", "line 2: rtc.node_ip: "),
            ("no address, why", "rtc:\n  node_ip: here\n", "\"here\" is not an IP address"),
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
        let text = "redis:\n  address: a\n  db: 1\nturn:\n  enabled: true\nnode_selector:\n  regions:\n  - name: a\n  - name: b\n";
        let document = read(text, Strictness::Strict).unwrap();
        let idle: Vec<&str> = document.idle.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(idle, ["redis.address", "redis.db", "turn.enabled", "node_selector.regions.name"]);
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
        assert_eq!(document.idle, []);
        let mut expected = Config::default();
        expected.keys.clone_from(&document.config.keys);
        // Said in words there, and left open here: what is not told depends on the mode.
        expected.logging.level = Some("info".to_owned());
        (expected.rtc.port_range_start, expected.rtc.port_range_end) = (50_000, 60_000);
        (expected.media.io, expected.media.dtls) = (Some("auto".to_owned()), Some("dimpl".to_owned()));
        (expected.media.gso, expected.media.flush_delay_us) = (Some("auto".to_owned()), Some(1000));
        assert_eq!(document.config, expected);
    }

    /// The names of all keys in a document, `*` where the table has one.
    fn names(outline: &Outline, path: &mut Vec<String>, found: &mut Vec<String>) {
        match outline {
            Outline::Mapping(keys) => {
                for key in keys {
                    path.push(key.name.clone());
                    found.push(path.join("."));
                    names(&key.value, path, found);
                    path.pop();
                }
            }
            Outline::Sequence(items) => items.iter().for_each(|item| names(item, path, found)),
            Outline::Scalar(_) | Outline::Nothing => {}
        }
    }

    #[test]
    fn a_configuration_with_each_of_livekits_keys_loads_as_it_is() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/config/livekit.yaml");
        let text = std::fs::read_to_string(path).unwrap();
        let document = read(&text, Strictness::Strict).unwrap();
        assert_eq!(document.config.limit.bytes_per_sec, 1e9);
        assert_eq!(document.config.rtc.turn_servers.len(), 1);
        assert_eq!(document.config.room.room_configurations["lecture"].max_participants, 100);
        let outline: Outline = serde_saphyr::from_str(&text).unwrap();
        let mut found = Vec::new();
        names(&outline, &mut Vec::new(), &mut found);
        for (path, ..) in KEYS {
            let expected = !path.contains('*') && !OURS.contains(path) && !OLD.contains(path);
            assert_eq!(found.iter().any(|name| name == path), expected, "{path}");
        }
    }

    #[test]
    fn the_sample_names_every_key_that_has_effect() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/config-sample.yaml");
        let text = std::fs::read_to_string(path).unwrap();
        let applied = KEYS.iter().filter(|(.., standing)| *standing == Standing::Applied);
        for (path, ..) in applied.filter(|(path, ..)| !path.contains('*')) {
            let name = path.rsplit('.').next().unwrap();
            let told = text.lines().map(|line| line.trim_start_matches(['#', ' ', '-']));
            assert!(
                told.clone()
                    .any(|line| line.starts_with(&format!("{name}:")) || line.contains(&format!("`{name}`"))),
                "{path}"
            );
        }
    }

    const OURS: [&str; 17] = [
        "media_planes",
        "trusted_proxies",
        "drain_timeout",
        "runtime_dir",
        "webhook.outbox_dir",
        "webhook.outbox_max_bytes",
        "webhook.allow_private",
        "room.refuse_duplicates",
        "limit.memory_bytes",
        "media.token",
        "media.workers",
        "media.pin",
        "media.spread_above",
        "media.io",
        "media.gso",
        "media.flush_delay_us",
        "media.dtls",
    ];
    /// Of versions before.
    const OLD: [&str; 1] = ["room.create_room_enabled"];
}
