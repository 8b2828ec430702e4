//! The configuration in force: file, environment and flags together, checked, and what to say about it.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::thread;

use indexmap::IndexMap;
use url::{Host, Url};

use logs::stderr;

use crate::auth::token::Keys;
use crate::cli::{Serve, Source};
use crate::config::port_range::PortRange;
use crate::config::read::{Document, Setting, Strictness};
use crate::config::turn_server::TurnServer;
use crate::config::webhook::Webhook;
use crate::config::{Config, Rtc, keys, parse_node_ip, read};
use crate::media::address::Address;
use crate::webhook::reach;

/// What the server starts from.
#[derive(Debug)]
pub struct Settled {
    pub config: Config,
    pub keys: Keys,
    pub bind: Vec<IpAddr>,
    /// For the log, once there is one.
    pub remarks: Vec<String>,
    pub warnings: Vec<String>,
}

/// # Errors
/// A sentence for the operator.
pub fn settle(arguments: &Serve) -> Result<Settled, String> {
    let Read { mut config, idle, mut warnings } = read_all(arguments)?;
    let bind = bind_addresses(&config, arguments)?;
    let (keys, bind) = match keys_of(&arguments.source, &mut config)? {
        keys if !keys.is_empty() => (keys, bind),
        _ if config.development => {
            config.keys.insert(PLACEHOLDER.0.to_owned(), PLACEHOLDER.1.to_owned());
            warnings.push(format!(
                "no keys were given: using API key {:?} with secret {:?}, which everybody knows",
                PLACEHOLDER.0, PLACEHOLDER.1
            ));
            // Clients are on this host then, and it may have no other address.
            let bind = if bind.is_empty() { LOOPBACK.to_vec() } else { bind };
            config.rtc.enable_loopback_candidate |= bind.iter().all(IpAddr::is_loopback);
            (keys::check(&config.keys)?, bind)
        }
        _ => return Err(NO_KEYS.to_owned()),
    };
    if !config.development {
        warnings.extend(keys::weak(&config.keys).into_iter().map(|key| {
            format!(
                "the secret of API key {key:?} is shorter than 32 characters and can be guessed from a token"
            )
        }));
    }
    warnings.extend(webhooks(&config, &keys)?);
    // They are in `keys`, which does not show them.
    config.keys.clear();
    Ok(Settled { config, keys, bind, remarks: remarks(&idle, arguments), warnings })
}

/// What was told, before anybody asked for keys.
#[derive(Debug)]
pub struct Read {
    pub config: Config,
    /// Keys without effect here, and why.
    pub idle: Vec<(String, &'static str)>,
    pub warnings: Vec<String>,
}

/// # Errors
/// A sentence for the operator.
pub fn read_all(arguments: &Serve) -> Result<Read, String> {
    let Document { mut config, idle, unknown, .. } = document(&arguments.source, &arguments.overrides.0)?;
    let mut warnings = unknown;
    warnings.extend(apply(arguments, &mut config)?);
    bind_addresses(&config, arguments)?;
    Ok(Read { config, idle, warnings })
}

/// The keys that tokens are made with, without a whole server.
///
/// # Errors
/// A sentence for the operator.
pub fn signing_keys(source: &Source, development: bool) -> Result<Keys, String> {
    let mut config = document(source, &[])?.config;
    let keys = keys_of(source, &mut config)?;
    if keys.is_empty() && (development || config.development) {
        return keys::check(&IndexMap::from([(PLACEHOLDER.0.to_owned(), PLACEHOLDER.1.to_owned())]));
    }
    Ok(keys)
}

/// The body goes before the file, as in livekit-server.
fn document(source: &Source, settings: &[Setting]) -> Result<Document, String> {
    let strictness = if source.disable_strict_config { Strictness::Lenient } else { Strictness::Strict };
    if let Some(body) = source.config_body.as_deref().filter(|body| !body.is_empty()) {
        return read::read_with(body, settings, strictness)
            .map_err(|error| format!("configuration in --config-body: {error}"));
    }
    let Some(path) = &source.config else { return read::read_with("", settings, strictness) };
    let shown = path.display();
    let text = fs::read_to_string(path).map_err(|error| format!("configuration {shown}: {error}"))?;
    read::read_with(&text, settings, strictness).map_err(|error| format!("configuration {shown}: {error}"))
}

/// Flags go before the document. Gives what to warn of.
fn apply(arguments: &Serve, config: &mut Config) -> Result<Option<String>, String> {
    config.development |= arguments.dev;
    let level = log_filter(config);
    stderr::check(&level).map_err(|error| format!("logging.level: {error}"))?;
    config.logging.level = Some(level);
    config.rtc.turn_servers.iter_mut().try_for_each(TurnServer::settle)?;
    for plane in &config.media_planes {
        plane.parse::<Address>().map_err(|error| format!("media_planes: {error}"))?;
    }
    if let Some(text) = &arguments.node_ip {
        config.rtc.node_ip = parse_node_ip(text).map_err(|error| format!("--node-ip: {error}"))?;
    }
    if let Some(address) =
        config.rtc.node_ip.iter().find(|address| address.is_unspecified() || address.is_multicast())
    {
        return Err(format!("node_ip {address} is no address that a client could send to"));
    }
    if let Some(region) = &arguments.region {
        config.region.clone_from(region);
    }
    config.media.token = arguments.media_token.clone().or_else(|| config.media.token.take());
    config.media.workers = arguments.workers.or(config.media.workers);
    config.media.pin = arguments.pin().or(config.media.pin);
    config.media.io = arguments.io.map(|io| io.name().to_owned()).or_else(|| config.media.io.take());
    config.media.dtls =
        arguments.dtls.map(|dtls| dtls.name().to_owned()).or_else(|| config.media.dtls.take());
    config.rtc.udp_port = arguments.udp_port.or(config.rtc.udp_port);
    let idle = idle_keys(config);
    let warning = (!config.media_planes.is_empty() && !idle.is_empty()).then(|| {
        format!(
            "media_planes is set, and those are started by others: {} has no effect here; it is for the arguments of \
             millrace-media",
            idle.join(", ")
        )
    });
    ports(config)?;
    prometheus(config)?;
    Ok(warning)
}

/// Moves the port from its old place.
fn prometheus(config: &mut Config) -> Result<(), String> {
    if config.prometheus.port == 0 {
        config.prometheus.port = config.prometheus_port;
    }
    if config.prometheus.username.is_empty() != config.prometheus.password.is_empty() {
        return Err(
            "prometheus.username and prometheus.password belong together: one of them is missing".to_owned()
        );
    }
    Ok(())
}

/// Gives what to warn of. URLs are not shown whole: there may be a secret in them.
fn webhooks(config: &Config, keys: &Keys) -> Result<Vec<String>, String> {
    let Webhook { urls, api_key, .. } = &config.webhook;
    if !urls.is_empty() && !keys.contains(api_key) {
        return Err(format!(
            "webhook.api_key {api_key:?} is none of the keys: its secret signs what is sent"
        ));
    }
    let mut warnings = Vec::new();
    for (index, url) in urls.iter().enumerate() {
        let refused = |what: &str| format!("webhook.urls, number {}: {what}", index + 1);
        let url = Url::parse(url).map_err(|error| refused(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refused("neither http nor https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("it has a user name or password in it, where the signature goes"));
        }
        let address = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::from(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::from(address)),
            _ => None,
        };
        if let Some(private) = address.and_then(|address| reach::check(config, address).err()) {
            warnings.push(refused(&format!("nothing will be sent there, for {private}")));
        }
    }
    Ok(warnings)
}

/// What was said of a media plane of our own.
fn idle_keys(config: &Config) -> Vec<&'static str> {
    let (rtc, media, default) = (&config.rtc, &config.media, Rtc::default());
    let said = [
        ("rtc.udp_port", rtc.udp_port != default.udp_port),
        ("rtc.port_range_start", rtc.port_range_start != default.port_range_start),
        ("rtc.port_range_end", rtc.port_range_end != default.port_range_end),
        ("rtc.node_ip", rtc.node_ip != default.node_ip),
        ("rtc.use_external_ip", rtc.use_external_ip != default.use_external_ip),
        ("rtc.interfaces", rtc.interfaces != default.interfaces),
        ("rtc.ips", rtc.ips != default.ips),
        ("rtc.enable_loopback_candidate", rtc.enable_loopback_candidate != default.enable_loopback_candidate),
        ("media.workers", media.workers.is_some()),
        ("media.pin", media.pin.is_some()),
        ("media.io", media.io.is_some()),
        ("media.gso", media.gso.is_some()),
        ("media.flush_delay_us", media.flush_delay_us.is_some()),
        ("media.dtls", media.dtls.is_some()),
        ("runtime_dir", config.runtime_dir.is_some()),
    ];
    said.into_iter().filter_map(|(name, said)| said.then_some(name)).collect()
}

/// Both planes take it.
fn log_filter(config: &Config) -> String {
    let told = config.logging.level.as_deref().or(config.log_level.as_deref());
    told.unwrap_or(if config.development { "debug" } else { "info" }).to_owned()
}

/// A range has a port for each worker; one port is for all.
fn ports(config: &mut Config) -> Result<(), String> {
    if config.media.workers == Some(0) {
        return Err("media.workers is 0: somebody has to forward packets".to_owned());
    }
    let range = (config.rtc.port_range_start, config.rtc.port_range_end);
    if range != (0, 0) && PortRange::new(range.0, range.1).is_none() {
        return Err(format!("rtc.port_range_start {} and port_range_end {} are no range", range.0, range.1));
    }
    if config.development && config.rtc.udp_port.is_none() && range == (0, 0) {
        let workers = config.media.workers.unwrap_or(1);
        let last = DEVELOPMENT_UDP_PORT.checked_add(workers - 1);
        let last = last.ok_or_else(|| {
            format!("{workers} workers need as many UDP ports, and there are not so many after {DEVELOPMENT_UDP_PORT}")
        })?;
        config.rtc.udp_port = PortRange::new(DEVELOPMENT_UDP_PORT, last);
        config.media.workers = Some(workers);
    }
    let Some(range) = config.rtc.udp_port else { return Ok(()) };
    match config.media.workers {
        Some(workers) if range.count() > 1 && workers > range.count() => Err(format!(
            "{workers} workers need as many UDP ports, and rtc.udp_port is {range}: make it {}-{}",
            range.first(),
            range.first().saturating_add(workers - 1)
        )),
        Some(_) => Ok(()),
        None => {
            config.media.workers = Some(cores().min(range.count()));
            Ok(())
        }
    }
}

fn bind_addresses(config: &Config, arguments: &Serve) -> Result<Vec<IpAddr>, String> {
    if !arguments.bind.is_empty() {
        return Ok(arguments.bind.clone());
    }
    // LiveKit writes "" for all.
    let named = config.bind_addresses.iter().filter(|address| !address.is_empty());
    named
        .map(|address| {
            address.parse().map_err(|_| format!("bind_addresses: {address:?} is not an IP address"))
        })
        .collect()
}

/// From the flag or the environment, else from the key file, else from the document.
///
/// # Errors
/// A sentence for the operator.
pub fn keys_of(source: &Source, config: &mut Config) -> Result<Keys, String> {
    let file = source.key_file.clone().or_else(|| config.key_file.clone());
    let file = file.filter(|path| !path.as_os_str().is_empty());
    if let Some(text) = source.keys.as_deref().filter(|text| !text.trim().is_empty()) {
        config.keys = keys::parse(text).map_err(|error| format!("--keys or LIVEKIT_KEYS: {error}"))?;
    } else if let Some(path) = file {
        config.keys = keys::read_file(&path)?;
    }
    keys::check(&config.keys)
}

/// What to say of keys without effect, those with the same reason together.
#[must_use]
pub fn of_idle(idle: &[(String, &'static str)]) -> Option<String> {
    let mut by_reason: IndexMap<&str, Vec<&str>> = IndexMap::new();
    for (name, why) in idle {
        by_reason.entry(why).or_default().push(name);
    }
    let told = by_reason.iter().map(|(why, names)| format!("{} ({why})", names.join(", ")));
    let told = told.collect::<Vec<_>>().join("; ");
    (!told.is_empty()).then(|| format!("configuration without effect: {told}"))
}

fn remarks(idle: &[(String, &'static str)], arguments: &Serve) -> Vec<String> {
    let keys = of_idle(idle);
    let flags = arguments.later.given();
    let flags = (!flags.is_empty()).then(|| format!("flags without effect: {}", flags.join(", ")));
    keys.into_iter().chain(flags).collect()
}

fn cores() -> u16 {
    thread::available_parallelism().ok().and_then(|cores| u16::try_from(cores.get()).ok()).unwrap_or(1).max(1)
}

const PLACEHOLDER: (&str, &str) = ("devkey", "secret");
const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
const DEVELOPMENT_UDP_PORT: u16 = 7882;
pub const NO_KEYS: &str = "no API keys: give LIVEKIT_KEYS, --keys, --key-file or `keys` in the configuration \
    (`millrace generate-keys` makes one), or --dev to try things out";

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Arguments;

    fn settled(line: &str, yaml: &str) -> Result<Settled, String> {
        let words = std::iter::once("millrace").chain(line.split_whitespace());
        let mut serve = Arguments::try_parse_from(words).map_err(|error| error.to_string())?.serve;
        // The environment of whoever runs the tests is not part of them.
        serve.source.keys =
            serve.source.keys.filter(|_| line.contains("--keys")).map(|keys| keys.replace('=', ": "));
        serve.source.config_body = Some(yaml.to_owned()).filter(|yaml| !yaml.is_empty());
        settle(&serve)
    }

    fn addresses(settled: &Settled) -> String {
        settled.bind.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn placeholder_keys_bind_to_loopback_and_given_ones_do_not() {
        let keys = "keys: { a: b }\n";
        for (name, line, yaml, bind, first_key, loopback_candidate) in [
            ("development", "--dev", "", "127.0.0.1 ::1", "devkey", true),
            ("development by configuration", "", "development: true\n", "127.0.0.1 ::1", "devkey", true),
            ("development with keys", "--dev --keys a=b", "", "", "a", false),
            ("development with keys in the file", "--dev", keys, "", "a", false),
            ("development, told where to bind", "--dev --bind 0.0.0.0", "", "0.0.0.0", "devkey", false),
            ("production", "--keys a=b", "", "", "a", false),
            (
                "production, told where",
                "--keys a=b --bind ::1 --bind 192.0.2.1",
                "",
                "::1 192.0.2.1",
                "a",
                false,
            ),
            (
                "flags before the file",
                "--keys c=d --bind ::1",
                "keys: { a: b }\nbind_addresses: [192.0.2.1]\n",
                "::1",
                "c",
                false,
            ),
            (
                "from the file",
                "",
                "keys: { a: b }\nbind_addresses: ['', 192.0.2.1]\n",
                "192.0.2.1",
                "a",
                false,
            ),
        ] {
            let settled = settled(line, yaml).expect(name);
            assert_eq!(addresses(&settled), bind, "{name}");
            assert_eq!(settled.keys.first_api_key().as_deref(), Some(first_key), "{name}");
            assert_eq!(settled.config.rtc.enable_loopback_candidate, loopback_candidate, "{name}");
            let warned = settled.warnings.iter().any(|warning| warning.contains("everybody knows"));
            assert_eq!(warned, first_key == "devkey", "{name}");
        }
    }

    #[test]
    fn ports_and_workers_agree() {
        let cores = cores();
        for (name, line, ports, workers) in [
            ("production", "--keys a=b", None, None),
            ("development", "--dev", Some((7882, 7882)), Some(1)),
            ("development with workers", "--dev --workers 3", Some((7882, 7884)), Some(3)),
            ("one port", "--keys a=b --udp-port 7000", Some((7000, 7000)), Some(1)),
            ("one port for all", "--keys a=b --udp-port 7000 --workers 2", Some((7000, 7000)), Some(2)),
            ("a range", "--keys a=b --udp-port 7000-7001", Some((7000, 7001)), Some(cores.min(2))),
            (
                "a range and workers",
                "--keys a=b --udp-port 7000-7009 --workers 2",
                Some((7000, 7009)),
                Some(2),
            ),
        ] {
            let rtc = settled(line, "").expect(name).config;
            assert_eq!(rtc.rtc.udp_port.map(|range| (range.first(), range.last())), ports, "{name}");
            assert_eq!(rtc.media.workers, workers, "{name}");
        }
    }

    #[test]
    fn workers_are_tied_to_cores_as_the_flags_say_then_the_file() {
        let pin = "media: { pin: true }\n";
        for (name, line, yaml, expected) in [
            ("nobody said", "--keys a=b", "", None),
            ("the file", "--keys a=b", pin, Some(true)),
            ("a flag", "--keys a=b --pin", "", Some(true)),
            ("a flag against the file", "--keys a=b --no-pin", pin, Some(false)),
        ] {
            assert_eq!(settled(line, yaml).expect(name).config.media.pin, expected, "{name}");
        }
        assert!(settled("--keys a=b --pin --no-pin", "").is_err(), "both");
    }

    #[test]
    fn what_cannot_be_is_said_in_a_sentence() {
        for (name, line, yaml, expected) in [
            ("no keys", "", "", "millrace generate-keys"),
            (
                "webhooks without a key",
                "--keys a=b",
                "webhook: { urls: ['https://x'] }\n",
                "webhook.api_key \"\"",
            ),
            (
                "webhooks to no URL",
                "--keys a=b",
                "webhook: { urls: [x], api_key: a }\n",
                "webhook.urls, number 1: relative URL",
            ),
            (
                "webhooks over something else",
                "--keys a=b",
                "webhook: { urls: ['https://x', 'ftp://x'], api_key: a }\n",
                "webhook.urls, number 2: neither",
            ),
            (
                "webhooks with a password",
                "--keys a=b",
                "webhook: { urls: ['https://u:p@x'], api_key: a }\n",
                "number 1: it has a user name",
            ),
            ("keys without a colon", "--keys ab", "", "`key: secret`"),
            ("empty secret", "", "keys: { a: '' }\n", "\"a\" is empty"),
            (
                "more workers than ports",
                "--keys a=b --udp-port 7000-7001 --workers 3",
                "",
                "make it 7000-7002",
            ),
            ("no range", "--keys a=b", "rtc: { port_range_start: 9, port_range_end: 8 }\n", "are no range"),
            ("half a range", "--keys a=b", "rtc: { port_range_start: 9 }\n", "are no range"),
            ("half a password", "--keys a=b", "prometheus: { username: x }\n", "belong together"),
            (
                "no address to bind to",
                "--keys a=b",
                "bind_addresses: [here]\n",
                "\"here\" is not an IP address",
            ),
            ("node address", "--keys a=b --node-ip here", "", "--node-ip: \"here\""),
            ("node address nobody can reach", "--keys a=b --node-ip 0.0.0.0", "", "0.0.0.0 is no address"),
            ("unknown key", "--keys a=b", "prot: 1\n", "did you mean \"port\""),
            ("no log level", "--keys a=b", "logging: { level: '=x=' }\n", "logging.level"),
            ("no TURN server", "--keys a=b", "rtc: { turn_servers: [{ host: a }] }\n", "a has no port"),
            ("no media plane", "--keys a=b", "media_planes: [somewhere]\n", "media_planes"),
            (
                "a setting",
                "--keys a=b --limit.num_tracks many",
                "",
                "--limit.num_tracks: expected a whole number",
            ),
            ("no workers in the file", "--keys a=b", "media: { workers: 0 }\n", "media.workers is 0"),
            ("more workers than ports there are", "--dev --workers 60000", "", "not so many after 7882"),
            ("no file", "--keys a=b --config /nonexistent.yaml", "", "/nonexistent.yaml"),
            ("no workers", "--keys a=b --workers 0", "", "0 is not in"),
        ] {
            let error = settled(line, yaml).map(|_| ()).expect_err(name);
            assert!(error.contains(expected), "{name}: {error}");
        }
    }

    #[test]
    fn what_is_said_of_our_own_media_plane_is_warned_of_where_there_is_none() {
        for (name, line, yaml, expected) in [
            ("nothing", "", "", None),
            ("what the planes share", "", "rtc: { stun_servers: [a] }\nmedia: { token: t }\n", None),
            ("a flag", "--udp-port 7000", "", Some(": rtc.udp_port has")),
            (
                "keys",
                "",
                "rtc: { node_ip: 192.0.2.1 }\nmedia: { io: epoll }\nruntime_dir: /run/a\n",
                Some(": rtc.node_ip, media.io, runtime_dir has"),
            ),
        ] {
            for planes in ["", "media_planes: ['http://192.0.2.7:9000']\n"] {
                let line = format!("--keys a={} {line}", "b".repeat(32));
                let warnings = settled(&line, &format!("{planes}{yaml}")).expect(name).warnings;
                let expected = expected.filter(|_| !planes.is_empty());
                match expected {
                    None => assert_eq!(warnings, [""; 0], "{name}"),
                    Some(expected) => assert!(warnings[0].contains(expected), "{name}: {warnings:?}"),
                }
            }
        }
    }

    #[test]
    fn what_has_no_effect_is_remarked_once() {
        let settled =
            settled("--keys a=b --redis-host r", "redis: { address: a, db: 1 }\nturn: { enabled: true }\n")
                .unwrap();
        let expected = [
            "configuration without effect: redis.address, redis.db (this server is one node, and shares nothing by \
             Redis); turn.enabled (there is no TURN server inside; rtc.turn_servers tells clients of others)",
            "flags without effect: --redis-host",
        ];
        assert_eq!(settled.remarks, expected);
        assert_eq!(settled.warnings.len(), 1, "the secret is short: {:?}", settled.warnings);
    }
}
