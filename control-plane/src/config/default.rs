//! LiveKit's defaults (v1.13.5, `pkg/config/config.go`).

use std::time::Duration;

use indexmap::IndexMap;

use crate::config::webhook::Webhook;
use crate::config::{
    Agents, Audio, Choice, CodecSpec, Config, Limit, Logging, Media, PlayoutDelay, Prometheus, Room, Rtc,
    Video,
};

impl Default for Config {
    fn default() -> Self {
        Self {
            port: 7880,
            bind_addresses: Vec::new(),
            keys: IndexMap::new(),
            key_file: None,
            log_level: None,
            logging: Logging::default(),
            region: String::new(),
            development: false,
            prometheus_port: 0,
            prometheus: Prometheus::default(),
            rtc: Rtc::default(),
            room: Room::default(),
            audio: Audio::default(),
            video: Video::default(),
            limit: Limit::default(),
            agents: Agents::default(),
            enable_data_tracks: true,
            enable_participant_data_blob: false,
            media_planes: Vec::new(),
            trusted_proxies: Vec::new(),
            drain_timeout: Duration::from_secs(30 * 60),
            runtime_dir: None,
            media: Media::default(),
            webhook: Webhook::default(),
        }
    }
}

impl Default for Media {
    fn default() -> Self {
        Self {
            token: None,
            workers: None,
            pin: None,
            spread_above: 400,
            io: None,
            gso: None,
            flush_delay_us: None,
            dtls: None,
        }
    }
}

impl Default for Rtc {
    fn default() -> Self {
        Self {
            udp_port: None,
            tcp_port: 7881,
            port_range_start: 0,
            port_range_end: 0,
            node_ip: Vec::new(),
            use_external_ip: false,
            stun_servers: Vec::new(),
            enable_loopback_candidate: false,
            turn_servers: Vec::new(),
            interfaces: Choice::default(),
            ips: Choice::default(),
        }
    }
}

impl Default for Room {
    fn default() -> Self {
        Self {
            auto_create: true,
            enabled_codecs: ENABLED_CODECS.map(CodecSpec::of).into(),
            max_participants: 0,
            empty_timeout: 300,
            departure_timeout: 20,
            update_batch_target_size: 128 * 1024,
            playout_delay: PlayoutDelay::default(),
            enable_remote_unmute: false,
            sync_streams: false,
            refuse_duplicates: false,
            room_configurations: IndexMap::new(),
        }
    }
}

impl CodecSpec {
    fn of(mime: &str) -> Self {
        Self { mime: mime.to_owned(), fmtp_line: String::new() }
    }
}

impl Default for Audio {
    fn default() -> Self {
        Self {
            active_level: 35,
            min_percentile: 40,
            update_interval: 400,
            smooth_intervals: 2,
            active_red_encoding: false,
        }
    }
}

impl Default for Video {
    fn default() -> Self {
        Self { dynacast_pause_delay: Duration::from_secs(5) }
    }
}

impl Default for Agents {
    fn default() -> Self {
        Self { target_load: 0.7 }
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self {
            num_tracks: 0,
            bytes_per_sec: 0.0,
            max_metadata_size: 512 * 1024,
            max_attributes_size: 64 * 1024,
            max_room_name_length: 256,
            max_participant_identity_length: 256,
            max_participant_name_length: 256,
            subscription_limit_video: 0,
            subscription_limit_audio: 0,
            max_data_blob_key_length: 256,
            max_data_blobs_size: 64_000,
            max_data_track_custom_encoding_length: 32,
            memory_bytes: 0,
        }
    }
}

/// In the order in which a client sees them.
const ENABLED_CODECS: [&str; 10] = [
    "audio/PCMU",
    "audio/PCMA",
    "audio/opus",
    "audio/red",
    "video/VP8",
    "video/H264",
    "video/VP9",
    "video/AV1",
    "video/H265",
    "video/rtx",
];
