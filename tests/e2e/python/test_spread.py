"""A room whose participants live on two workers: everything arrives everywhere, and afterwards nothing is left."""

import asyncio

import pytest

from conftest import Server, free_udp_ports, until
from participant import Participant, everything_arrives

pytestmark = pytest.mark.asyncio

NAMES = ["one", "two", "three"]


@pytest.fixture(scope="module")
def server():
    first = free_udp_ports(2)
    ports = f"{first}-{first + 1}"
    # Whoever comes second finds the first worker full.
    server = Server("--workers", "2", "--udp-port", ports, lines=["media: { spread_above: 1 }"])
    yield server
    server.stop()


async def test_participants_on_two_workers_hear_and_see_each_other(server):
    crowd = [await Participant(sample=True).join(server, "spread", name) for name in NAMES]
    try:
        for participant in crowd:
            await participant.publish_tone()
            await participant.publish_picture(320, 180, fps=5)

        await everything_arrives(crowd, NAMES)
        workers = server.counts()["media"][0]["workers"]
        assert all(worker["peers"] > 0 for worker in workers), workers
        assert all(worker["packets_relayed"] > 0 for worker in workers), workers
        assert sum(worker["relayed_discarded_no_room"] for worker in workers) == 0
    finally:
        await asyncio.gather(*(participant.leave() for participant in crowd))

    def left():
        workers = server.counts()["media"][0]["workers"]
        return sum(worker[name] for worker in workers for name in ("rooms", "peers", "publications"))

    await until("nothing is left on either worker", 20, lambda: left() == 0)
