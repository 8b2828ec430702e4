// What a Chromium makes of the frames that the server puts in a publisher's place: silence after a mute, black at the end.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sleep, until } from '../harness/server.mjs';
import { setStage } from '../harness/stage.mjs';

let alice;
let bob;
setStage(async (stage) => {
  alice = await stage.join('silence', 'alice');
  bob = await stage.join('silence', 'bob');
});

const statistics = (page) => page.evaluate(() => window.call.statistics());
const audio = async () => (await statistics(bob)).inboundAudio[0];

test('a mute is heard as silence, not as what the client makes up', async (t) => {
  await alice.evaluate(() => window.room.localParticipant.setMicrophoneEnabled(true));
  await until('sound', 20_000, async () => (await audio())?.energy > 0);
  await until('packets', 20_000, async () => (await audio()).packets > 100);
  await alice.evaluate(() => window.room.localParticipant.setMicrophoneEnabled(false));
  const muted = await audio();
  await sleep(700);
  const silent = await audio();
  await sleep(1_000);
  const alone = await audio();
  await sleep(700);
  const end = await audio();
  const share = (from, to) => (to.concealed - from.concealed) / (to.samples - from.samples);
  const [told, made] = [share(muted, silent), share(alone, end)];
  t.diagnostic(`concealed: ${(told * 100).toFixed(1)} % during the silence, ${(made * 100).toFixed(1)} % behind it`);
  assert.ok(silent.packets - muted.packets >= 10, `${silent.packets - muted.packets} packets of silence came`);
  assert.equal(end.packets, alone.packets, 'and no more after a second');
  assert.ok(told < made / 2, 'the client makes up less than it does when nothing comes');
  await alice.evaluate(() => window.room.localParticipant.setMicrophoneEnabled(true));
  const start = await audio();
  await until('sound again', 10_000, async () => (await audio()).packets > start.packets + 50);
});

test('a picture that ends is black before it is gone', async (t) => {
  await alice.evaluate(() => window.room.localParticipant.setCameraEnabled(true));
  await until('pictures', 30_000, async () => (await statistics(bob)).inboundVideo[0]?.frames > 30);
  const before = (await statistics(bob)).inboundVideo[0];
  const watched = bob.evaluate(async () => {
    const seen = [];
    const end = performance.now() + 2_000;
    while (performance.now() < end) {
      const { inboundVideo } = await window.call.statistics();
      seen.push(inboundVideo[0]);
      await new Promise((resolve) => setTimeout(resolve, 15));
    }
    return seen;
  });
  await sleep(200);
  await alice.evaluate(async () => {
    const camera = [...window.room.localParticipant.trackPublications.values()].find((each) => each.kind === 'video');
    await window.room.localParticipant.unpublishTrack(camera.track);
  });
  const seen = await watched;
  const pictures = seen.filter((one) => one?.frames > 0);
  const last = pictures.at(-1);
  t.diagnostic(`${last.key - before.key} black key frames decoded, ${last.plis - before.plis} asked for`);
  assert.deepEqual([last.width, last.height], [8, 8], 'the last picture is the server\'s');
  assert.ok(last.key - before.key >= 2, 'more than one was decoded');
  assert.equal(last.plis, before.plis, 'and the decoder missed nothing');
});
