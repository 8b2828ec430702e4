// Every video codec that browsers publish is decoded at the other end.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../harness/server.mjs';
import { setStage } from '../harness/stage.mjs';

const stage = setStage();

const decoded = (page) => page.evaluate(() => window.call.codecs());

for (const codec of ['vp8', 'h264', 'vp9', 'av1']) {
  test(`${codec} is published and decoded`, async () => {
    const [alice, bob] = await Promise.all(['alice', 'bob'].map((identity) => stage.join(codec, identity)));
    await alice.evaluate(async (videoCodec) => {
      const camera = await LivekitClient.createLocalVideoTrack({ resolution: { width: 640, height: 360, frameRate: 15 } });
      await window.room.localParticipant.publishTrack(camera, { videoCodec, source: 'camera', backupCodec: false });
    }, codec);
    await until(`${codec} frames`, 30_000, async () =>
      (await decoded(bob)).some((stream) => stream.mimeType.toLowerCase() === `video/${codec}` && stream.frames > 20));
    const picture = await until('a picture', 10_000, () => bob.evaluate(() => window.call.picture('alice')));
    assert.ok(picture.mean > 10 && picture.spread > 5, JSON.stringify(picture));
    await alice.close();
    await bob.close();
  });
}
