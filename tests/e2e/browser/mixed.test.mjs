// A browser and the PyPI client in one call: each sees, hears and writes to the other.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { startBrowser } from '../harness/browser.mjs';
import { startServer, until } from '../harness/server.mjs';

const here = path.resolve(import.meta.dirname, '..');

for (const client of ['current', 'two-connections']) {
  describe(`${client} client with Python`, () => {
    let server;
    let browser;
    let page;
    let guest;
    let report = {};

    before(async () => {
      server = await startServer();
      browser = await startBrowser();
      page = await browser.page(client);
      await page.evaluate(([url, token]) => window.call.join(url, token), [server.url, await server.token('mixed', 'ada')]);
      await page.evaluate(async () => {
        await window.room.localParticipant.setMicrophoneEnabled(true);
        await window.room.localParticipant.setCameraEnabled(true);
      });
      const python = path.join(here, '.venv/bin/python');
      guest = spawn(python, ['guest.py', server.url, await server.token('mixed', 'guido')], {
        cwd: path.join(here, 'python'),
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      createInterface({ input: guest.stdout }).on('line', (line) => {
        report = JSON.parse(line);
      });
    });
    after(async () => {
      if (guest && guest.exitCode === null) {
        guest.kill('SIGKILL');
        await once(guest, 'exit');
      }
      await browser?.stop();
      server?.tellIfFailed();
      await server?.stop();
    });

    test('Python sees and hears the browser', async () => {
      await until('frames in Python', 30_000, () => report.frames?.ada > 20 && report.levels.ada > 20);
      await until('sound in Python', 30_000, () => report.energy?.ada > 100);
    });

    test('the browser sees and hears Python', async () => {
      const picture = await until('a picture', 30_000, () => page.evaluate(() => window.call.picture('guido')));
      assert.ok(picture.mean > 20 && picture.spread > 5, JSON.stringify(picture));
      await until('sound in the browser', 30_000, async () => {
        const { inboundAudio } = await page.evaluate(() => window.call.statistics());
        return inboundAudio.some((stream) => stream.energy > 0.01);
      });
    });

    test('data passes both ways', async () => {
      await until('data in Python', 20_000, async () => {
        await page.evaluate(() => window.call.send('hello from the browser', { reliable: true, topic: 'chat' }));
        return report.data?.includes('hello from the browser');
      });
      await until('data in the browser', 20_000, async () =>
        (await page.evaluate(() => window.call.events())).some((event) => event.name === 'data' && event.text === 'hello from Python' && event.from === 'guido'));
    });
  });
}
