// A call between two real browsers, for each client generation and each I/O back end.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startBrowser } from '../harness/browser.mjs';
import { startProxy } from '../harness/proxy.mjs';
import { sleep, startServer, until } from '../harness/server.mjs';

const CASES = [
  { client: 'current', io: 'io_uring' },
  { client: 'current', io: 'epoll' },
  { client: 'two-connections', io: 'io_uring' },
  { client: 'two-connections', io: 'epoll' },
];

const CAMERA = { resolution: { width: 1280, height: 720, frameRate: 20 } };

async function joined(browser, server, client, room, identity, options) {
  const page = await browser.page(client);
  const token = await server.token(room, identity);
  await page.evaluate(([url, token, options]) => window.call.join(url, token, options), [options?.url ?? server.url, token, options ?? {}]);
  return page;
}

const statistics = (page) => page.evaluate(() => window.call.statistics());
const participants = (page) => page.evaluate(() => window.call.participants());
const events = (page) => page.evaluate(() => window.call.events());
const named = async (page, name) => (await events(page)).filter((event) => event.name === name);

for (const { client, io } of CASES) {
  describe(`${client} client, ${io}`, () => {
    let server;
    let browser;
    let alice;
    let bob;

    before(async () => {
      server = await startServer(['--io', io]);
      browser = await startBrowser();
      alice = await joined(browser, server, client, 'call', 'alice');
      bob = await joined(browser, server, client, 'call', 'bob');
    });
    after(async () => {
      await browser?.stop();
      server?.tellIfFailed();
      await server?.stop();
    });

    // About a second on a quiet machine, and promised within ten; the client sends the upper layers when its own
    // bandwidth probes succeed, and tries again slowly if the machine is busy just then.
    test('all three simulcast layers of a 720p camera arrive', async () => {
      await alice.evaluate(async (camera) => {
        await window.room.localParticipant.setMicrophoneEnabled(true);
        await window.room.localParticipant.setCameraEnabled(true, camera);
      }, CAMERA);
      await until('three layers arrive', 50_000, async () => {
        const { outbound } = await statistics(alice);
        return outbound.length === 3 && outbound.every((layer) => layer.bytesSent > 5_000 && layer.arrived);
      });
    });

    test('the other browser decodes picture and sound over AES-GCM', async () => {
      await until('frames are decoded', 20_000, async () => {
        const { inboundVideo } = await statistics(bob);
        return inboundVideo.some((stream) => stream.frames > 10);
      });
      const before = await statistics(bob);
      await sleep(2_000);
      const now = await statistics(bob);
      const frames = (sample) => sample.inboundVideo.reduce((sum, stream) => sum + stream.frames, 0);
      assert.ok(frames(now) - frames(before) >= 10, `frames go on: ${frames(before)} -> ${frames(now)}`);
      const energy = (sample) => sample.inboundAudio.reduce((sum, stream) => sum + stream.energy, 0);
      await until('sound is heard', 10_000, async () => energy(await statistics(bob)) > 0);
      const picture = await until('a picture', 5_000, () => bob.evaluate(() => window.call.picture('alice')));
      assert.ok(picture.mean > 10 && picture.spread > 5, `picture is not black: ${JSON.stringify(picture)}`);
      for (const page of [alice, bob]) {
        const { transports } = await statistics(page);
        const live = transports.filter((transport) => transport.dtlsState === 'connected');
        assert.ok(live.length > 0);
        for (const transport of live) assert.match(transport.srtpCipher ?? '', /GCM/);
      }
    });

    test('the browsers tell their round trips by RTCP XR', async () => {
      await until('an answer to a reference time', 10_000, async () =>
        (await server.mediaCounters()).reference_times_answered > 0);
    });

    test('mute and unmute are seen, and the picture comes back', async () => {
      const muted = async () => (await participants(bob))[0].tracks.find((track) => track.kind === 'video')?.muted;
      await alice.evaluate(() => window.room.localParticipant.setCameraEnabled(false));
      await until('muted', 5_000, async () => (await muted()) === true);
      await alice.evaluate(() => window.room.localParticipant.setCameraEnabled(true));
      await until('unmuted', 5_000, async () => (await muted()) === false);
      const frames = async () => (await statistics(bob)).inboundVideo.reduce((sum, stream) => sum + stream.frames, 0);
      const start = await frames();
      await until('frames after unmute', 10_000, async () => (await frames()) > start + 10);
    });

    test('data passes both ways, reliable and lossy', async () => {
      for (const [from, to, identity] of [[alice, bob, 'alice'], [bob, alice, 'bob']]) {
        for (const reliable of [true, false]) {
          const text = `${identity} ${reliable}`;
          await until(`"${text}" arrives`, 10_000, async () => {
            await from.evaluate(([text, reliable]) => window.call.send(text, { reliable, topic: 'chat' }), [text, reliable]);
            return (await named(to, 'data')).some((event) => event.text === text && event.from === identity && event.topic === 'chat');
          });
        }
      }
    });

    test('the speaker is told', async () => {
      await until('active speakers', 10_000, async () =>
        (await named(bob, 'activeSpeakersChanged')).some((event) => event.identities?.includes('alice')));
    });

    test('unpublish and leave are seen', async () => {
      await alice.evaluate(async () => {
        const publications = window.room.localParticipant.trackPublications ?? window.room.localParticipant.tracks;
        const camera = [...publications.values()].find((each) => each.kind === 'video');
        await window.room.localParticipant.unpublishTrack(camera.track);
      });
      await until('unpublished', 5_000, async () =>
        !(await participants(bob))[0]?.tracks.some((track) => track.kind === 'video'));
      await alice.evaluate(() => window.room.disconnect());
      await until('left', 5_000, async () => (await participants(bob)).length === 0);
    });
  });
}

describe('signalling', () => {
  let server;
  let browser;

  before(async () => {
    server = await startServer();
    browser = await startBrowser();
  });
  after(async () => {
    await browser?.stop();
    await server?.stop();
  });

  for (const client of ['current', 'two-connections']) {
    test(`${client}: a cut WebSocket is resumed and media never stops`, async () => {
      const proxy = await startProxy(server.port);
      const alice = await joined(browser, server, client, `cut-${client}`, 'alice', { url: proxy.url });
      const bob = await joined(browser, server, client, `cut-${client}`, 'bob', { url: proxy.url });
      await alice.evaluate(() => window.room.localParticipant.setCameraEnabled(true));
      const frames = async () => (await statistics(bob)).inboundVideo.reduce((sum, stream) => sum + stream.frames, 0);
      await until('frames', 20_000, async () => (await frames()) > 20);
      assert.ok(proxy.cut() >= 2);
      const samples = [await frames()];
      for (let second = 0; second < 8; second += 1) {
        await sleep(1_000);
        samples.push(await frames());
      }
      for (let i = 1; i < samples.length; i += 1) {
        assert.ok(samples[i] > samples[i - 1], `frames in each second: ${samples}`);
      }
      for (const page of [alice, bob]) {
        await until('resumed', 15_000, () => page.evaluate(() => window.room.state === 'connected'));
        assert.equal((await named(page, 'disconnected')).length, 0);
      }
      assert.equal((await named(bob, 'participantDisconnected')).length, 0);
      // The signalling connection works again: a change gets through.
      await alice.evaluate(() => window.room.localParticipant.setCameraEnabled(false));
      await until('mute is seen', 10_000, async () => (await participants(bob))[0]?.tracks[0]?.muted === true);
      await alice.close();
      await bob.close();
      await proxy.stop();
    });
  }

  test('a second join with the same identity evicts the first', async () => {
    const first = await joined(browser, server, 'current', 'twins', 'alice');
    const second = await joined(browser, server, 'current', 'twins', 'alice');
    const [event] = await until('evicted', 10_000, async () => {
      const found = await named(first, 'disconnected');
      return found.length > 0 && found;
    });
    const DUPLICATE_IDENTITY = 2; // livekit.DisconnectReason
    assert.equal(event.value, DUPLICATE_IDENTITY);
    await sleep(1_000);
    assert.equal(await second.evaluate(() => window.room.state), 'connected');
    await first.close();
    await second.close();
  });

  test('a token without the room grant is refused with 401', async () => {
    const page = await browser.page();
    const token = await server.token('elsewhere', 'alice', { video: { roomJoin: false } });
    const error = await page.evaluate(([url, token]) => window.call.join(url, token).then(() => null, (e) => e.message), [server.url, token]);
    assert.match(error ?? '', /permission|authoriz|401/i);
    await page.close();
  });
});
