"""A participant built on the unmodified `livekit` package: publishes tones and pictures, counts what arrives."""

import asyncio
import math

import numpy
from livekit import rtc

from conftest import until

SAMPLE_RATE = 48_000
SAMPLES = SAMPLE_RATE // 20  # 50 ms
# Mean amplitude of what counts as heard, and pictures that count as seen.
AUDIBLE = 300
PICTURES = 5


class Participant:
    """`sample`: look at the first pictures and sounds of each track only; a hundred streams at once are too many."""

    def __init__(self, sample=False):
        self.sample = sample
        self.room = rtc.Room()
        self.video_frames = {}
        self.video_levels = {}
        self.audio_energy = {}
        self.data = []
        self.tracks = {}
        self.events = []
        self.speakers = set()
        self._tasks = []
        self.room.on("track_subscribed", self._subscribed)
        self.room.on("data_received", lambda packet: self.data.append(packet))
        self.room.on("active_speakers_changed", lambda s: self.speakers.update(p.identity for p in s))
        self.room.on("disconnected", lambda reason: self.events.append(("disconnected", reason)))
        self.room.on("participant_disconnected", lambda p: self.events.append(("left", p.identity)))
        self.room.on("track_muted", lambda p, pub: self.events.append(("muted", p.identity, pub.sid)))
        self.room.on("track_unmuted", lambda p, pub: self.events.append(("unmuted", p.identity, pub.sid)))
        self.room.on("track_unpublished", lambda pub, p: self.events.append(("unpublished", p.identity, pub.sid)))

    async def join(self, server, room, identity, options=None, **grants):
        token = server.token(room, identity, **grants)
        await self.room.connect(server.url, token, options or rtc.RoomOptions())
        return self

    def _subscribed(self, track, _publication, participant):
        self.tracks[participant.identity, track.kind] = track
        if track.kind == rtc.TrackKind.KIND_VIDEO:
            self._spawn(self._watch(track, participant.identity))
        else:
            self._spawn(self._listen(track, participant.identity))

    def _spawn(self, coroutine):
        self._tasks.append(asyncio.ensure_future(coroutine))

    async def _watch(self, track, identity):
        stream = rtc.VideoStream(track, format=rtc.VideoBufferType.I420)
        async for event in stream:
            self.video_frames[identity] = self.video_frames.get(identity, 0) + 1
            frame = event.frame
            luma = numpy.frombuffer(frame.data, dtype=numpy.uint8, count=frame.width * frame.height)
            self.video_levels[identity] = float(luma.mean())
            if self.sample and self.video_frames[identity] >= PICTURES:
                break
        await stream.aclose()

    async def _listen(self, track, identity):
        stream = rtc.AudioStream(track, sample_rate=SAMPLE_RATE, num_channels=1, frame_size_ms=100)
        async for event in stream:
            samples = numpy.frombuffer(event.frame.data, dtype=numpy.int16).astype(numpy.float64)
            energy = float(numpy.abs(samples).mean()) if samples.size else 0.0
            self.audio_energy[identity] = max(self.audio_energy.get(identity, 0.0), energy)
            if self.sample and energy > AUDIBLE:
                break
        await stream.aclose()

    async def publish_tone(self, frequency=440.0):
        source = rtc.AudioSource(SAMPLE_RATE, 1)
        track = rtc.LocalAudioTrack.create_audio_track("tone", source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        publication = await self.room.local_participant.publish_track(track, options)
        self._spawn(self._tone(source, frequency))
        return publication, track

    async def _tone(self, source, frequency):
        # Whole periods, so that the pieces join without a click.
        time = numpy.arange(SAMPLES) / SAMPLE_RATE
        samples = (numpy.sin(2 * math.pi * frequency * time) * 8_000).astype(numpy.int16).tobytes()
        while True:
            await source.capture_frame(rtc.AudioFrame(samples, SAMPLE_RATE, 1, SAMPLES))

    async def publish_picture(self, width=320, height=180, fps=15, simulcast=False):
        source = rtc.VideoSource(width, height)
        track = rtc.LocalVideoTrack.create_video_track("picture", source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA, simulcast=simulcast)
        publication = await self.room.local_participant.publish_track(track, options)
        self._spawn(self._picture(source, width, height, fps))
        return publication, track

    async def _picture(self, source, width, height, fps):
        row = numpy.linspace(60, 200, width, dtype=numpy.uint8)
        chroma = numpy.full(width * height // 2, 128, dtype=numpy.uint8).tobytes()
        step = 0
        while True:
            luma = numpy.tile(numpy.roll(row, step * 7), (height, 1)).tobytes()
            source.capture_frame(rtc.VideoFrame(width, height, rtc.VideoBufferType.I420, luma + chroma))
            step += 1
            await asyncio.sleep(1 / fps)

    async def leave(self):
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.room.disconnect()


async def everything_arrives(crowd, names):
    """Waits until each participant sees the pictures and hears the tone of every other one."""

    def missing():
        for participant, name in zip(crowd, names):
            for other in names:
                if other != name and (
                    participant.video_frames.get(other, 0) < PICTURES
                    or participant.audio_energy.get(other, 0) < AUDIBLE
                ):
                    yield name, other

    await until("every track everywhere", 90, lambda: next(missing(), None) is None)
