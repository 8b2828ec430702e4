// A call between two Chromiums, each behind a relay that loses datagrams: the picture goes on, and freezes are told.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startBrowser } from '../harness/browser.mjs';
import { startRelay } from '../harness/relay.mjs';
import { sleep, startServer, until } from '../harness/server.mjs';

const CAMERA = { resolution: { width: 640, height: 360, frameRate: 20 } };
const SEED = 7;

let server;
let browser;
let alice;
let bob;
const relays = {};

before(async () => {
  server = await startServer();
  browser = await startBrowser();
  for (const [at, identity] of ['alice', 'bob'].entries()) {
    relays[identity] = await startRelay(server.udpPort, SEED + 2 * at);
  }
  const join = async (identity) => {
    const page = await browser.page('current', relays[identity]);
    const token = await server.token('loss', identity);
    await page.evaluate(([url, token]) => window.call.join(url, token), [server.url, token]);
    return page;
  };
  alice = await join('alice');
  bob = await join('bob');
});
after(async () => {
  await browser?.stop();
  Object.values(relays).forEach((relay) => relay.stop());
  server?.tellIfFailed();
  await server?.stop();
});

const statistics = (page) => page.evaluate(() => window.call.statistics());
const received = async () => (await statistics(bob)).inboundVideo[0];

test('an L1T3 simulcast camera is seen through the relays', async () => {
  await alice.evaluate((camera) => window.room.localParticipant.setCameraEnabled(true, camera), CAMERA);
  await until('two layers of three temporal layers each', 50_000, async () => {
    const { outbound } = await statistics(alice);
    return outbound.length >= 2 && outbound.every((layer) => layer.arrived && layer.scalabilityMode === 'L1T3');
  });
  await until('frames are decoded', 30_000, async () => (await received())?.frames > 20);
});

// Shares that are lost on the publisher's path and on the subscriber's, each both ways. STUN and DTLS are lost like
// media, but the handshakes are over by then. Limits are many times what a quiet machine shows.
for (const { name, publisher, subscriber, stallMax, freezeShareMax } of [
  { name: 'no loss', publisher: 0, subscriber: 0, stallMax: 5_000, freezeShareMax: 0.5 },
  { name: '5 % on both paths', publisher: 0.05, subscriber: 0.05, stallMax: 5_000, freezeShareMax: 0.5 },
  { name: '20 % on the path to the subscriber', publisher: 0, subscriber: 0.2, stallMax: 15_000, freezeShareMax: 1 },
  { name: '20 % on the path from the publisher', publisher: 0.2, subscriber: 0, stallMax: 15_000, freezeShareMax: 1 },
]) {
  test(`${name}: the picture goes on`, async (t) => {
    const countsBefore = { alice: relays.alice.counts(), bob: relays.bob.counts() };
    relays.alice.lose(publisher);
    relays.bob.lose(subscriber);
    const first = await received();
    const { last, longestStall } = await watch(WATCH_MILLIS);

    const frames = last.frames - first.frames;
    const frozen = last.frozen - first.frozen;
    const repaired = last.retransmitted - first.retransmitted;
    t.diagnostic(
      `${name}: ${frames} frames, ${last.key - first.key} of them key frames, in ${WATCH_MILLIS / 1000} s; ` +
        `${last.freezes - first.freezes} freezes of ${frozen.toFixed(2)} s together, ` +
        `no frame for ${longestStall} ms at most; ${last.lost - first.lost} packets lost, ${repaired} repaired; ` +
        `asked for again: ${last.nacks - first.nacks}, for a key frame: ${last.plis - first.plis}`,
    );
    for (const [identity, share] of [['alice', publisher], ['bob', subscriber]]) {
      const counts = relays[identity].counts();
      for (const direction of ['up', 'down']) {
        const passed = counts[direction].passed - countsBefore[identity][direction].passed;
        const lost = counts[direction].lost - countsBefore[identity][direction].lost;
        assert.ok(passed > 20, `${identity}'s datagrams go through the relay, ${direction}: ${passed}`);
        assert.ok(share === 0 ? lost === 0 : lost > 0, `${identity}, ${direction}: ${lost} lost of ${passed + lost}`);
      }
    }
    assert.ok(frames > 30, `frames go on: ${frames}`);
    assert.ok(longestStall <= stallMax, `no frame for ${longestStall} ms`);
    assert.ok(frozen <= (freezeShareMax * WATCH_MILLIS) / 1_000, `frozen for ${frozen} s`);
    if (subscriber > 0) assert.ok(repaired > 0, 'what is lost is sent again');
    // The fake camera's picture moves, and is plain at moments.
    await until('a picture that is not black', 10_000, async () => {
      const picture = await bob.evaluate(() => window.call.picture('alice'));
      return picture.mean > 10 && picture.spread > 5;
    });
  });
}

test('when the loss ends the picture is as it was', async () => {
  Object.values(relays).forEach((relay) => relay.lose(0));
  const start = await received();
  await until('frames as before', 30_000, async () => (await received()).frames > start.frames + 60);
  for (const page of [alice, bob]) assert.equal(await page.evaluate(() => window.room.state), 'connected');
});

// Looks several times a second how many frames are decoded.
async function watch(millis) {
  const end = Date.now() + millis;
  let last = await received();
  let changedAt = Date.now();
  let longestStall = 0;
  while (Date.now() < end) {
    await sleep(100);
    const sample = await received();
    longestStall = Math.max(longestStall, Date.now() - changedAt);
    if (sample.frames > last.frames) changedAt = Date.now();
    last = sample;
  }
  return { last, longestStall };
}

const WATCH_MILLIS = 15_000;
