// A publisher sends what somebody watches, and takes it up again at once when somebody wants more.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { sleep, until } from '../harness/server.mjs';
import { setStage } from '../harness/stage.mjs';

const CAMERA = { resolution: { width: 1280, height: 720, frameRate: 20 } };
const LOW = 0;
const HIGH = 2;

const statistics = (page) => page.evaluate(() => window.call.statistics());

// Bytes of each layer that left the publisher.
const sent = async (page) => {
  const { outbound } = await statistics(page);
  return Object.fromEntries(outbound.map(({ rid, bytesSent }) => [rid, bytesSent]));
};

// The layers that grow within a while.
const growing = async (page) => {
  const before = await sent(page);
  await sleep(1_000);
  const now = await sent(page);
  return Object.keys(now).filter((rid) => now[rid] > before[rid]).sort().join('');
};

const frames = async (page) => (await statistics(page)).inboundVideo.reduce((sum, stream) => sum + stream.frames, 0);

const want = (page, quality) =>
  page.evaluate((quality) => {
    const [alice] = (window.room.remoteParticipants ?? window.room.participants).values();
    const [video] = (alice.videoTrackPublications ?? alice.videoTracks).values();
    video.setVideoQuality(quality);
  }, quality);

for (const client of ['current', 'two-connections']) {
  describe(`${client} client`, () => {
    const stage = setStage();

    const joined = (identity, options) => stage.join('dynacast', identity, { client, options });

    test('layers that nobody watches stop, and come back for who wants them', async () => {
      const alice = await joined('alice', { room: { dynacast: true } });
      const bob = await joined('bob');
      const carol = await joined('carol');
      await alice.evaluate((camera) => window.room.localParticipant.setCameraEnabled(true, camera), CAMERA);
      await until('three layers are sent', 60_000, async () => (await growing(alice)) === 'fhq');
      for (const page of [bob, carol]) await until('frames', 20_000, async () => (await frames(page)) > 10);

      await want(bob, LOW);
      await want(carol, LOW);
      await until('only the lowest layer is sent', 30_000, async () => (await growing(alice)) === 'q');
      for (const page of [bob, carol]) {
        const start = await frames(page);
        await until('the low picture goes on', 10_000, async () => (await frames(page)) > start + 10);
      }

      // Carol's picture goes on all the while, and is still the small one.
      const start = { carol: await frames(carol), at: Date.now() };
      await want(bob, HIGH);
      await until('the best layer is sent again', 30_000, async () => (await growing(alice)).includes('f'));
      await until('Bob sees it', 30_000, async () =>
        (await bob.evaluate(() => window.call.picture('alice')))?.width === 1280);
      const rate = ((await frames(carol)) - start.carol) / ((Date.now() - start.at) / 1_000);
      assert.ok(rate > 3, `Carol's picture goes on meanwhile: ${rate} frames a second`);
      assert.equal((await carol.evaluate(() => window.call.picture('alice'))).width, 320);

      await alice.evaluate(() => window.room.localParticipant.setCameraEnabled(false));
      await sleep(7_000);
      const muted = await frames(bob);
      await alice.evaluate(() => window.room.localParticipant.setCameraEnabled(true));
      await until('the picture comes back after a long mute', 20_000, async () => (await frames(bob)) > muted + 10);

      for (const page of [bob, carol]) await page.evaluate(() => window.room.disconnect());
      await until('nothing is sent to nobody', 30_000, async () => (await growing(alice)) === '');

      const dave = await joined('dave');
      await until('a newcomer sees the picture', 30_000, async () => (await frames(dave)) > 10);
      await until('and then the best one', 60_000, async () =>
        (await dave.evaluate(() => window.call.picture('alice')))?.width === 1280);
    });
  });
}

describe('a camera in VP9, and in VP8 for who needs it', () => {
  const stage = setStage();

  // Codecs that arrive and are decoded now.
  const decoding = async (page) => {
    const sample = () => page.evaluate(() => window.call.codecs());
    const before = await sample();
    await sleep(1_000);
    const now = await sample();
    const frames = (all, name) => all.filter(({ mimeType }) => mimeType === name).reduce((sum, one) => sum + one.frames, 0);
    const names = [...new Set(now.map(({ mimeType }) => mimeType))];
    return names.filter((name) => frames(now, name) > frames(before, name)).join();
  };

  for (const [policy, others] of [['SIMULCAST', 'video/VP9'], ['PREFER_REGRESSION', 'video/VP8']]) {
    test(`${policy}: a subscriber without VP9 gets VP8, the other one ${others}`, async () => {
      const joined = (identity, prepare) =>
        stage.join(policy, identity, { prepare: prepare && ((page) => page.evaluate(prepare)) });
      const alice = await joined('alice');
      const bob = await joined('bob');
      await alice.evaluate(async (policy) => {
        const camera = await LivekitClient.createLocalVideoTrack({ resolution: { width: 640, height: 360, frameRate: 15 } });
        await window.room.localParticipant.publishTrack(camera, {
          videoCodec: 'vp9',
          backupCodec: true,
          backupCodecPolicy: LivekitClient.BackupCodecPolicy[policy],
          source: 'camera',
        });
      }, policy);
      await until('Bob sees VP9', 30_000, async () => (await decoding(bob)) === 'video/VP9');
      const carol = await joined('carol', () => {
        const add = RTCPeerConnection.prototype.addTransceiver;
        const without = RTCRtpReceiver.getCapabilities('video').codecs.filter(({ mimeType }) => mimeType !== 'video/VP9');
        RTCPeerConnection.prototype.addTransceiver = function (kind, init) {
          const transceiver = add.call(this, kind, init);
          if (kind === 'video' && init?.direction === 'recvonly') transceiver.setCodecPreferences(without);
          return transceiver;
        };
      });
      await until('Carol sees VP8', 30_000, async () => (await decoding(carol)) === 'video/VP8');
      await until(`Bob sees ${others}`, 30_000, async () => (await decoding(bob)) === others);
      for (const page of [bob, carol]) {
        const picture = await until('a picture', 10_000, () => page.evaluate(() => window.call.picture('alice')));
        assert.ok(picture.mean > 10 && picture.spread > 5, JSON.stringify(picture));
      }
      for (const page of [alice, bob, carol]) await page.close();
    });
  }
});
