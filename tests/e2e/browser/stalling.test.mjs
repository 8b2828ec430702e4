// A camera that delivers nothing although it is not muted: who watches is told that the stream is paused, and when it goes on.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../harness/server.mjs';
import { setStage } from '../harness/stage.mjs';

const stage = setStage();

test('a camera that stalls and goes on is told to who watches it', async () => {
  const [alice, bob] = await Promise.all(['alice', 'bob'].map((identity) => stage.join('stalling', identity)));
  await bob.evaluate(() => {
    window.states = [];
    window.room.on(LivekitClient.RoomEvent.TrackStreamStateChanged, (publication, state) => window.states.push(state));
  });
  await alice.evaluate(async () => {
    const canvas = Object.assign(document.createElement('canvas'), { width: 320, height: 180 });
    const context = canvas.getContext('2d');
    let step = 0;
    const draw = () => {
      context.fillStyle = `hsl(${(step += 7)} 80% 50%)`;
      context.fillRect(0, 0, canvas.width, canvas.height);
    };
    // What is not drawn upon is not captured.
    window.draws = (draws) => {
      clearInterval(window.drawing);
      if (draws) window.drawing = setInterval(draw, 100);
    };
    window.draws(true);
    const [camera] = canvas.captureStream(10).getVideoTracks();
    await window.room.localParticipant.publishTrack(camera, { source: 'camera', simulcast: false });
  });
  const frames = async () => {
    const { inboundVideo } = await bob.evaluate(() => window.call.statistics());
    return Math.max(0, ...inboundVideo.map((stream) => stream.frames));
  };
  const states = () => bob.evaluate(() => window.states);
  await until('frames', 30_000, async () => (await frames()) > 10);
  await alice.evaluate(() => window.draws(false));
  await until('the stall is told', 20_000, async () => (await states()).at(-1) === 'paused');
  const seen = await frames();
  await alice.evaluate(() => window.draws(true));
  // On a busy machine Chromium may pause by itself before.
  const told = await until('that it goes on is told', 20_000, async () => {
    const now = await states();
    return now.at(-1) === 'active' && now;
  });
  assert.deepEqual(told.slice(-2), ['paused', 'active']);
  await until('more frames', 20_000, async () => (await frames()) > seen + 10);
  await alice.close();
  await bob.close();
});
