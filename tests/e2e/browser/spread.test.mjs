// Participants of one room on two workers, with real browsers of both client generations.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startBrowser } from '../harness/browser.mjs';
import { startServer, twoFreeUdpPorts, until } from '../harness/server.mjs';

let server;
let browser;

before(async () => {
  const first = await twoFreeUdpPorts();
  // Whoever comes second finds the first worker full.
  server = await startServer(['--workers', '2', '--udp-port', `${first}-${first + 1}`], ['media: { spread_above: 1 }']);
  browser = await startBrowser();
});
after(async () => {
  await browser?.stop();
  server?.tellIfFailed();
  await server?.stop();
});

for (const client of ['current', 'two-connections']) {
  test(`${client}: pictures and data pass between workers`, async () => {
    const pages = [];
    for (const identity of ['alice', 'bob']) {
      const page = await browser.page(client);
      const token = await server.token(client, identity);
      await page.evaluate(([url, token]) => window.call.join(url, token), [server.url, token]);
      pages.push(page);
    }
    const before = await server.mediaCounters();
    for (const page of pages) await page.evaluate(() => window.room.localParticipant.setCameraEnabled(true));
    for (const page of pages) {
      const statistics = () => page.evaluate(() => window.call.statistics());
      await until('frames', 30_000, async () => (await statistics()).inboundVideo.some((stream) => stream.frames > 20));
    }
    const [alice, bob] = pages;
    await until('data', 20_000, async () => {
      await alice.evaluate(() => window.call.send('between workers', { reliable: true }));
      return (await bob.evaluate(() => window.call.events())).some((event) => event.name === 'data' && event.text === 'between workers');
    });
    const { workers } = (await server.counts()).media[0];
    assert.ok(workers.every((worker) => worker.peers > 0), JSON.stringify(workers.map((worker) => worker.peers)));
    const after = await server.mediaCounters();
    assert.ok(after.packets_relayed > before.packets_relayed + 40);
    for (const page of pages) await page.close();
  });
}
