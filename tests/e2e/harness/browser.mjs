// A real Chromium with fake devices, and pages that run an unmodified livekit-client.
import { createReadStream } from 'node:fs';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { chromium } from 'playwright-core';
import { writeSpeech } from './speech.mjs';

const here = path.resolve(import.meta.dirname, '..');

// The clients under test by name, and where npm put their browser build.
const CLIENTS = {
  current: 'node_modules/livekit-client/dist/livekit-client.umd.js',
  'two-connections': 'node_modules/livekit-client-two-connections/dist/livekit-client.umd.js',
};

// `flags` are added to the command line.
export async function startBrowser(flags = []) {
  const profile = await mkdtemp(path.join(tmpdir(), 'millrace-chromium-'));
  const speech = path.join(profile, 'speech.wav');
  await writeSpeech(speech);
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--use-fake-ui-for-media-stream',
      '--use-fake-device-for-media-stream',
      `--use-file-for-fake-audio-capture=${speech}`,
      '--autoplay-policy=no-user-gesture-required',
      '--allow-loopback-in-peer-connection',
      '--disable-background-timer-throttling',
      '--disable-backgrounding-occluded-windows',
      '--disable-renderer-backgrounding',
      ...flags,
    ],
  });
  const files = await serveFiles();
  return {
    context,
    // Opens a page with the named client loaded. With a relay (harness/relay.mjs), that takes the server's place.
    async page(client = 'current', relay) {
      const page = await context.newPage();
      page.messages = [];
      page.on('console', (message) => page.messages.push(message.text()));
      page.on('pageerror', (error) => page.messages.push(String(error)));
      const ports = relay ? `&relay=${relay.serverPort}-${relay.port}` : '';
      await page.goto(`${files.origin}/?client=${client}${ports}`);
      await page.waitForFunction(() => window.ready === true);
      return page;
    },
    async stop() {
      await context.close();
      files.close();
      await rm(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    },
  };
}

async function serveFiles() {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    const client = pathname.match(/^\/client\/([a-z-]+)\.js$/);
    const file = client ? CLIENTS[client[1]] : { '/': 'page/index.html', '/call.js': 'page/call.js' }[pathname];
    if (!file) {
      response.writeHead(404).end();
      return;
    }
    response.setHeader('content-type', file.endsWith('.js') ? 'text/javascript' : 'text/html');
    createReadStream(path.join(here, file)).pipe(response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { origin: `http://localhost:${server.address().port}`, close: () => server.close() };
}
