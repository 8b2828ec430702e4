"""Calls that are encrypted from end to end: the server passes on what it cannot read."""

import asyncio

import pytest
from livekit import rtc

from conftest import until
from participant import AUDIBLE, Participant

pytestmark = pytest.mark.asyncio


def encrypted_with(key):
    return rtc.RoomOptions(encryption=rtc.E2EEOptions(key_provider_options=rtc.KeyProviderOptions(shared_key=key)))


async def inbound(participant, kind):
    """The statistics of what a participant gets of alice's, as soon as packets arrive."""
    await until("subscribed", 30, lambda: ("alice", kind) in participant.tracks)
    for _ in range(200):
        for statistics in await participant.tracks["alice", kind].get_stats():
            if statistics.HasField("inbound_rtp") and statistics.inbound_rtp.received.packets_received > 50:
                return statistics.inbound_rtp
        await asyncio.sleep(0.1)
    raise AssertionError(f"no packets: {kind}")


async def test_who_has_the_key_sees_and_hears_and_who_has_another_sees_nothing(server):
    alice = await Participant().join(server, "secret", "alice", options=encrypted_with(b"one key"))
    bob = await Participant().join(server, "secret", "bob", options=encrypted_with(b"one key"))
    carol = await Participant().join(server, "secret", "carol", options=encrypted_with(b"another"))
    try:
        await alice.publish_tone()
        await alice.publish_picture(1280, 720, simulcast=True)
        await until("pictures", 30, lambda: bob.video_frames.get("alice", 0) > 20)
        assert bob.video_levels["alice"] > 30, "the picture is not black"
        await until("sound", 20, lambda: bob.audio_energy.get("alice", 0) > 500)
        # The client passes on what comes before its decryption is in place: noise, at most for a moment.
        await inbound(carol, rtc.TrackKind.KIND_AUDIO)
        for _ in range(20):
            carol.audio_energy.clear()
            before = await inbound(carol, rtc.TrackKind.KIND_VIDEO)
            shown = carol.video_frames.get("alice", 0)
            await asyncio.sleep(2)
            after = await inbound(carol, rtc.TrackKind.KIND_VIDEO)
            assert after.received.packets_received > before.received.packets_received, "they go on"
            decoded = after.inbound.frames_decoded - before.inbound.frames_decoded
            shown = carol.video_frames.get("alice", 0) - shown
            energy = carol.audio_energy.get("alice", 0)
            if decoded == 0 and shown == 0 and energy < AUDIBLE:
                break
        else:
            raise AssertionError(f"carol has another key: {decoded} decoded, {shown} shown, energy {energy}")
    finally:
        for each in [alice, bob, carol]:
            await each.leave()
