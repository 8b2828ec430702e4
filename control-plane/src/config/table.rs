//! Every key of LiveKit's configuration (v1.13.5), and ours: what its value is, and what it does here.

use crate::config::kind::Kind::{
    self, Duration, Other, Port, Ports, Real, Secret, Switch, Text, Texts, Whole,
};
use crate::config::known::Standing::{self, Applied, Idle};

const COUNT: Kind = Whole(u32::MAX as u64);
const SIZE: Kind = Whole(i64::MAX as u64);

const ONE_NODE: &str = "this server is one node, and shares nothing by Redis";
const NO_TURN: &str = "there is no TURN server inside; rtc.turn_servers tells clients of others";
const NO_TCP: &str = "media goes over UDP only";
const ICE_LITE: &str = "ICE is lite here: the client checks and nominates";
const OWN_SCTP: &str = "the data channels' library has its own";
const OWN_ESTIMATE: &str =
    "layers follow what clients ask for; there is no bandwidth estimation to subscribers";
const OWN_RECOVERY: &str = "what fails is repaired or told by itself, not by a new join of everybody";
const OWN_LOGS: &str = "logging.level takes a filter, as in info,control_plane=debug";
const OWN_TRACKERS: &str = "layers are found by what arrives";
const FIXED_HISTORY: &str =
    "a second of packets is kept, at most 512 of a video encoding and 128 of an audio one";
const OWN_QUEUES: &str =
    "resource_url_notifier bounds what waits, and 16 deliveries to a URL are under way at most";
const NO_CLOUD: &str = "LiveKit's cloud services only";
const NO_WORKERS: &str = "egress, ingress and SIP need workers that speak by Redis";

#[rustfmt::skip]
pub(super) const KEYS: &[(&str, Kind, Standing)] = &[
    ("port", Port, Applied),
    ("bind_addresses", Texts, Applied),
    ("keys.*", Secret, Applied),
    ("key_file", Text, Applied),
    ("log_level", Text, Applied),
    ("logging.level", Text, Applied),
    ("logging.json", Switch, Applied),
    ("logging.sample", Switch, Idle("lines that nobody takes in time are dropped and counted instead")),
    ("logging.component_levels.**", Other, Idle(OWN_LOGS)),
    ("logging.pion_level", Text, Idle(OWN_LOGS)),
    ("region", Text, Applied),
    ("development", Switch, Applied),
    ("prometheus_port", Port, Applied),
    ("prometheus.port", Port, Applied),
    ("prometheus.username", Text, Applied),
    ("prometheus.password", Secret, Applied),
    ("debug_handler.port", Port, Idle("/debug/counts is there in development mode")),

    ("rtc.udp_port", Ports, Applied),
    ("rtc.tcp_port", Port, Idle(NO_TCP)),
    ("rtc.port_range_start", Port, Applied),
    ("rtc.port_range_end", Port, Applied),
    ("rtc.node_ip", Text, Applied),
    ("rtc.use_external_ip", Switch, Applied),
    ("rtc.stun_servers", Texts, Applied),
    ("rtc.enable_loopback_candidate", Switch, Applied),
    ("rtc.external_ip_only", Switch, Idle("with use_external_ip or node_ip, that address is the only one")),
    ("rtc.advertise_internal_ip", Switch, Idle("with use_external_ip or node_ip, that address is the only one")),
    ("rtc.skip_external_ip_validation", Switch, Idle("the external address is not validated")),
    ("rtc.use_stun_port_as_ice", Switch, Idle("candidates have the ports that are listened on")),
    ("rtc.turn_servers.host", Text, Applied),
    ("rtc.turn_servers.port", Port, Applied),
    ("rtc.turn_servers.protocol", Text, Applied),
    ("rtc.turn_servers.username", Text, Applied),
    ("rtc.turn_servers.credential", Secret, Applied),
    ("rtc.turn_servers.secret", Secret, Applied),
    ("rtc.turn_servers.secret_file", Text, Applied),
    ("rtc.turn_servers.ttl", SIZE, Applied),
    ("rtc.use_ice_lite", Switch, Idle("ICE is always lite here")),
    ("rtc.interfaces.includes", Texts, Applied),
    ("rtc.interfaces.excludes", Texts, Applied),
    ("rtc.ips.includes", Texts, Applied),
    ("rtc.ips.excludes", Texts, Applied),
    ("rtc.use_mdns", Switch, Idle("candidates have addresses")),
    ("rtc.force_tcp", Switch, Idle(NO_TCP)),
    ("rtc.batch_io.batch_size", COUNT, Idle("media.io and media.flush_delay_us say how datagrams gather")),
    ("rtc.batch_io.max_flush_interval", Duration, Idle("media.io and media.flush_delay_us say how datagrams gather")),
    ("rtc.sctp_min_cwnd", COUNT, Idle(OWN_SCTP)),
    ("rtc.sctp_fast_rtx_wnd", COUNT, Idle(OWN_SCTP)),
    ("rtc.sctp_cwnd_ca_step", COUNT, Idle(OWN_SCTP)),
    ("rtc.host_acceptance_min_wait", Duration, Idle(ICE_LITE)),
    ("rtc.srflx_acceptance_min_wait", Duration, Idle(ICE_LITE)),
    ("rtc.prflx_acceptance_min_wait", Duration, Idle(ICE_LITE)),
    ("rtc.relay_acceptance_min_wait", Duration, Idle(ICE_LITE)),
    ("rtc.strict_acks", Switch, Idle("negotiations are always strict")),
    ("rtc.packet_buffer_size", COUNT, Idle(FIXED_HISTORY)),
    ("rtc.packet_buffer_size_video", COUNT, Idle(FIXED_HISTORY)),
    ("rtc.packet_buffer_size_audio", COUNT, Idle(FIXED_HISTORY)),
    ("rtc.pli_throttle.low_quality", Duration, Idle("key frames are 500 ms apart at least")),
    ("rtc.pli_throttle.mid_quality", Duration, Idle("key frames are 1 s apart at least")),
    ("rtc.pli_throttle.high_quality", Duration, Idle("key frames are 1 s apart at least")),
    ("rtc.congestion_control.enabled", Switch, Idle(OWN_ESTIMATE)),
    ("rtc.congestion_control.allow_pause", Switch, Idle(OWN_ESTIMATE)),
    ("rtc.congestion_control.use_send_side_bwe_interceptor", Switch, Idle(OWN_ESTIMATE)),
    ("rtc.congestion_control.use_send_side_bwe", Switch, Idle(OWN_ESTIMATE)),
    ("rtc.congestion_control.send_side_bwe_pacer", Text, Idle(OWN_ESTIMATE)),
    ("rtc.congestion_control.**", Other, Idle(OWN_ESTIMATE)),
    ("rtc.allow_tcp_fallback", Switch, Idle(NO_TCP)),
    ("rtc.tcp_fallback_rtt_threshold", COUNT, Idle(NO_TCP)),
    ("rtc.allow_udp_unstable_fallback", Switch, Idle(NO_TCP)),
    ("rtc.reconnect_on_publication_error", Switch, Idle(OWN_RECOVERY)),
    ("rtc.reconnect_on_subscription_error", Switch, Idle(OWN_RECOVERY)),
    ("rtc.reconnect_on_data_channel_error", Switch, Idle(OWN_RECOVERY)),
    ("rtc.data_channel_max_buffered_amount", SIZE, Idle("1 MiB of reliable data waits for a slow receiver")),
    ("rtc.datachannel_slow_threshold", COUNT, Idle("1 MiB of reliable data waits for a slow receiver")),
    ("rtc.datachannel_lossy_target_latency", Duration, Idle("64 KiB of lossy data wait for a slow receiver")),
    ("rtc.datachannel_data_track_target_latency", Duration, Idle("64 KiB of lossy data wait for a slow receiver")),
    ("rtc.forward_stats.**", Other, Idle("latencies are always measured: millrace_media_…_seconds")),
    ("rtc.enable_rtp_stream_restart_detection", Switch, Idle("a stream that starts anew is always noticed")),

    ("redis.address", Text, Idle(ONE_NODE)),
    ("redis.username", Text, Idle(ONE_NODE)),
    ("redis.password", Secret, Idle(ONE_NODE)),
    ("redis.db", COUNT, Idle(ONE_NODE)),
    ("redis.use_tls", Switch, Idle(ONE_NODE)),
    ("redis.tls.**", Other, Idle(ONE_NODE)),
    ("redis.sentinel_master_name", Text, Idle(ONE_NODE)),
    ("redis.sentinel_username", Text, Idle(ONE_NODE)),
    ("redis.sentinel_password", Secret, Idle(ONE_NODE)),
    ("redis.sentinel_addresses", Texts, Idle(ONE_NODE)),
    ("redis.cluster_addresses", Texts, Idle(ONE_NODE)),
    ("redis.dial_timeout", COUNT, Idle(ONE_NODE)),
    ("redis.read_timeout", COUNT, Idle(ONE_NODE)),
    ("redis.write_timeout", COUNT, Idle(ONE_NODE)),
    ("redis.max_redirects", COUNT, Idle(ONE_NODE)),
    ("redis.pool_timeout", Duration, Idle(ONE_NODE)),
    ("redis.pool_size", COUNT, Idle(ONE_NODE)),
    ("redis.**", Other, Idle(ONE_NODE)),

    ("audio.active_level", Whole(127), Applied),
    ("audio.min_percentile", Whole(100), Applied),
    ("audio.update_interval", COUNT, Applied),
    ("audio.smooth_intervals", COUNT, Applied),
    ("audio.active_red_encoding", Switch, Applied),
    ("audio.enable_loss_proxying", Switch, Idle("publishers are told of what they lost themselves")),

    ("video.dynacast_pause_delay", Duration, Applied),
    ("video.codec_regression_threshold", COUNT, Idle("a second codec is asked for when a subscriber needs it")),
    ("video.stream_tracker_manager.**", Other, Idle(OWN_TRACKERS)),
    ("video.stream_tracker.**", Other, Idle(OWN_TRACKERS)),

    ("room.auto_create", Switch, Applied),
    ("room.enabled_codecs.mime", Text, Applied),
    ("room.enabled_codecs.fmtp_line", Text, Applied),
    ("room.max_participants", COUNT, Applied),
    ("room.empty_timeout", COUNT, Applied),
    ("room.departure_timeout", COUNT, Applied),
    ("room.enable_remote_unmute", Switch, Applied),
    ("room.playout_delay.enabled", Switch, Applied),
    ("room.playout_delay.min", COUNT, Applied),
    ("room.playout_delay.max", COUNT, Applied),
    ("room.sync_streams", Switch, Applied),
    ("room.create_room_enabled", Switch, Idle("who has the grant may create rooms")),
    ("room.create_room_timeout", Duration, Idle("a room is created at once")),
    ("room.create_room_attempts", COUNT, Idle("a room is created at once")),
    ("room.update_batch_target_size", COUNT, Applied),
    ("room.room_configurations.**", Other, Applied),

    ("limit.num_tracks", COUNT, Applied),
    ("limit.bytes_per_sec", Real, Applied),
    ("limit.subscription_limit_video", COUNT, Applied),
    ("limit.subscription_limit_audio", COUNT, Applied),
    ("limit.max_metadata_size", SIZE, Applied),
    ("limit.max_attributes_size", SIZE, Applied),
    ("limit.max_room_name_length", SIZE, Applied),
    ("limit.max_participant_identity_length", SIZE, Applied),
    ("limit.max_participant_name_length", SIZE, Applied),
    ("limit.max_data_blob_key_length", SIZE, Applied),
    ("limit.max_data_blobs_size", SIZE, Applied),
    ("limit.max_data_track_custom_encoding_length", SIZE, Applied),

    ("turn.enabled", Switch, Idle(NO_TURN)),
    ("turn.domain", Text, Idle(NO_TURN)),
    ("turn.cert_file", Text, Idle(NO_TURN)),
    ("turn.key_file", Text, Idle(NO_TURN)),
    ("turn.tls_port", Port, Idle(NO_TURN)),
    ("turn.udp_port", Port, Idle(NO_TURN)),
    ("turn.external_tls", Switch, Idle(NO_TURN)),
    ("turn.relay_range_start", Port, Idle(NO_TURN)),
    ("turn.relay_range_end", Port, Idle(NO_TURN)),
    ("turn.bind_addresses", Texts, Idle(NO_TURN)),
    ("turn.ttl_seconds", COUNT, Idle(NO_TURN)),
    ("turn.allow_restricted_peer_cidrs", Texts, Idle(NO_TURN)),
    ("turn.deny_peer_cidrs", Texts, Idle(NO_TURN)),
    ("turn.**", Other, Idle(NO_TURN)),

    ("webhook.urls", Texts, Applied),
    ("webhook.api_key", Text, Applied),
    ("webhook.filter_params.include_events", Texts, Applied),
    ("webhook.filter_params.exclude_events", Texts, Applied),
    ("webhook.resource_url_notifier.max_age", Duration, Applied),
    ("webhook.resource_url_notifier.max_depth", SIZE, Applied),
    ("webhook.url_notifier.num_workers", COUNT, Idle(OWN_QUEUES)),
    ("webhook.url_notifier.queue_size", COUNT, Idle(OWN_QUEUES)),

    ("node_selector.kind", Text, Idle(ONE_NODE)),
    ("node_selector.sort_by", Text, Idle(ONE_NODE)),
    ("node_selector.algorithm", Text, Idle(ONE_NODE)),
    ("node_selector.cpu_load_limit", Real, Idle(ONE_NODE)),
    ("node_selector.sysload_limit", Real, Idle(ONE_NODE)),
    ("node_selector.regions.name", Text, Idle(ONE_NODE)),
    ("node_selector.regions.lat", Real, Idle(ONE_NODE)),
    ("node_selector.regions.lon", Real, Idle(ONE_NODE)),
    ("node_stats.**", Other, Idle(ONE_NODE)),
    ("signal_relay.enabled", Switch, Idle(ONE_NODE)),
    ("signal_relay.retry_timeout", Duration, Idle(ONE_NODE)),
    ("signal_relay.min_retry_interval", Duration, Idle(ONE_NODE)),
    ("signal_relay.max_retry_interval", Duration, Idle(ONE_NODE)),
    ("signal_relay.stream_buffer_size", COUNT, Idle(ONE_NODE)),
    ("signal_relay.connect_attempts", COUNT, Idle(ONE_NODE)),
    ("psrpc.enabled", Switch, Idle(ONE_NODE)),
    ("psrpc.max_attempts", COUNT, Idle(ONE_NODE)),
    ("psrpc.timeout", Duration, Idle(ONE_NODE)),
    ("psrpc.backoff", Duration, Idle(ONE_NODE)),
    ("psrpc.buffer_size", COUNT, Idle(ONE_NODE)),
    ("agents.target_load", Real, Applied),
    ("agents.**", Other, Idle(NO_CLOUD)),
    ("api.execution_timeout", Duration, Idle("calls of the API are answered by the room itself")),
    ("api.check_interval", Duration, Idle("calls of the API are answered by the room itself")),
    ("api.max_check_interval", Duration, Idle("calls of the API are answered by the room itself")),
    ("api.**", Other, Idle("calls of the API are answered by the room itself")),
    ("ingress.rtmp_base_url", Text, Idle(NO_WORKERS)),
    ("ingress.whip_base_url", Text, Idle(NO_WORKERS)),
    ("sip.**", Other, Idle(NO_WORKERS)),
    ("metric.**", Other, Idle("what is counted is told by prometheus.port")),
    ("trace.jaeger_url", Text, Idle("nothing is sent to a remote service; spans are in the log")),
    ("trace.**", Other, Idle("nothing is sent to a remote service; spans are in the log")),
    ("enable_data_tracks", Switch, Applied),
    ("enable_participant_data_blob", Switch, Applied),

    // Ours.
    ("media_planes", Texts, Applied),
    ("trusted_proxies", Texts, Applied),
    ("drain_timeout", Duration, Applied),
    ("runtime_dir", Text, Applied),
    ("webhook.outbox_dir", Text, Applied),
    ("webhook.outbox_max_bytes", SIZE, Applied),
    ("webhook.allow_private", Texts, Applied),
    ("room.refuse_duplicates", Switch, Applied),
    ("limit.memory_bytes", SIZE, Applied),
    ("media.token", Secret, Applied),
    ("media.workers", Whole(u16::MAX as u64), Applied),
    ("media.pin", Switch, Applied),
    ("media.spread_above", COUNT, Applied),
    ("media.io", Text, Applied),
    ("media.gso", Text, Applied),
    ("media.flush_delay_us", Whole(10_000), Applied),
    ("media.dtls", Text, Applied),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compat_has_a_row_for_every_key() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/COMPAT.md");
        let document = std::fs::read_to_string(path).unwrap();
        let (_, section) = document.split_once("### Configuration keys").unwrap();
        for (path, _, standing) in KEYS {
            let quoted = format!("`{path}`");
            let row = section.lines().find_map(|line| {
                let mut cells = line.strip_prefix("| ")?.split(" | ");
                cells.next()?.split(", ").any(|key| key == quoted).then(|| cells.collect::<Vec<_>>())
            });
            let row = row.unwrap_or_else(|| panic!("no row for {quoted}"));
            match standing {
                Applied => assert!(["works", "partly"].contains(&row[0]), "{path}: {row:?}"),
                Idle(why) => {
                    assert_eq!(row[0], "no effect", "{path}");
                    assert_eq!(row[1].trim_end_matches(" |"), *why, "{path}");
                }
            }
        }
    }

    #[test]
    fn no_key_is_there_twice() {
        for (index, (path, ..)) in KEYS.iter().enumerate() {
            assert!(KEYS[..index].iter().all(|(other, ..)| other != path), "{path}");
        }
    }
}
