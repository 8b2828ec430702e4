"""Ten participants in one room: everything arrives everywhere, and afterwards nothing is left."""

import asyncio

import pytest

from conftest import until
from participant import Participant

pytestmark = pytest.mark.asyncio

CROWD = 10


async def test_every_track_arrives_everywhere_and_all_is_freed(server):
    await settle(server)
    before = server.counts()
    names = [f"p{index}" for index in range(CROWD)]
    crowd = [await Participant().join(server, "crowd", name) for name in names]
    try:
        for participant in crowd:
            await participant.publish_tone()
            await participant.publish_picture(160, 90, fps=5)

        def missing():
            for participant, name in zip(crowd, names):
                for other in names:
                    if other != name and (
                        participant.video_frames.get(other, 0) < 5 or participant.audio_energy.get(other, 0) < 300
                    ):
                        yield name, other

        await until("every track everywhere", 90, lambda: next(missing(), None) is None)
        counts = server.counts()
        assert counts["control"]["participants"] - before["control"]["participants"] == CROWD
    finally:
        await asyncio.gather(*(participant.leave() for participant in crowd))
    await settle(server)
    assert server.counts() == before


async def settle(server):
    """Waits until nobody is in any room and the counts stand still."""
    last = None
    for _ in range(150):
        counts = server.counts()
        if counts["control"]["participants"] == 0 and counts == last:
            return
        last = counts
        await asyncio.sleep(0.4)
    raise AssertionError(f"not settled: {last}")
