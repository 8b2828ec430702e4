"""PyPI `livekit-api` on rooms with real participants: what the server mutes, changes, sends and sends away."""

import asyncio
import json
import urllib.request

import pytest
import pytest_asyncio
from livekit import api, rtc

from conftest import KEY, SECRET, until
from deployment import Deployment
from participant import Participant

pytestmark = pytest.mark.asyncio


@pytest.fixture(scope="module")
def server():
    server = Deployment(config=["room: { departure_timeout: 2, enable_remote_unmute: true }"])
    yield server
    server.stop()


@pytest_asyncio.fixture
async def rooms(server):
    client = api.LiveKitAPI(server.http, KEY, SECRET)
    yield client.room
    await client.aclose()


async def silence(participant, identity):
    """Waits until nothing was heard for a second; what was on its way is over then."""
    quiet = []

    def is_quiet():
        energy = participant.audio_energy.pop(identity, 0)
        quiet.append(energy < 100)
        return len(quiet) > 20 and all(quiet[-20:])

    await until("silence", 30, is_quiet)


async def test_a_track_is_muted_and_unmuted_by_the_server(server, rooms):
    alice = await Participant().join(server, "mute", "alice")
    bob = await Participant().join(server, "mute", "bob")
    try:
        _, track = await alice.publish_tone()
        await until("sound", 30, lambda: bob.audio_energy.get("alice", 0) > 500)
        info = await rooms.get_participant(api.RoomParticipantIdentity(room="mute", identity="alice"))
        (sid,) = [published.sid for published in info.tracks]

        async def mute(muted):
            answer = await rooms.mute_published_track(
                api.MuteRoomTrackRequest(room="mute", identity="alice", track_sid=sid, muted=muted)
            )
            assert (answer.track.sid, answer.track.muted) == (sid, muted)

        await mute(True)
        await until("others see it", 30, lambda: ("muted", "alice", sid) in bob.events)
        await until("the publisher mutes", 30, lambda: track.muted)
        await silence(bob, "alice")
        await mute(False)
        await until("others see it again", 30, lambda: ("unmuted", "alice", sid) in bob.events)
        await until("sound again", 30, lambda: bob.audio_energy.get("alice", 0) > 500)
    finally:
        for each in [alice, bob]:
            await each.leave()


async def test_rights_that_are_taken_end_what_runs(server, rooms):
    alice = await Participant().join(server, "rights", "alice")
    bob = await Participant().join(server, "rights", "bob")
    try:
        await alice.publish_tone()
        await until("sound", 30, lambda: bob.audio_energy.get("alice", 0) > 500)

        async def permit(identity, **rights):
            permission = api.ParticipantPermission(**rights)
            request = api.UpdateParticipantRequest(room="rights", identity=identity, permission=permission)
            return await rooms.update_participant(request)

        await permit("bob", can_subscribe=False, can_publish=True, can_publish_data=True)
        await until("the track is taken away", 30, lambda: server.counts()["control"]["subscriptions"] == 0)
        await silence(bob, "alice")
        await permit("bob", can_subscribe=True, can_publish=True, can_publish_data=True)
        await until("sound again", 30, lambda: bob.audio_energy.get("alice", 0) > 500)
        info = await permit("alice", can_subscribe=True, can_publish=False, can_publish_data=True)
        assert not info.permission.can_publish and not info.tracks
        remote = bob.room.remote_participants["alice"]
        await until("it is unpublished", 30, lambda: not remote.track_publications)
        await alice.room.local_participant.publish_data("still", reliable=True)
        await until("data passes", 30, lambda: any(packet.data == b"still" for packet in bob.data))
        with pytest.raises(Exception):
            await alice.publish_tone()
    finally:
        for each in [alice, bob]:
            await each.leave()


async def test_what_is_said_of_a_participant_and_a_room_is_seen(server, rooms):
    alice = await Participant().join(server, "words", "alice")
    bob = await Participant().join(server, "words", "bob")
    try:
        info = await rooms.update_participant(
            api.UpdateParticipantRequest(
                room="words", identity="alice", name="Alice", metadata="about", attributes={"mood": "good"}
            )
        )
        assert (info.name, info.metadata, info.attributes["mood"]) == ("Alice", "about", "good")
        remote = bob.room.remote_participants["alice"]
        await until("others see it", 30, lambda: (remote.name, remote.metadata) == ("Alice", "about"))
        await until("attributes", 30, lambda: remote.attributes.get("mood") == "good")
        await until("she herself", 30, lambda: alice.room.local_participant.metadata == "about")
        room = await rooms.update_room_metadata(api.UpdateRoomMetadataRequest(room="words", metadata="new"))
        assert (room.metadata, room.num_participants) == ("new", 2)
        await until("the room's", 30, lambda: bob.room.metadata == "new")
    finally:
        for each in [alice, bob]:
            await each.leave()


async def test_data_goes_to_whom_it_is_for(server, rooms):
    alice = await Participant().join(server, "post", "alice")
    bob = await Participant().join(server, "post", "bob")
    try:

        async def send(text, to=()):
            await rooms.send_data(
                api.SendDataRequest(
                    room="post", data=text.encode(), kind=rtc.DataPacketKind.KIND_RELIABLE, topic="t",
                    destination_identities=to,
                )
            )

        def heard(participant):
            return [packet.data.decode() for packet in participant.data if packet.data != b"ready"]

        # What is sent before a client's channel is open waits two seconds for it, not longer.
        for _ in range(60):
            if all(any(packet.data == b"ready" for packet in each.data) for each in [alice, bob]):
                break
            await send("ready")
            await asyncio.sleep(0.5)
        await send("for bob", to=["bob"])
        # The client gives every call a nonce of its own: the same one twice only by hand.
        token = api.AccessToken(KEY, SECRET).with_grants(api.VideoGrants(room_admin=True, room="post")).to_jwt()
        body = json.dumps({"room": "post", "data": "b25jZQ==", "nonce": "AAECAwQFBgcICQoLDA0ODw=="}).encode()
        for _ in range(2):
            headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
            url = f"{server.http}/twirp/livekit.RoomService/SendData"
            with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10) as answer:
                assert json.load(answer) == {}
        await send("for all")
        await until("alice hears the last", 30, lambda: "for all" in heard(alice))
        await until("bob hears the last", 30, lambda: "for all" in heard(bob))
        assert heard(alice) == ["once", "for all"]
        assert heard(bob) == ["for bob", "once", "for all"]
        assert all(packet.participant is None and packet.topic in ("t", "", None) for packet in bob.data)
    finally:
        for each in [alice, bob]:
            await each.leave()


async def test_subscriptions_are_changed_by_the_server(server, rooms):
    alice = await Participant().join(server, "choice", "alice")
    bob = await Participant().join(server, "choice", "bob")
    try:
        await alice.publish_tone()
        await until("sound", 30, lambda: bob.audio_energy.get("alice", 0) > 500)
        (sid,) = bob.room.remote_participants["alice"].track_publications

        async def subscribe(wanted):
            await rooms.update_subscriptions(
                api.UpdateSubscriptionsRequest(
                    room="choice", identity="bob", track_sids=[sid], subscribe=wanted
                )
            )

        await subscribe(False)
        await until("the track is taken away", 30, lambda: server.counts()["control"]["subscriptions"] == 0)
        await silence(bob, "alice")
        await subscribe(True)
        await until("sound again", 30, lambda: bob.audio_energy.get("alice", 0) > 500)
    finally:
        for each in [alice, bob]:
            await each.leave()


async def test_who_is_removed_and_whose_room_is_deleted_learns_why(server, rooms):
    alice = await Participant().join(server, "end", "alice")
    bob = await Participant().join(server, "end", "bob")

    def reason(participant):
        return next((event[1] for event in participant.events if event[0] == "disconnected"), None)

    try:
        listed = await rooms.list_participants(api.ListParticipantsRequest(room="end"))
        assert sorted(info.identity for info in listed.participants) == ["alice", "bob"]
        await rooms.remove_participant(api.RoomParticipantIdentity(room="end", identity="alice"))
        await until("alice is out", 30, lambda: reason(alice) == rtc.DisconnectReason.PARTICIPANT_REMOVED)
        await until("bob sees it", 30, lambda: ("left", "alice") in bob.events)
        with pytest.raises(api.TwirpError) as missing:
            await rooms.get_participant(api.RoomParticipantIdentity(room="end", identity="alice"))
        assert missing.value.code == "not_found"
        await rooms.delete_room(api.DeleteRoomRequest(room="end"))
        await until("bob is out", 30, lambda: reason(bob) == rtc.DisconnectReason.ROOM_DELETED)
        assert not (await rooms.list_rooms(api.ListRoomsRequest(names=["end"]))).rooms
    finally:
        for each in [alice, bob]:
            await each.leave()
