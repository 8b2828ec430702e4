// Layers of one stream: what a subscriber asks for is what it decodes, while the publisher sends all of them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../harness/server.mjs';
import { setStage } from '../harness/stage.mjs';

// LiveKit's VideoQuality.
const LOW = 0;
const MEDIUM = 1;
const HIGH = 2;

const stage = setStage();

const inbound = async (page) => {
  const { inboundVideo } = await page.evaluate(() => window.call.statistics());
  return inboundVideo.toSorted((a, b) => b.frames - a.frames)[0] ?? { frames: 0, width: 0 };
};

const ask = (page, quality) =>
  page.evaluate((quality) => {
    for (const participant of window.room.remoteParticipants.values()) {
      for (const publication of participant.trackPublications.values()) {
        if (publication.kind === 'video') publication.setVideoQuality(quality);
      }
    }
  }, quality);

// Frames of one width are decoded, and go on.
async function decodes(page, what, isRight, patience = 40_000) {
  const seen = await until(what, patience, async () => {
    const now = await inbound(page);
    return now.frames > 0 && isRight(now.width) && now;
  });
  return until(`${what}, which go on`, patience, async () => {
    const now = await inbound(page);
    return isRight(now.width) && now.frames > seen.frames + 10 && now;
  });
}

for (const [videoCodec, scalabilityMode] of [['vp9', 'L3T3_KEY'], ['av1', 'L3T3_KEY'], ['av1', 'L1T3']]) {
  test(`${videoCodec} ${scalabilityMode}: the subscriber decodes the layer that it asks for`, async () => {
    const room = `${videoCodec}-${scalabilityMode}`;
    const [alice, bob] = await Promise.all(['alice', 'bob'].map((identity) => stage.join(room, identity)));
    await alice.evaluate(
      async ([videoCodec, scalabilityMode]) => {
        const camera = await LivekitClient.createLocalVideoTrack({ resolution: { width: 640, height: 360, frameRate: 15 } });
        const options = { videoCodec, scalabilityMode, source: 'camera', backupCodec: false };
        await window.room.localParticipant.publishTrack(camera, options);
      },
      [videoCodec, scalabilityMode],
    );
    await decodes(bob, 'frames of the whole size', (width) => width === 640);
    const { outbound } = await alice.evaluate(() => window.call.statistics());
    assert.equal(outbound.length, 1, 'one stream has all layers');
    // Chromium leaves out layers that would be too small: at 360 lines there are two.
    const spatial = scalabilityMode.startsWith('L3');
    await ask(bob, LOW);
    const low = await decodes(bob, 'frames after less was asked for', (width) => (spatial ? width < 640 : width === 640));
    await ask(bob, HIGH);
    const high = await decodes(bob, 'frames of the whole size again', (width) => width === 640);
    assert.ok(high.frames > low.frames);
    const picture = await until('a picture', 10_000, () => bob.evaluate(() => window.call.picture('alice')));
    assert.ok(picture.mean > 10 && picture.spread > 5, JSON.stringify(picture));
    await alice.close();
    await bob.close();
  });
}

test('vp9 L3T3_KEY of 720 lines: each of three layers is decoded by who asks for it', async () => {
  const [alice, bob] = await Promise.all(['alice', 'bob'].map((identity) => stage.join('three-layers', identity)));
  await alice.evaluate(async () => {
    const camera = await LivekitClient.createLocalVideoTrack({ resolution: { width: 1280, height: 720, frameRate: 8 } });
    const videoEncoding = { maxBitrate: 3_000_000, maxFramerate: 8 };
    const options = { videoCodec: 'vp9', scalabilityMode: 'L3T3_KEY', videoEncoding, source: 'camera', backupCodec: false };
    await window.room.localParticipant.publishTrack(camera, options);
  });
  const seen = [];
  for (const [quality, width] of [[HIGH, 1280], [LOW, 320], [MEDIUM, 640], [HIGH, 1280]]) {
    await ask(bob, quality);
    // A busy machine's encoder makes all layers smaller for a while.
    seen.push((await decodes(bob, `frames ${width} wide`, (now) => now === width, 100_000)).width);
  }
  assert.deepEqual(seen, [1280, 320, 640, 1280]);
  const { outbound } = await alice.evaluate(() => window.call.statistics());
  assert.equal(outbound.length, 1, 'one stream has all layers');
  await alice.close();
  await bob.close();
});

// How many of the frames that are sent meanwhile a subscriber decodes.
async function share(alice, bob) {
  const count = async () => {
    const { outbound } = await alice.evaluate(() => window.call.statistics());
    return [Math.max(...outbound.map((stream) => stream.framesEncoded ?? 0)), (await inbound(bob)).frames];
  };
  const [sentBefore, shownBefore] = await count();
  const [sent, shown] = await until('a hundred frames', 60_000, async () => {
    const now = await count();
    return now[0] - sentBefore > 100 && now;
  });
  return (shown - shownBefore) / (sent - sentBefore);
}

for (const videoCodec of ['vp8', 'av1']) {
  test(`${videoCodec}: a subscriber that wants fewer frames a second gets fewer temporal layers`, async () => {
    const room = `frame-rate-${videoCodec}`;
    const [alice, bob] = await Promise.all(['alice', 'bob'].map((identity) => stage.join(room, identity)));
    await alice.evaluate(async (videoCodec) => {
      const camera = await LivekitClient.createLocalVideoTrack({ resolution: { width: 640, height: 360, frameRate: 16 } });
      // Of VP8 the client asks for temporal layers with simulcast only.
      const options = { videoCodec, scalabilityMode: 'L1T3', simulcast: true, source: 'camera', backupCodec: false };
      await window.room.localParticipant.publishTrack(camera, options);
    }, videoCodec);
    await decodes(bob, 'frames of the whole size', (width) => width === 640);
    const limit = (frames) =>
      bob.evaluate((frames) => {
        for (const participant of window.room.remoteParticipants.values()) {
          for (const publication of participant.trackPublications.values()) {
            if (publication.kind === 'video') publication.setVideoFPS(frames);
          }
        }
      }, frames);
    // The lowest layer has every fourth.
    await limit(1);
    const low = [];
    await until('about a quarter of the frames', 100_000, async () => low.unshift(await share(alice, bob)) && low[0] < 0.4);
    await limit(30);
    const high = [];
    await until('all frames again', 100_000, async () => high.unshift(await share(alice, bob)) && high[0] > 0.75);
    console.log(`decoded of what was sent: ${low[0].toFixed(2)}, then ${high[0].toFixed(2)}`);
    await alice.close();
    await bob.close();
  });
}
