// The other DTLS library, `--dtls webrtc`, with real browsers on both sides of both client generations.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startBrowser } from '../harness/browser.mjs';
import { startServer, until } from '../harness/server.mjs';

let server;
let browser;

before(async () => {
  server = await startServer(['--dtls', 'webrtc']);
  browser = await startBrowser();
});
after(async () => {
  await browser?.stop();
  server?.tellIfFailed();
  await server?.stop();
});

for (const client of ['current', 'two-connections']) {
  test(`${client}: picture and data pass over --dtls webrtc`, async () => {
    const [alice, bob] = await Promise.all(
      ['alice', 'bob'].map(async (identity) => {
        const page = await browser.page(client);
        const token = await server.token(client, identity);
        await page.evaluate(([url, token]) => window.call.join(url, token), [server.url, token]);
        return page;
      }),
    );
    await alice.evaluate(() => window.room.localParticipant.setCameraEnabled(true));
    const statistics = () => bob.evaluate(() => window.call.statistics());
    await until('frames', 20_000, async () => (await statistics()).inboundVideo.some((stream) => stream.frames > 20));
    const { transports } = await statistics();
    assert.ok(transports.some((transport) => transport.dtlsState === 'connected' && transport.tlsVersion === 'FEFD'));
    await until('data', 20_000, async () => {
      await alice.evaluate(() => window.call.send('over webrtc', { reliable: true }));
      return (await bob.evaluate(() => window.call.events())).some((event) => event.name === 'data' && event.text === 'over webrtc');
    });
    await alice.close();
    await bob.close();
  });
}
