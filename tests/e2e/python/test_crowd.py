"""Ten participants in one room: everything arrives everywhere, and afterwards nothing is left."""

import asyncio

import pytest

from participant import Participant, everything_arrives

pytestmark = pytest.mark.asyncio

CROWD = 10

# What must be as before when everybody has left; the rest of the counts only grows.
CONTROL = ["rooms", "participants", "connections", "tracks", "subscriptions", "tasks", "open_files"]
PROCESS = [
    "process_open_files",
    "process_threads",
    "helper_peers",
    "helper_routes",
    "helper_dtls_associations",
    "helper_sctp_associations",
    "resources_room",
    "resources_peer",
    "resources_publication",
    "resources_subscription",
    "resources_route",
    "state_bytes",
]
WORKER = ["rooms", "peers", "publications", "subscriptions", "paths", "ufrags", "history_buffers", "io_send_pool_used"]


async def test_every_track_arrives_everywhere_and_all_is_freed(server):
    await settle(server)
    before = gauges(server)
    names = [f"p{index}" for index in range(CROWD)]
    crowd = [await Participant(sample=True).join(server, "crowd", name) for name in names]
    try:
        for participant in crowd:
            await participant.publish_tone()
            await participant.publish_picture(160, 90, fps=5)

        await everything_arrives(crowd, names)
        counts = gauges(server)
        assert counts["participants"] == CROWD
        assert counts["worker peers"] >= CROWD
        assert counts["worker subscriptions"] == 2 * CROWD * (CROWD - 1)
    finally:
        await asyncio.gather(*(participant.leave() for participant in crowd))
    await settle(server)
    assert gauges(server) == before


def gauges(server):
    """What both processes hold: rooms, sessions, sockets, tasks, threads and buffers."""
    counts = server.counts()
    media = counts["media"][0]
    (worker,) = media["workers"]
    held = {name: counts["control"][name] for name in CONTROL}
    held |= {name: media["process"][name] for name in PROCESS}
    held |= {f"worker {name}": worker[name] for name in WORKER}
    return held


async def settle(server):
    """Waits until nobody is in any room and the counts stand still."""
    last = None
    for _ in range(150):
        counts = gauges(server)
        if counts["rooms"] == 0 and counts == last:
            return
        last = counts
        await asyncio.sleep(0.4)
    raise AssertionError(f"not settled: {last}")
