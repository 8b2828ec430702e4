"""The unmodified PyPI `livekit` client as publisher and as subscriber."""

import asyncio

import pytest
from livekit import rtc

from conftest import until
from deployment import Deployment
from participant import Participant

pytestmark = pytest.mark.asyncio


async def test_tone_and_simulcast_picture_arrive_and_changes_are_seen(server):
    alice = await Participant().join(server, "python", "alice")
    bob = await Participant().join(server, "python", "bob")
    try:
        _, tone = await alice.publish_tone()
        picture, track = await alice.publish_picture(1280, 720, simulcast=True)
        await until("pictures", 20, lambda: bob.video_frames.get("alice", 0) > 20)
        assert bob.video_levels["alice"] > 30, "the picture is not black"
        await until("sound", 20, lambda: bob.audio_energy.get("alice", 0) > 500)
        await until("the speaker is told", 10, lambda: "alice" in bob.speakers)
        tone.mute()
        await until("mute is seen", 5, lambda: any(event[0] == "muted" for event in bob.events))
        tone.unmute()
        await until("unmute is seen", 5, lambda: any(event[0] == "unmuted" for event in bob.events))
        await alice.room.local_participant.unpublish_track(picture.sid)
        await until("unpublish is seen", 5, lambda: ("unpublished", "alice", picture.sid) in bob.events)
        await alice.leave()
        await until("leave is seen", 5, lambda: ("left", "alice") in bob.events)
    finally:
        await bob.leave()


async def test_data_passes_both_ways_with_topic_and_destination(server):
    names = ["alice", "bob", "carol"]
    alice, bob, carol = [await Participant().join(server, "data", name) for name in names]
    try:
        for sender, receiver, name in [(alice, bob, "alice"), (bob, alice, "bob")]:
            for reliable in [True, False]:
                text = f"{name} {reliable}"

                def arrived():
                    return [p for p in receiver.data if p.data == text.encode()]

                for _ in range(50):
                    await sender.room.local_participant.publish_data(text, reliable=reliable, topic="t")
                    await asyncio.sleep(0.1)
                    if arrived():
                        break
                packet = arrived()[0]
                assert packet.participant.identity == name
                assert packet.topic == "t"
        await alice.room.local_participant.publish_data(
            "for bob only", reliable=True, destination_identities=["bob"]
        )
        await alice.room.local_participant.publish_data("for all", reliable=True)
        await until("the broadcast", 5, lambda: any(p.data == b"for all" for p in carol.data))
        await until("the addressed one", 5, lambda: any(p.data == b"for bob only" for p in bob.data))
        assert not any(p.data == b"for bob only" for p in carol.data)
        large = bytes(range(256)) * 55  # 14 kB: many SCTP chunks
        await alice.room.local_participant.publish_data(large, reliable=True)
        await until("a large message", 5, lambda: any(p.data == large for p in bob.data))
    finally:
        for each in [alice, bob, carol]:
            await each.leave()


async def test_rpc_text_streams_and_attributes_pass(server):
    alice = await Participant().join(server, "rpc", "alice", can_update_own_metadata=True)
    bob = await Participant().join(server, "rpc", "bob")
    try:
        async def answer(invocation: rtc.RpcInvocationData) -> str:
            return f"{invocation.caller_identity} said {invocation.payload}"

        bob.room.local_participant.register_rpc_method("greet", answer)
        reply = await alice.room.local_participant.perform_rpc(
            destination_identity="bob", method="greet", payload="hello"
        )
        assert reply == "alice said hello"

        texts = []

        def reader(stream, identity):
            async def collect():
                texts.append((identity, await stream.read_all()))

            bob._spawn(collect())

        bob.room.register_text_stream_handler("chat", reader)
        await alice.room.local_participant.send_text("streamed", topic="chat")
        await until("a text stream", 5, lambda: ("alice", "streamed") in texts)

        await alice.room.local_participant.set_attributes({"mood": "good"})
        await alice.room.local_participant.set_metadata("about me")
        remote = bob.room.remote_participants["alice"]
        await until("attributes", 5, lambda: remote.attributes.get("mood") == "good")
        await until("metadata", 5, lambda: remote.metadata == "about me")
    finally:
        for each in [alice, bob]:
            await each.leave()


async def test_a_second_join_evicts_the_first_with_its_reason(server):
    first = await Participant().join(server, "twins", "alice")
    second = await Participant().join(server, "twins", "alice")
    try:
        event = await until("eviction", 10, lambda: next((e for e in first.events if e[0] == "disconnected"), None))
        assert event[1] == rtc.DisconnectReason.DUPLICATE_IDENTITY
        await asyncio.sleep(1)
        assert second.room.connection_state == rtc.ConnectionState.CONN_CONNECTED
    finally:
        await first.leave()
        await second.leave()


async def test_publishing_without_permission_is_refused(server):
    listener = await Participant().join(server, "listeners", "listener", can_publish=False)
    speaker = await Participant().join(server, "listeners", "speaker")
    try:
        with pytest.raises(Exception):
            await asyncio.wait_for(listener.publish_tone(), 10)
        await speaker.publish_tone()
        await until("sound", 20, lambda: listener.audio_energy.get("speaker", 0) > 500)
    finally:
        await listener.leave()
        await speaker.leave()


async def test_round_trip_of_who_only_sends_is_told_by_rtcp_xr():
    server = Deployment()
    alice = await Participant().join(server, "alone", "alice")
    try:
        await alice.publish_tone()
        await until("an answer", 20, lambda: server.media_counters()["reference_times_answered"] > 0)
    finally:
        await alice.leave()
        server.stop()
