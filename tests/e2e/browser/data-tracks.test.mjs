// Data tracks between browsers: published, subscribed, frames of one and of many packets, and the end.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../harness/server.mjs';
import { setStage } from '../harness/stage.mjs';

const stage = setStage();

test('frames of a data track reach who subscribed, small ones and large ones', async () => {
  const [alice, bob] = await Promise.all(['alice', 'bob'].map((identity) => stage.join('data-tracks', identity)));
  const sid = await alice.evaluate(async () => {
    window.track = await window.room.localParticipant.publishDataTrack({ name: 'pose' });
    return window.track.info.sid;
  });
  assert.match(sid, /^DTR_/);
  await until('the publisher is seen', 30_000, () => bob.evaluate(() => window.room.remoteParticipants.has('alice')));
  await bob.evaluate(async () => {
    window.frames = [];
    window.ended = false;
    const remote = await window.room.remoteParticipants.get('alice').dataTracks.getDeferred('pose');
    const reader = remote.subscribe().getReader();
    (async () => {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        const sum = value.payload.reduce((sum, byte) => sum + byte, 0);
        window.frames.push({ length: value.payload.length, sum });
      }
      window.ended = true;
    })();
  });
  const large = 50_000;
  const arrived = async () => {
    // The channel is lossy, so each goes until it has come.
    await alice.evaluate((large) => {
      window.track.tryPush({ payload: new Uint8Array([1, 2, 3]) });
      window.track.tryPush({ payload: new Uint8Array(large).fill(1) });
    }, large);
    const frames = await bob.evaluate(() => window.frames);
    return [3, large].every((length) => frames.some((frame) => frame.length === length)) && frames;
  };
  const frames = await until('both frames', 30_000, arrived);
  for (const { length, sum } of frames) assert.equal(sum, length === 3 ? 6 : large);
  await alice.evaluate(() => window.track.unpublish());
  await until('the end of the track', 30_000, () => bob.evaluate(() => window.ended));
  await alice.close();
  await bob.close();
});
