//! Every key of LiveKit's configuration (v1.13.5), and ours: which are applied, and which are only understood.
//!
//! One table: what is not in it is a typing error, and refused with the nearest name.

/// What a key does here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Applied,
    /// Accepted, and named once in the log.
    NotYet,
}

/// Looks a dotted path up. `*` in the table stands for any name, a trailing `**` for anything below.
pub fn standing(path: &[&str]) -> Option<Standing> {
    KEYS.iter().find(|(pattern, _)| matches(pattern, path)).map(|(_, standing)| *standing)
}

/// Whether anything lies below this path.
pub fn is_section(path: &[&str]) -> bool {
    KEYS.iter().any(|(pattern, _)| {
        let mut parts = pattern.split('.');
        path.iter().all(|name| parts.next().is_some_and(|part| part == *name || part == "*"))
            && parts.next().is_some()
    })
}

/// The known name that is most like `name`, beside it.
pub fn nearest(parent: &[&str], name: &str) -> Option<&'static str> {
    let siblings = KEYS.iter().filter_map(|(pattern, _)| {
        let mut parts = pattern.split('.');
        parent.iter().all(|above| parts.next() == Some(above)).then(|| parts.next())?
    });
    let scored = siblings.map(|sibling| (distance(name, sibling), sibling));
    let (distance, sibling) = scored.min()?;
    (distance <= 1 + name.len() / 3).then_some(sibling)
}

fn matches(pattern: &str, path: &[&str]) -> bool {
    let mut names = path.iter();
    for part in pattern.split('.') {
        if part == "**" {
            return names.next().is_some();
        }
        if !names.next().is_some_and(|name| part == "*" || part == *name) {
            return false;
        }
    }
    names.next().is_none()
}

/// Levenshtein's: insertions, deletions and replacements from one to the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (above, letter) in one.chars().take(NAME_LEN_MAX).enumerate() {
        let mut diagonal = above;
        let mut left = above + 1;
        for (cell, against) in row.iter_mut().skip(1).zip(&other) {
            let replaced = diagonal + usize::from(letter != *against);
            diagonal = *cell;
            left = replaced.min(*cell + 1).min(left + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = above + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

const NAME_LEN_MAX: usize = 64;

use Standing::{Applied, NotYet};

#[rustfmt::skip]
pub(super) const KEYS: &[(&str, Standing)] = &[
    ("port", Applied),
    ("bind_addresses", Applied),
    ("keys.*", Applied),
    ("key_file", Applied),
    ("log_level", Applied),
    ("logging.level", Applied),
    ("logging.json", Applied),
    ("logging.sample", NotYet),
    ("logging.component_levels.**", NotYet),
    ("logging.pion_level", NotYet),
    ("region", Applied),
    ("development", Applied),
    ("prometheus_port", Applied),
    ("prometheus.port", Applied),
    ("prometheus.username", Applied),
    ("prometheus.password", Applied),
    ("debug_handler.port", NotYet),

    ("rtc.udp_port", Applied),
    ("rtc.tcp_port", NotYet),
    ("rtc.port_range_start", Applied),
    ("rtc.port_range_end", Applied),
    ("rtc.node_ip", Applied),
    ("rtc.use_external_ip", Applied),
    ("rtc.stun_servers", Applied),
    ("rtc.enable_loopback_candidate", Applied),
    ("rtc.external_ip_only", NotYet),
    ("rtc.advertise_internal_ip", NotYet),
    ("rtc.skip_external_ip_validation", NotYet),
    ("rtc.use_stun_port_as_ice", NotYet),
    ("rtc.turn_servers.**", NotYet),
    ("rtc.use_ice_lite", NotYet),
    ("rtc.interfaces.includes", NotYet),
    ("rtc.interfaces.excludes", NotYet),
    ("rtc.ips.includes", NotYet),
    ("rtc.ips.excludes", NotYet),
    ("rtc.use_mdns", NotYet),
    ("rtc.force_tcp", NotYet),
    ("rtc.batch_io.**", NotYet),
    ("rtc.sctp_min_cwnd", NotYet),
    ("rtc.sctp_fast_rtx_wnd", NotYet),
    ("rtc.sctp_cwnd_ca_step", NotYet),
    ("rtc.host_acceptance_min_wait", NotYet),
    ("rtc.srflx_acceptance_min_wait", NotYet),
    ("rtc.prflx_acceptance_min_wait", NotYet),
    ("rtc.relay_acceptance_min_wait", NotYet),
    ("rtc.strict_acks", NotYet),
    ("rtc.packet_buffer_size", NotYet),
    ("rtc.packet_buffer_size_video", NotYet),
    ("rtc.packet_buffer_size_audio", NotYet),
    ("rtc.pli_throttle.low_quality", NotYet),
    ("rtc.pli_throttle.mid_quality", NotYet),
    ("rtc.pli_throttle.high_quality", NotYet),
    ("rtc.congestion_control.**", NotYet),
    ("rtc.allow_tcp_fallback", NotYet),
    ("rtc.tcp_fallback_rtt_threshold", NotYet),
    ("rtc.allow_udp_unstable_fallback", NotYet),
    ("rtc.reconnect_on_publication_error", NotYet),
    ("rtc.reconnect_on_subscription_error", NotYet),
    ("rtc.reconnect_on_data_channel_error", NotYet),
    ("rtc.data_channel_max_buffered_amount", NotYet),
    ("rtc.datachannel_slow_threshold", NotYet),
    ("rtc.datachannel_lossy_target_latency", NotYet),
    ("rtc.datachannel_data_track_target_latency", NotYet),
    ("rtc.forward_stats.**", NotYet),
    ("rtc.enable_rtp_stream_restart_detection", NotYet),

    ("redis.**", NotYet),

    ("audio.active_level", Applied),
    ("audio.min_percentile", Applied),
    ("audio.update_interval", Applied),
    ("audio.smooth_intervals", Applied),
    ("audio.active_red_encoding", Applied),
    ("audio.enable_loss_proxying", NotYet),

    ("video.dynacast_pause_delay", Applied),
    ("video.codec_regression_threshold", NotYet),
    ("video.stream_tracker_manager.**", NotYet),
    ("video.stream_tracker.**", NotYet),

    ("room.auto_create", Applied),
    ("room.enabled_codecs.mime", Applied),
    ("room.enabled_codecs.fmtp_line", Applied),
    ("room.max_participants", Applied),
    ("room.empty_timeout", Applied),
    ("room.departure_timeout", Applied),
    ("room.enable_remote_unmute", Applied),
    ("room.playout_delay.enabled", Applied),
    ("room.playout_delay.min", Applied),
    ("room.playout_delay.max", Applied),
    ("room.sync_streams", Applied),
    ("room.refuse_duplicates", Applied),
    ("room.create_room_enabled", NotYet),
    ("room.create_room_timeout", NotYet),
    ("room.create_room_attempts", NotYet),
    ("room.update_batch_target_size", Applied),
    ("room.room_configurations.**", Applied),

    ("limit.num_tracks", Applied),
    ("limit.bytes_per_sec", NotYet),
    ("limit.subscription_limit_video", Applied),
    ("limit.subscription_limit_audio", Applied),
    ("limit.max_metadata_size", Applied),
    ("limit.max_attributes_size", Applied),
    ("limit.max_room_name_length", Applied),
    ("limit.max_participant_identity_length", Applied),
    ("limit.max_participant_name_length", Applied),
    ("limit.max_data_blob_key_length", NotYet),
    ("limit.max_data_blobs_size", NotYet),
    ("limit.max_data_track_custom_encoding_length", NotYet),

    ("turn.**", NotYet),
    ("webhook.**", NotYet),
    ("node_selector.**", NotYet),
    ("node_stats.**", NotYet),
    ("signal_relay.**", NotYet),
    ("psrpc.**", NotYet),
    ("agents.**", NotYet),
    ("api.**", NotYet),
    ("ingress.**", NotYet),
    ("sip.**", NotYet),
    ("metric.**", NotYet),
    ("trace.**", NotYet),
    ("enable_data_tracks", NotYet),
    ("enable_participant_data_blob", NotYet),

    // Ours.
    ("media_planes", Applied),
    ("trusted_proxies", Applied),
    ("drain_timeout", Applied),
    ("runtime_dir", Applied),
    ("limit.memory_bytes", Applied),
    ("media.token", Applied),
    ("media.workers", Applied),
    ("media.pin", Applied),
    ("media.spread_above", Applied),
    ("media.io", Applied),
    ("media.gso", Applied),
    ("media.flush_delay_us", Applied),
    ("media.dtls", Applied),
];
