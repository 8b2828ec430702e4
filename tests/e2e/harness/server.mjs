// Starts the real binaries for one test file and ends them; every test runs against what a user would run.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { AccessToken } from 'livekit-server-sdk';
import { mediaCounters } from './counters.mjs';

const root = path.resolve(import.meta.dirname, '../../..');
const binaries = process.env.MILLRACE_BIN ?? path.join(root, 'target/release');

export const KEY = 'e2ekey';
export const SECRET = 'e2e-secret-of-more-than-32-characters';

// Starts `millrace` on free ports; resolves when it answers. `args` are added to the command line, `lines` to the
// configuration.
export async function startServer(args = [], lines = []) {
  const port = await freeTcpPort();
  const udpPort = await freeUdpPort();
  const directory = await mkdtemp(path.join(tmpdir(), 'millrace-e2e-'));
  const config = [
    `port: ${port}`,
    'bind_addresses: ["127.0.0.1"]',
    'development: true',
    `runtime_dir: ${directory}`,
    'logging: { level: info }',
    'room: { departure_timeout: 2 }',
    `rtc: { udp_port: ${udpPort}, node_ip: 127.0.0.1, enable_loopback_candidate: true }`,
    ...lines,
  ].join('\n');
  const child = spawn(path.join(binaries, 'millrace'), ['--config-body', config, '--keys', `${KEY}: ${SECRET}`, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const log = [];
  child.stdout.on('data', (chunk) => log.push(chunk.toString()));
  child.stderr.on('data', (chunk) => log.push(chunk.toString()));
  const exited = once(child, 'exit');
  const server = {
    url: `ws://127.0.0.1:${port}`,
    http: `http://127.0.0.1:${port}`,
    port,
    udpPort,
    pid: child.pid,
    log: () => log.join(''),
    // For the end of a file: what the server said, if a test of it failed.
    tellIfFailed() {
      if (process.exitCode) process.stderr.write(`the server said:\n${log.join('').slice(-20_000)}\n`);
    },
    token: (room, identity, grants = {}) => token(room, identity, grants),
    counts: () => fetch(`http://127.0.0.1:${port}/debug/counts`).then((answer) => answer.json()),
    mediaCounters: () => mediaCounters(path.join(directory, `media-${port}.sock`)),
    exited,
    async stop() {
      for (const patience of [500, 5_000]) {
        if (child.exitCode !== null || child.signalCode !== null) break;
        child.kill('SIGTERM');
        await Promise.race([exited, sleep(patience)]);
      }
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await rm(directory, { recursive: true, force: true });
    },
  };
  try {
    await until('the server answers', 20_000, async () => {
      if (child.exitCode !== null) throw new Error(`millrace ended early:\n${server.log()}`);
      const answer = await fetch(server.http).catch(() => null);
      return answer?.status === 200;
    });
  } catch (error) {
    await server.stop();
    throw error;
  }
  return server;
}

async function token(room, identity, grants) {
  const access = new AccessToken(KEY, SECRET, { identity, ttl: '1h', name: grants.name });
  access.addGrant({ roomJoin: true, room, ...grants.video });
  return access.toJwt();
}

// Polls until `check` is truthy and returns its value; fails with what was waited for.
export async function until(what, patience, check) {
  const end = Date.now() + patience;
  let last;
  for (;;) {
    last = await check();
    if (last) return last;
    if (Date.now() > end) throw new Error(`not within ${patience} ms: ${what}`);
    await sleep(100);
  }
}

export const sleep = (millis) => new Promise((resolve) => setTimeout(resolve, millis));

async function freeTcpPort() {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address();
  listener.close();
  await once(listener, 'close');
  return port;
}

// The first of two ports in a row.
export async function twoFreeUdpPorts() {
  for (;;) {
    const first = await freeUdpPort();
    const next = createSocket('udp4');
    const bound = await new Promise((resolve) => {
      next.once('error', () => resolve(false));
      next.bind(first + 1, '127.0.0.1', () => resolve(true));
    });
    next.close();
    if (bound) return first;
  }
}

async function freeUdpPort() {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  return port;
}
