// Signals to the real processes: a drain, a forced end, a deadline, and media planes that die or are stuck.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DisconnectReason, LeaveRequest_Action } from '@livekit/protocol';
import { ask, join } from '../harness/signalling.mjs';
import { deploy } from '../harness/deployment.mjs';
import { children, freePort, isAlive, launch } from '../harness/process.mjs';
import { mediaCounters } from '../harness/counters.mjs';
import { sleep, until } from '../harness/server.mjs';

let directory;

before(async () => (directory = await mkdtemp(path.join(tmpdir(), 'millrace-e2e-'))));
after(() => rm(directory, { recursive: true, force: true }));

const start = (lines, ports) => deploy(directory, lines, ports);

const upgrade = async (server, room) =>
  ask(server, `/rtc?access_token=${await server.token(room, 'late')}`, { websocket: true });
// Two signals of a kind that come at once are one.
const drains = (server) => until('it drains', 5_000, () => /SIGTERM: no new rooms/.test(server.output()));
const gone = (pid, patience = 5_000) => until(`process ${pid} is gone`, patience, () => !isAlive(pid));

test('the first SIGTERM drains: the room stays open, new ones are refused, the last to leave ends it', async () => {
  const server = await start();
  const media = server.media();
  try {
    const alice = await join(server, 'open', 'alice');
    server.signal('SIGTERM');
    await drains(server);
    const bob = await join(server, 'open', 'bob');
    const refused = await upgrade(server, 'new');
    assert.deepEqual([refused.status, refused.body], [503, 'the server is shutting down']);
    assert.equal((await ask(server, '/')).status, 200);
    await alice.ping();
    await alice.leave();
    await sleep(500);
    assert.ok(!server.hasEnded() && isAlive(media), 'bob is still there');
    await bob.ping();
    await bob.leave();
    assert.deepEqual(await Promise.race([server.ended, sleep(5_000)]), { code: 0, signal: null });
    await gone(media);
  } finally {
    await server.stop();
  }
});

test('the second SIGTERM ends it at once: clients are told to come back, the media plane ends too', async () => {
  const server = await start();
  const media = server.media();
  try {
    const alice = await join(server, 'open', 'alice');
    server.signal('SIGTERM');
    await drains(server);
    const second = Date.now();
    server.signal('SIGTERM');
    const { value } = await alice.response('leave');
    assert.equal(value.reason, DisconnectReason.SERVER_SHUTDOWN);
    assert.equal(value.action, LeaveRequest_Action.RECONNECT);
    assert.equal((await alice.closed()).code, 1000);
    assert.deepEqual(await Promise.race([server.ended, sleep(5_000)]), { code: 0, signal: null });
    await gone(media);
    assert.ok(Date.now() - second < 5_000);
  } finally {
    await server.stop();
  }
});

test('an empty server ends with the first signal, SIGINT too', async () => {
  for (const signal of ['SIGTERM', 'SIGINT']) {
    const server = await start();
    const media = server.media();
    try {
      server.signal(signal);
      assert.deepEqual(await Promise.race([server.ended, sleep(5_000)]), { code: 0, signal: null }, signal);
      await gone(media);
    } finally {
      await server.stop();
    }
  }
});

test('a drain ends at its deadline', async () => {
  const server = await start(['drain_timeout: 1s']);
  const media = server.media();
  try {
    const alice = await join(server, 'open', 'alice');
    server.signal('SIGTERM');
    const { value } = await alice.response('leave');
    assert.equal(value.reason, DisconnectReason.SERVER_SHUTDOWN);
    assert.deepEqual(await Promise.race([server.ended, sleep(5_000)]), { code: 0, signal: null });
    await gone(media);
  } finally {
    await server.stop();
  }
});

test('a media plane that is stuck does not keep the server from ending', async () => {
  const server = await start();
  const media = server.media();
  try {
    process.kill(media, 'SIGSTOP');
    server.signal('SIGTERM');
    assert.ok(await Promise.race([server.ended, sleep(8_000)]), 'it ended');
    await gone(media);
  } finally {
    await server.stop();
    if (isAlive(media)) process.kill(media, 'SIGKILL');
  }
});

test('a media plane that is killed is started again; whoever was in is told, and joins work', async () => {
  const server = await start();
  const media = server.media();
  try {
    const alice = await join(server, 'open', 'alice');
    const killed = Date.now();
    process.kill(media, 'SIGKILL');
    const { value } = await alice.response('leave');
    assert.equal(value.action, LeaveRequest_Action.RECONNECT);
    await until('a join works', 10_000, async () => (await upgrade(server, 'open')).status === 101);
    assert.ok(Date.now() - killed < 10_000);
    assert.notEqual(server.media(), media);
    assert.deepEqual(children(server.pid).filter(isAlive).length, 1);
  } finally {
    await server.stop();
  }
});

test('a media plane that dies again and again is started at growing intervals', async () => {
  const server = await start();
  try {
    const end = Date.now() + 6_000;
    const seen = new Set();
    while (Date.now() < end) {
      const media = server.media();
      if (media && !seen.has(media) && isAlive(media)) {
        seen.add(media);
        process.kill(media, 'SIGKILL');
      }
      await sleep(20);
    }
    assert.ok(seen.size >= 4 && seen.size <= 9, `${seen.size} starts in 6 s`);
    assert.equal((await ask(server, '/healthz')).status, 200);
    await until('a join works', 15_000, async () => (await upgrade(server, 'open')).status === 101);
  } finally {
    await server.stop();
  }
});

test('a control plane that is killed leaves its media plane to the next one, which takes it over', async () => {
  const first = await start();
  const media = first.media();
  let second;
  try {
    await (await join(first, 'open', 'alice')).ping();
    first.signal('SIGKILL');
    await first.ended;
    assert.ok((await first.mediaCounters()).process_threads > 0, 'it answers');
    second = await start([], first);
    assert.match(second.output(), new RegExp(`taken over.*pid=${media}|pid=${media}.*taken over`));
    assert.equal(second.media(), undefined, 'no other one was started');
    await (await join(second, 'open', 'alice')).ping();
    second.signal('SIGTERM');
    await drains(second);
    second.signal('SIGTERM');
    assert.ok(await Promise.race([second.ended, sleep(5_000)]));
    await gone(media);
  } finally {
    await second?.stop();
    if (isAlive(media)) process.kill(media, 'SIGKILL');
  }
});

test('a media plane that the configuration names is nobody’s child: it stays when control planes come and go', async () => {
  const socket = path.join(directory, 'external.sock');
  const udpPort = await freePort();
  const media = launch(
    ['--grpc', `unix:${socket}`, '--workers', '1', '--udp-port', `${udpPort}`, '--node-ip', '127.0.0.1', '--enable-loopback-candidate'],
    { name: 'millrace-media' },
  );
  try {
    await until('it listens', 10_000, () => /media plane ready/.test(media.output()));
    for (const round of [1, 2]) {
      const server = await start([`media_planes: ["unix:${socket}"]`]);
      try {
        const alice = await join(server, 'open', 'alice');
        await alice.ping();
        assert.deepEqual(children(server.pid), [], 'none of its own');
        assert.equal((await mediaCounters(socket)).control_planes, 1);
        if (round === 1) server.signal('SIGKILL');
        else await alice.leave();
      } finally {
        await server.stop();
      }
      assert.ok(!media.hasEnded());
    }
    const freed = () => mediaCounters(socket).then((counters) => counters.control_planes === 0);
    await until('nobody is attached', 5_000, freed);
  } finally {
    await media.stop();
  }
});
