//! Metrics under LiveKit's names (v1.13.5, `pkg/telemetry/prometheus`), where what is counted means the same.

use livekit_protocol::ServerInfo;
use proto::media::v1::WorkerCounters;

use crate::api::error::Code;
use crate::api::tally::{self, Tally};
use crate::metrics::families::Families;
use crate::room::census::{Counts, Joins};

/// The labels that all of them carry.
#[derive(Clone, Debug)]
pub struct Node {
    id: String,
}

impl Node {
    #[must_use]
    pub fn of(server: &ServerInfo) -> Self {
        Self { id: server.node_id.clone() }
    }

    fn labels<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        [&[("node_id", self.id.as_str()), ("node_type", "SERVER")], more].concat()
    }
}

/// What there is now.
pub fn rooms(families: &mut Families, node: &Node, counts: &Counts) {
    let mut gauge = |name, help, more: &[(&str, &str)], value: usize| {
        families.gauge(name, help, &node.labels(more), u64::try_from(value).unwrap_or(u64::MAX));
    };
    gauge("livekit_room_total", "Open rooms.", &[], counts.rooms);
    gauge("livekit_participant_total", "Participants.", &[], counts.participants);
    let video = counts.video_tracks;
    for (kind, value) in [("AUDIO", counts.tracks.saturating_sub(video)), ("VIDEO", video)] {
        gauge("livekit_track_published_total", "Published tracks.", &[("kind", kind)], value);
    }
    gauge("livekit_track_subscribed_total", "Subscriptions.", &[], counts.subscriptions);
}

/// The server API's calls. Names of methods that are none are not among them.
pub fn calls(families: &mut Families, node: &Node, tally: &Tally) {
    for ((service, method), calls) in tally.read() {
        for (code, count) in &calls.outcomes {
            let (status, code) = (tally::status(*code), code.map_or("", Code::name));
            let labels =
                node.labels(&[("service", service), ("method", method), ("status", status), ("code", code)]);
            let help = "Calls of the server API, by outcome.";
            families.counter("livekit_node_twirp_request_status", help, &labels, *count);
        }
        for (status, durations) in &calls.durations {
            let labels = node.labels(&[("service", service), ("method", method), ("status", status)]);
            let help = "How long calls of the server API took.";
            let values = durations.distribution();
            families.histogram("livekit_node_twirp_request_latency_ms", help, &labels, &values);
        }
    }
}

/// Joins since the start.
pub fn joins(families: &mut Families, node: &Node, joins: &Joins) {
    let (done, failed) = joins.read();
    for (state, value) in [("signal_connected", done), ("signal_failed", failed)] {
        let labels = node.labels(&[("state", state)]);
        families.counter("livekit_participant_join_total", "Joins.", &labels, value);
    }
}

/// What one media plane received and sent. By plane, so that one that is away leaves a gap, not a step back.
pub fn packets(families: &mut Families, node: &Node, plane: &str, workers: &[WorkerCounters]) {
    let sum = |names: &[&str]| -> u64 {
        let counters = workers.iter().flat_map(|worker| &worker.counters);
        counters.filter(|counter| names.contains(&counter.name.as_str())).map(|counter| counter.value).sum()
    };
    let restored = sum(&["packets_restored"]);
    let received = sum(&["datagrams_forwarded", "discarded_not_wanted", "discarded_muted"]);
    let packet = "Packets of media.";
    for (direction, transmission, value) in [
        ("incoming", "initial", received.saturating_sub(restored)),
        ("incoming", "retransmit", restored),
        ("outgoing", "initial", sum(&["copies_sent", "own_packets_sent"])),
        ("outgoing", "retransmit", sum(&["packets_resent"])),
    ] {
        let labels =
            node.labels(&[("plane", plane), ("direction", direction), ("transmission", transmission)]);
        families.counter("livekit_packet_total", packet, &labels, value);
    }
    let labels = node.labels(&[("plane", plane), ("direction", "outgoing"), ("transmission", "initial")]);
    let bytes = sum(&["copy_bytes_sent", "own_bytes_sent"]);
    families.counter("livekit_packet_bytes", "Bytes of media.", &labels, bytes);
    for (name, help, direction, counter) in [
        ("livekit_nack_total", "Packets asked for again.", "incoming", "nacks_received"),
        ("livekit_nack_total", "Packets asked for again.", "outgoing", "packets_nacked"),
        ("livekit_pli_total", "Key frames asked for.", "incoming", "key_frame_requests_received"),
        ("livekit_pli_total", "Key frames asked for.", "outgoing", "key_frame_requests_sent"),
    ] {
        let labels = node.labels(&[("plane", plane), ("direction", direction)]);
        families.counter(name, help, &labels, sum(&[counter]));
    }
}
