// What goes into the headers of packets, as browsers see it: the room's playout delay, and when pictures were captured.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AccessToken, RoomConfiguration } from 'livekit-server-sdk';
import { KEY, SECRET, sleep, until } from '../harness/server.mjs';
import { setStage } from '../harness/stage.mjs';

const CAMERA = { resolution: { width: 640, height: 360, frameRate: 20 } };
const DELAY_MS = 600;
// In NTP time, which capture times are in.
const UNIX_EPOCH_MS = 2_208_988_800_000;
const CAPTURE_TIME = 'http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time';
const PLAYOUT_DELAY = 'http://www.webrtc.org/experiments/rtp-hdrext/playout-delay';

// The extensions that each connection negotiated for the video that it receives.
const extensions = (page) =>
  page.evaluate(() => {
    const [alice] = (window.room.remoteParticipants ?? window.room.participants).values();
    const [video] = (alice.videoTrackPublications ?? alice.videoTracks).values();
    return video.track.receiver.getParameters().headerExtensions.map(({ uri }) => uri);
  });

// Lets the page negotiate from now on when media was captured, which Chromium does by itself only for who offers it.
const negotiateCaptureTime = (page) =>
  page.evaluate((uri) => {
    const { prototype } = window.RTCPeerConnection;
    const original = prototype.addTransceiver;
    prototype.addTransceiver = function (...args) {
      const transceiver = original.apply(this, args);
      const extensions = transceiver.getHeaderExtensionsToNegotiate();
      extensions.find((extension) => extension.uri === uri).direction = 'sendrecv';
      transceiver.setHeaderExtensionsToNegotiate(extensions);
      return transceiver;
    };
  }, CAPTURE_TIME);

// How long ago the picture was captured that was shown last, and what the clock that says so is ahead of the sender's.
const captured = (page) =>
  page.evaluate((unixEpoch) => {
    const [alice] = (window.room.remoteParticipants ?? window.room.participants).values();
    const [video] = (alice.videoTrackPublications ?? alice.videoTracks).values();
    const [{ captureTimestamp, senderCaptureTimeOffset } = {}] = video.track.receiver.getSynchronizationSources();
    return captureTimestamp && { age: Date.now() + unixEpoch - captureTimestamp, offset: senderCaptureTimeOffset };
  }, UNIX_EPOCH_MS);

// How long the pictures that were shown lately were held, on the average.
const held = async (page) => {
  const sums = () =>
    page.evaluate(async () => {
      const [alice] = (window.room.remoteParticipants ?? window.room.participants).values();
      const [video] = (alice.videoTrackPublications ?? alice.videoTracks).values();
      const reports = [...(await video.track.receiver.getStats()).values()];
      const { jitterBufferTargetDelay, jitterBufferEmittedCount } = reports.find(({ type }) => type === 'inbound-rtp');
      return { seconds: jitterBufferTargetDelay, count: jitterBufferEmittedCount };
    });
  const before = await sums();
  await sleep(2_000);
  const now = await sums();
  return ((now.seconds - before.seconds) * 1_000) / (now.count - before.count);
};

for (const client of ['current', 'two-connections']) {
  describe(`${client} client`, () => {
    const stage = setStage();

    const joined = async (room, identity, delay, prepare) => {
      const access = new AccessToken(KEY, SECRET, { identity, ttl: '1h' });
      access.addGrant({ roomJoin: true, room });
      if (delay) access.roomConfig = new RoomConfiguration({ minPlayoutDelay: delay, maxPlayoutDelay: delay + 400 });
      return stage.join(room, identity, { client, prepare, token: await access.toJwt() });
    };

    const call = async (room, delay, prepare = () => {}) => {
      const alice = await joined(room, 'alice', delay, prepare);
      const bob = await joined(room, 'bob', delay, prepare);
      await alice.evaluate((camera) => window.room.localParticipant.setCameraEnabled(true, camera), CAMERA);
      await until('frames', 30_000, async () => {
        const { inboundVideo } = await bob.evaluate(() => window.call.statistics());
        return inboundVideo.some(({ frames }) => frames > 10);
      });
      return bob;
    };

    test('pictures are held for as long as the room says', async () => {
      const bob = await call('held', DELAY_MS);
      assert.ok((await extensions(bob)).includes(PLAYOUT_DELAY));
      await until(`${DELAY_MS} ms are kept to`, 20_000, async () => (await held(bob)) >= DELAY_MS * 0.95);
    });

    test('who receives pictures is told when they were captured', async () => {
      const bob = await call('captured', 0, negotiateCaptureTime);
      assert.ok((await extensions(bob)).includes(CAPTURE_TIME));
      // Not before the publisher's first sender report.
      const { age, offset } = await until('a capture time', 20_000, () => captured(bob));
      assert.ok(age >= 0 && age < 2_000, `captured ${age} ms ago`);
      assert.ok(Math.abs(offset) < 1_000, `all clocks are one here, and not ${offset} ms apart`);
    });

    test('pictures are shown at once where the room says nothing', async () => {
      const bob = await call('at-once');
      assert.ok(!(await extensions(bob)).includes(PLAYOUT_DELAY));
      await until('less is kept to', 20_000, async () => (await held(bob)) < DELAY_MS * 0.8);
    });
  });
}
