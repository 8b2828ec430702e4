"""Data tracks, byte streams and the server's calls of methods, with unmodified PyPI `livekit` clients."""

import asyncio
import json
import urllib.error
import urllib.request

import pytest
from livekit import api, rtc
from livekit.rtc.participant import PublishDataTrackError

from conftest import KEY, SECRET, Server, until
from participant import Participant

pytestmark = pytest.mark.asyncio


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.stop()


async def push_until(track, frames, seen):
    """Data tracks are lossy: frames go again until one of each has arrived."""
    for _ in range(300):
        for frame in frames:
            try:
                track.try_push(frame)
            except rtc.PushFrameError:
                pass
        await asyncio.sleep(0.1)
        if seen():
            return
    raise AssertionError("no frame arrived")


async def test_data_track_frames_arrive_whole_at_who_subscribed(server):
    alice = await Participant().join(server, "tracks", "alice")
    bob = await Participant().join(server, "tracks", "bob")
    published, unpublished, received = [], [], []
    bob.room.on("data_track_published", published.append)
    bob.room.on("data_track_unpublished", unpublished.append)
    try:
        other = await alice.room.local_participant.publish_data_track(name="other")
        track = await alice.room.local_participant.publish_data_track(name="pose")
        await until("both tracks are seen", 30, lambda: len(published) == 2)
        remote = next(one for one in published if one.info.name == "pose")
        assert remote.publisher_identity == "alice"
        assert remote.info.sid == track.info.sid
        assert remote.info.sid.startswith("DTR_")

        async def read(stream):
            async for frame in stream:
                received.append(frame)

        reading = asyncio.create_task(read(remote.subscribe()))
        large = bytes(range(256)) * 200
        frames = [
            rtc.DataTrackFrame(payload=b"small", user_timestamp=1234567),
            rtc.DataTrackFrame(payload=large),
        ]
        other.try_push(rtc.DataTrackFrame(payload=b"nobody asked for this"))
        await push_until(
            track,
            frames,
            lambda: {b"small", large} <= {frame.payload for frame in received},
        )
        assert {frame.payload for frame in received} == {b"small", large}
        assert {frame.user_timestamp for frame in received if frame.payload == b"small"} == {1234567}

        with pytest.raises(PublishDataTrackError):
            await alice.room.local_participant.publish_data_track(name="pose")

        await track.unpublish()
        await until("the end is seen", 30, lambda: remote.info.sid in unpublished)
        await asyncio.wait_for(reading, 30)
    finally:
        for each in [alice, bob]:
            await each.leave()


async def test_who_may_not_publish_data_publishes_no_data_track(server):
    mute = await Participant().join(server, "mute-tracks", "mute", can_publish_data=False)
    try:
        with pytest.raises(PublishDataTrackError):
            await mute.room.local_participant.publish_data_track(name="pose")
    finally:
        await mute.leave()


async def test_byte_streams_pass_whole_and_in_order(server):
    alice = await Participant().join(server, "bytes", "alice")
    bob = await Participant().join(server, "bytes", "bob")
    arrived = []

    def reader(stream, identity):
        async def collect():
            parts = [part async for part in stream]
            arrived.append((identity, stream.info.name, b"".join(parts)))

        bob._spawn(collect())

    bob.room.register_byte_stream_handler("files", reader)
    contents = bytes(range(256)) * 1000
    try:
        writer = await alice.room.local_participant.stream_bytes(
            name="numbers", topic="files", total_size=len(contents), destination_identities=["bob"]
        )
        await writer.write(contents)
        await writer.aclose()
        await until("the stream", 30, lambda: arrived)
        assert arrived == [("alice", "numbers", contents)]
    finally:
        for each in [alice, bob]:
            await each.leave()

def perform(server, room, identity, method, payload, timeout_ms=0):
    """`RoomService.PerformRpc`, for which SDKs have no method: status and answer."""
    token = (
        api.AccessToken(KEY, SECRET).with_grants(api.VideoGrants(room_admin=True, room=room)).to_jwt()
    )
    request = urllib.request.Request(
        f"{server.http}/twirp/livekit.RoomService/PerformRpc",
        data=json.dumps(
            {
                "room": room,
                "destination_identity": identity,
                "method": method,
                "payload": payload,
                "response_timeout_ms": timeout_ms,
            }
        ).encode(),
        headers={"authorization": f"Bearer {token}", "content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


async def test_the_server_calls_a_method_of_a_participant(server):
    alice = await Participant().join(server, "calls", "alice")

    async def greet(invocation: rtc.RpcInvocationData) -> str:
        return f"you said {invocation.payload}"

    async def refuse(_invocation) -> str:
        raise rtc.RpcError(42, "not today", "come back")

    async def dawdle(_invocation) -> str:
        await asyncio.sleep(60)
        return "late"

    alice.room.local_participant.register_rpc_method("greet", greet)
    alice.room.local_participant.register_rpc_method("refuse", refuse)
    alice.room.local_participant.register_rpc_method("dawdle", dawdle)
    prefix = "twirp error unknown: RpcError"
    try:
        for method, payload, timeout_ms, expected in [
            ("greet", "hello", 0, (200, {"payload": "you said hello"})),
            ("refuse", "", 0, (500, {"code": "internal", "msg": f"{prefix} 42: not today: come back"})),
            (
                "nothing",
                "",
                0,
                (400, {"code": "invalid_argument", "msg": f"{prefix} 1400: Method not supported at destination"}),
            ),
            ("dawdle", "", 2000, (408, {"code": "canceled", "msg": f"{prefix} 1502: Response timeout"})),
            (
                "greet",
                "x" * 15_361,
                0,
                (400, {"code": "malformed", "msg": f"{prefix} 1402: Request payload too large"}),
            ),
        ]:
            answer = await asyncio.to_thread(perform, server, "calls", "alice", method, payload, timeout_ms)
            assert answer == expected, method
        status, answer = await asyncio.to_thread(perform, server, "calls", "nobody", "greet", "")
        assert (status, answer["code"]) == (404, "not_found")
    finally:
        await alice.leave()
