"""Metrics as Prometheus scrapes them, read by its own parser; and the memory that joins are refused for."""

import asyncio
import base64
import socket
import urllib.error
import urllib.request

import pytest
from livekit import rtc
from prometheus_client.parser import text_string_to_metric_families

from conftest import free_port, until
from deployment import Deployment
from participant import Participant

pytestmark = pytest.mark.asyncio

USER, PASSWORD = "scraper", "open: sesame"
ROOM, ALICE, BOB = "a-room-nobody-scrapes", "identity-of-alice", "identity-of-bob"

GAUGES = """
livekit_room_total livekit_participant_total livekit_track_published_total livekit_track_subscribed_total
millrace_control_connections millrace_control_memory_low millrace_media_up millrace_media_rooms millrace_media_peers
millrace_media_publications millrace_media_subscriptions millrace_media_paths millrace_media_ufrags
millrace_media_history_buffers millrace_media_io_send_pool_high_water millrace_media_io_send_pool_used
millrace_media_io_busy_permille millrace_media_overload_step millrace_media_helper_peers millrace_media_helper_routes
millrace_media_helper_dtls_associations millrace_media_helper_sctp_associations millrace_media_state_bytes
millrace_media_control_planes millrace_media_resources_peer millrace_media_process_resident_bytes
process_resident_memory_bytes
""".split()
COUNTERS = """
livekit_participant_join livekit_packet livekit_packet_bytes livekit_nack livekit_pli millrace_control_refused millrace_control_signal
millrace_control_scrapes_refused
millrace_media_copies_sent millrace_media_copies_discarded millrace_media_datagrams_discarded
millrace_media_io_datagrams_received millrace_media_io_bytes_received millrace_media_io_datagrams_sent
millrace_media_io_bytes_sent millrace_media_io_receive_dropped millrace_media_io_wakes millrace_media_io_doorbells
millrace_media_io_send_pool_exhausted millrace_media_io_receive_pool_exhausted
millrace_media_worker_events_dropped process_cpu_seconds
""".split()
HISTOGRAMMED = ["millrace_media_io_forward_latency_seconds", "millrace_media_io_wake_datagrams", "millrace_media_io_send_segments"]


class Scraped(Deployment):
    def __init__(self, **options):
        self.metrics_port = free_port(socket.SOCK_STREAM)
        metrics = f'prometheus: {{ port: {self.metrics_port}, username: {USER}, password: "{PASSWORD}" }}'
        super().__init__(config=[metrics], **options)

    def fetch(self, password=PASSWORD, path="/metrics"):
        request = urllib.request.Request(f"http://127.0.0.1:{self.metrics_port}{path}")
        if password is not None:
            credentials = base64.b64encode(f"{USER}:{password}".encode()).decode()
            request.add_header("Authorization", f"Basic {credentials}")
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
            return answer.read().decode()

    def scrape(self):
        return {family.name: family for family in text_string_to_metric_families(self.fetch())}


def value(families, name, **labels):
    """The sum of all samples of a name that have these labels."""
    family = next(f for f in families.values() if any(s.name == name for s in f.samples))
    return sum(s.value for s in family.samples if s.name == name and labels.items() <= s.labels.items())


async def test_what_both_planes_count_is_scraped():
    server = Scraped(external_media=True)
    alice, bob = Participant(), Participant()
    try:
        await alice.join(server, ROOM, ALICE)
        await bob.join(server, ROOM, BOB)
        await alice.publish_tone()
        await alice.publish_picture(320, 180)
        await until("pictures", 20, lambda: bob.video_frames.get(ALICE, 0) > 10)
        families = server.scrape()
        kinds = {family.name: family.type for family in families.values()}
        assert value(families, "livekit_participant_join_total", state="signal_connected") == 2
        expected = {name: "gauge" for name in GAUGES} | {name: "counter" for name in COUNTERS}
        expected |= {name: "histogram" for name in HISTOGRAMMED}
        assert {name: kinds.get(name) for name in expected} == expected
        assert value(families, "livekit_room_total", node_type="SERVER") == 1
        assert value(families, "livekit_participant_total") == 2
        assert value(families, "livekit_track_published_total", kind="AUDIO") == 1
        assert value(families, "livekit_track_published_total", kind="VIDEO") == 1
        assert value(families, "livekit_track_subscribed_total") == 2
        assert value(families, "livekit_packet_total", direction="outgoing", transmission="initial") > 10
        assert value(families, "millrace_media_up", plane="0") == 1
        assert value(families, "millrace_media_copies_sent_total", plane="0", worker="0") > 10
        assert value(families, "millrace_media_process_resident_bytes") > 1_000_000
        for name in HISTOGRAMMED:
            buckets = [s.value for s in families[name].samples if s.name == f"{name}_bucket"]
            assert buckets == sorted(buckets) and buckets[-1] == value(families, f"{name}_count") > 0, name
        assert value(families, "millrace_media_io_forward_latency_seconds_sum") > 0
        # A moment later everything has gone on, by the same names.
        await asyncio.sleep(0.5)
        later = server.scrape()
        assert later.keys() == families.keys()
        for name in ["millrace_media_io_bytes_received_total", "millrace_media_io_forward_latency_seconds_count"]:
            assert value(later, name) > value(families, name), name
        text = server.fetch(path="/anything")
        assert not any(secret in text for secret in [ROOM, ALICE, BOB, PASSWORD])
    finally:
        await alice.leave()
        await bob.leave()
        server.stop()


async def test_a_media_plane_that_is_gone_costs_its_own_rows_only():
    server = Scraped(external_media=True)
    try:
        assert value(server.scrape(), "millrace_media_up") == 1
        for wrong in [None, "open", ""]:
            with pytest.raises(urllib.error.HTTPError) as refused:
                server.fetch(password=wrong)
            assert refused.value.code == 401 and "Basic" in refused.value.headers["www-authenticate"]
        server.external.kill()
        server.external.wait()
        await until("the media plane is missed", 10, lambda: value(server.scrape(), "millrace_media_up") == 0)
        families = server.scrape()
        assert value(families, "livekit_room_total") == 0
        assert "millrace_media_rooms" not in families
    finally:
        server.stop()


async def test_joins_are_refused_when_memory_runs_short():
    server = Deployment(config=["limit: { memory_bytes: 10000000 }"])

    def validated():
        url = f"{server.http}/rtc/validate?access_token={server.token(ROOM, ALICE)}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    try:
        await until("the watermark", 10, lambda: validated()[0] == 503)
        assert validated()[1] == "node has no memory for another participant"
        assert server.counts()["refused"]["memory"] == 0, "asking is no join"
        with pytest.raises(rtc.ConnectError):
            await Participant().join(server, ROOM, ALICE)
        assert server.counts()["refused"]["memory"] > 0
    finally:
        server.stop()
