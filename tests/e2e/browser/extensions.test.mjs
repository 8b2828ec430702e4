// What goes into the headers of packets, as browsers see it: the room's playout delay.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { AccessToken, RoomConfiguration } from 'livekit-server-sdk';
import { startBrowser } from '../harness/browser.mjs';
import { KEY, SECRET, sleep, startServer, until } from '../harness/server.mjs';

const CAMERA = { resolution: { width: 640, height: 360, frameRate: 20 } };
const DELAY_MS = 600;
const CAPTURE_TIME = 'http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time';
const PLAYOUT_DELAY = 'http://www.webrtc.org/experiments/rtp-hdrext/playout-delay';

// The extensions that each connection negotiated for the video that it receives.
const extensions = (page) =>
  page.evaluate(() => {
    const [alice] = (window.room.remoteParticipants ?? window.room.participants).values();
    const [video] = (alice.videoTrackPublications ?? alice.videoTracks).values();
    return video.track.receiver.getParameters().headerExtensions.map(({ uri }) => uri);
  });

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
    let server;
    let browser;

    before(async () => {
      server = await startServer();
      browser = await startBrowser();
    });
    after(async () => {
      await browser?.stop();
      server?.tellIfFailed();
      await server?.stop();
    });

    const joined = async (room, identity, delay) => {
      const access = new AccessToken(KEY, SECRET, { identity, ttl: '1h' });
      access.addGrant({ roomJoin: true, room });
      if (delay) access.roomConfig = new RoomConfiguration({ minPlayoutDelay: delay, maxPlayoutDelay: delay + 400 });
      const page = await browser.page(client);
      await page.evaluate(([url, token]) => window.call.join(url, token), [server.url, await access.toJwt()]);
      return page;
    };

    const call = async (room, delay) => {
      const alice = await joined(room, 'alice', delay);
      const bob = await joined(room, 'bob', delay);
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

    test('pictures are shown at once where the room says nothing', async () => {
      const bob = await call('at-once');
      assert.ok(!(await extensions(bob)).includes(PLAYOUT_DELAY));
      assert.ok((await extensions(bob)).includes(CAPTURE_TIME) || client === 'current');
      await until('less is kept to', 20_000, async () => (await held(bob)) < DELAY_MS * 0.8);
    });
  });
}
