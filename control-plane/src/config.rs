//! LiveKit's YAML configuration: read, checked, with its defaults.

pub mod default;
pub mod duration;
pub mod interfaces;
pub mod keys;
pub mod kind;
pub mod known;
pub mod live;
pub mod network;
pub mod outline;
pub mod port_range;
pub mod read;
pub mod settle;
pub mod table;
pub mod turn_server;
pub mod webhook;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use indexmap::IndexMap;
use livekit_protocol::RoomConfiguration;
use serde::{Deserialize, Deserializer};

use crate::config::network::Network;
use crate::config::port_range::PortRange;
use crate::config::turn_server::TurnServer;
use crate::config::webhook::Webhook;

/// Everything that the control plane was told, defaults filled in.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Config {
    pub port: u16,
    /// Empty: every address.
    #[serde(deserialize_with = "or_default")]
    pub bind_addresses: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub keys: IndexMap<String, String>,
    pub key_file: Option<PathBuf>,
    pub log_level: Option<String>,
    #[serde(deserialize_with = "or_default")]
    pub logging: Logging,
    pub region: String,
    /// `--dev` or `development: true`: the page at `/`, its tokens, `simulate`.
    pub development: bool,
    /// The old place of `prometheus.port`.
    pub prometheus_port: u16,
    #[serde(deserialize_with = "or_default")]
    pub prometheus: Prometheus,
    #[serde(deserialize_with = "or_default")]
    pub rtc: Rtc,
    #[serde(deserialize_with = "or_default")]
    pub room: Room,
    #[serde(deserialize_with = "or_default")]
    pub audio: Audio,
    #[serde(deserialize_with = "or_default")]
    pub video: Video,
    #[serde(deserialize_with = "or_default")]
    pub limit: Limit,
    #[serde(deserialize_with = "or_default")]
    pub agents: Agents,
    pub enable_data_tracks: bool,
    /// Whether participants may store blobs for each other.
    pub enable_participant_data_blob: bool,
    /// Ours: gRPC addresses of media planes (`unix:/path` or `http://host:port`). Empty: one is started as a child.
    #[serde(deserialize_with = "or_default")]
    pub media_planes: Vec<String>,
    /// Ours: who is believed about the addresses of those it forwards.
    #[serde(deserialize_with = "or_default")]
    pub trusted_proxies: Vec<Network>,
    /// Ours: how long a drain waits for rooms to empty.
    #[serde(deserialize_with = "duration::deserialize")]
    pub drain_timeout: Duration,
    /// Ours: where the socket of a child media plane lives.
    pub runtime_dir: Option<PathBuf>,
    #[serde(deserialize_with = "or_default")]
    pub media: Media,
    #[serde(deserialize_with = "or_default")]
    pub webhook: Webhook,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Logging {
    pub level: Option<String>,
    pub json: bool,
}

/// Where metrics are scraped, and with which password.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Prometheus {
    /// 0: nowhere.
    pub port: u16,
    pub username: String,
    pub password: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Rtc {
    /// One UDP port per worker is taken from here, when set.
    pub udp_port: Option<PortRange>,
    /// Understood; no TCP candidate is advertised yet.
    pub tcp_port: u16,
    pub port_range_start: u16,
    pub port_range_end: u16,
    /// Advertised in candidates instead of the local addresses: one, or an IPv4 and an IPv6 one.
    #[serde(deserialize_with = "node_ip")]
    pub node_ip: Vec<IpAddr>,
    pub use_external_ip: bool,
    #[serde(deserialize_with = "or_default")]
    pub stun_servers: Vec<String>,
    pub enable_loopback_candidate: bool,
    /// Told to clients.
    #[serde(deserialize_with = "or_default")]
    pub turn_servers: Vec<TurnServer>,
    /// Names of those whose addresses are advertised.
    #[serde(deserialize_with = "or_default")]
    pub interfaces: Choice<String>,
    #[serde(deserialize_with = "or_default")]
    pub ips: Choice<Network>,
}

/// Some of all: those that are included, or all if none is named; without those that are excluded.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, bound = "T: Deserialize<'de>")]
pub struct Choice<T> {
    #[serde(deserialize_with = "or_default")]
    pub includes: Vec<T>,
    #[serde(deserialize_with = "or_default")]
    pub excludes: Vec<T>,
}

impl<T> Default for Choice<T> {
    fn default() -> Self {
        Self { includes: Vec::new(), excludes: Vec::new() }
    }
}

impl<T> Choice<T> {
    pub const fn is_everything(&self) -> bool {
        self.includes.is_empty() && self.excludes.is_empty()
    }

    pub fn takes(&self, is_it: impl Fn(&T) -> bool) -> bool {
        (self.includes.is_empty() || self.includes.iter().any(&is_it)) && !self.excludes.iter().any(&is_it)
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Room {
    pub auto_create: bool,
    pub enabled_codecs: Vec<CodecSpec>,
    pub max_participants: u32,
    /// Seconds until a room nobody joined closes.
    pub empty_timeout: u32,
    /// Seconds until a room everybody left closes.
    pub departure_timeout: u32,
    pub update_batch_target_size: usize,
    #[serde(deserialize_with = "or_default")]
    pub playout_delay: PlayoutDelay,
    /// Whether the server API may unmute what its publisher muted.
    pub enable_remote_unmute: bool,
    pub sync_streams: bool,
    /// Ours: who comes with the identity of somebody who is there is refused, instead of taking its place.
    pub refuse_duplicates: bool,
    /// Presets for rooms, by the name that requests and tokens use.
    #[serde(deserialize_with = "or_default")]
    pub room_configurations: IndexMap<String, RoomConfiguration>,
}

/// How long subscribers should hold pictures, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PlayoutDelay {
    pub enabled: bool,
    pub min: u32,
    pub max: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct CodecSpec {
    pub mime: String,
    #[serde(default)]
    pub fmtp_line: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Audio {
    /// -dBov: a level at or below it counts as speech.
    pub active_level: u8,
    /// Percent of the interval that has to be active.
    pub min_percentile: u8,
    /// Milliseconds between updates of the speakers.
    pub update_interval: u32,
    pub smooth_intervals: u32,
    /// Opus goes out as RED to who takes it, where the publisher sends none.
    pub active_red_encoding: bool,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Video {
    /// How long a publisher still sends a quality that nobody wants any more.
    #[serde(deserialize_with = "duration::deserialize")]
    pub dynacast_pause_delay: Duration,
}

/// How agent workers are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Agents {
    /// Workers that say they are busier than this are asked only if all are.
    pub target_load: f32,
}

/// 0 means unlimited.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Limit {
    pub num_tracks: u32,
    /// Of the media planes, in and out.
    pub bytes_per_sec: f64,
    pub max_metadata_size: usize,
    pub max_attributes_size: usize,
    pub max_room_name_length: usize,
    pub max_participant_identity_length: usize,
    pub max_participant_name_length: usize,
    /// Tracks of a kind that one participant is sent; what it wants beyond waits until others end.
    pub subscription_limit_video: usize,
    pub subscription_limit_audio: usize,
    pub max_data_blob_key_length: usize,
    /// Bytes of all blobs of a participant.
    pub max_data_blobs_size: usize,
    /// Of a name that a data track's publisher makes up for its encoding.
    pub max_data_track_custom_encoding_length: usize,
    /// Ours: of both planes together; joins are refused shortly before. 0: what the control group may have.
    pub memory_bytes: u64,
}

/// Ours: how media planes are spoken to, and how the child runs.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Media {
    /// The secret that media planes on TCP ask for.
    pub token: Option<String>,
    pub workers: Option<u16>,
    /// Whether the child ties its workers to cores; absent: if there are enough.
    pub pin: Option<bool>,
    /// Peer connections on a worker from which on who joins its rooms lives on others. 0: rooms are never spread.
    pub spread_above: u32,
    /// `auto`, `io_uring`, `epoll`.
    pub io: Option<String>,
    /// `auto`, `off`.
    pub gso: Option<String>,
    /// How long datagrams may gather when a worker is all but saturated; at most 10,000.
    pub flush_delay_us: Option<u32>,
    /// `dimpl`, `webrtc`.
    pub dtls: Option<String>,
}

/// A section without anything in it is null in YAML.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// LiveKit takes one address, or an IPv4 and an IPv6 one with a comma between.
fn node_ip<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IpAddr>, D::Error> {
    let text = String::deserialize(from)?;
    parse_node_ip(&text).map_err(serde::de::Error::custom)
}

pub fn parse_node_ip(text: &str) -> Result<Vec<IpAddr>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| part.parse().map_err(|_| format!("{part:?} is not an IP address"))).collect()
}

impl std::fmt::Debug for Prometheus {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { port, username, password: _ } = self;
        formatter
            .debug_struct("Prometheus")
            .field("port", port)
            .field("username", username)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Media {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { token: _, workers, pin, spread_above, io, gso, flush_delay_us, dtls } = self;
        formatter
            .debug_struct("Media")
            .field("workers", workers)
            .field("pin", pin)
            .field("spread_above", spread_above)
            .field("io", io)
            .field("gso", gso)
            .field("flush_delay_us", flush_delay_us)
            .field("dtls", dtls)
            .finish_non_exhaustive()
    }
}
