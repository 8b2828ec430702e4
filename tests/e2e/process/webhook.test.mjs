// Webhooks of the real binaries at a real HTTP server, verified with LiveKit's receiver, across kill -9 too.
import { after, before, beforeEach, test } from 'node:test';
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { deploy } from '../harness/deployment.mjs';
import { isAlive } from '../harness/process.mjs';
import { startReceiver } from '../harness/receiver.mjs';
import { KEY, SECRET, until } from '../harness/server.mjs';
import { join } from '../harness/signalling.mjs';

let directory;
let receiver;
let outboxes = 0;

before(async () => (directory = await mkdtemp(path.join(tmpdir(), 'millrace-e2e-'))));
after(() => rm(directory, { recursive: true, force: true }));
beforeEach(async () => {
  receiver = await startReceiver();
  outboxes += 1;
});

const ROOM = 'room: { departure_timeout: 1 }';
const webhook = (others = 'allow_private: [127.0.0.1]') =>
  `webhook: { urls: ["${receiver.url}"], api_key: ${KEY}, outbox_dir: "${directory}/outbox-${outboxes}", ${others} }`;
const start = (lines = [webhook(), ROOM], ports) => deploy(directory, lines, ports);

async function end(...servers) {
  receiver.stop();
  for (const server of servers) await server?.stop();
}

test('a room is told from its start to its end, signed, in LiveKit’s words', async () => {
  const server = await start();
  try {
    const alice = await join(server, 'call', 'alice');
    await alice.leave();
    await receiver.until('the room is over', () => receiver.of('call').includes('room_finished'));
    assert.deepEqual(receiver.of('call'), ['room_started', 'participant_connection_aborted alice', 'room_finished']);
    const [{ event, path: target, type, body }] = receiver.received;
    assert.deepEqual([target, type], ['/hook', 'application/webhook+json']);
    assert.match(event.id, /^EV_/);
    assert.match(event.room.sid, /^RM_/);
    assert.ok(Math.abs(Number(event.createdAt) - Date.now() / 1000) < 120);
    assert.equal(typeof JSON.parse(body).createdAt, 'string', 'as protojson has 64-bit numbers');
    assert.ok(!server.output().includes(SECRET));
  } finally {
    await end(server);
  }
});

test('a receiver that is away misses nothing', async () => {
  const server = await start();
  try {
    receiver.setAway(true);
    await (await join(server, 'one', 'alice')).leave();
    await (await join(server, 'two', 'bob')).leave();
    await receiver.until('it is asked', () => receiver.refused.length >= 2);
    receiver.setAway(false);
    for (const [room, who] of [['one', 'alice'], ['two', 'bob']]) {
      await receiver.until('the room is over', () => receiver.of(room).includes('room_finished'));
      assert.deepEqual(receiver.of(room), ['room_started', `participant_connection_aborted ${who}`, 'room_finished']);
    }
  } finally {
    await end(server);
  }
});

test('kill -9 loses nothing that a client was told of', async () => {
  receiver.setAway(true);
  const first = await start();
  const media = first.media();
  let second;
  try {
    const rooms = Array.from({ length: 12 }, (_, index) => `room-${index}`);
    const watchers = await Promise.all(rooms.map((room) => join(first, room, 'watcher')));
    const leavers = await Promise.all(rooms.map((room) => join(first, room, 'leaver')));
    leavers.forEach((leaver) => leaver.socket.close());
    const isGone = ({ participants }) => participants.some((one) => one.identity === 'leaver' && one.state === 3);
    await Promise.all(watchers.map((watcher) => watcher.response('update', isGone)));
    first.signal('SIGKILL');
    await first.ended;
    assert.equal(receiver.received.length, 0);
    receiver.setAway(false);
    second = await start(undefined, first);
    const told = ['room_started', 'participant_connection_aborted leaver'];
    for (const room of rooms) {
      await receiver.until(`what happened in ${room}`, () => receiver.of(room).length >= told.length);
      assert.deepEqual(receiver.of(room).slice(0, told.length), told, 'in order');
    }
    assert.match(second.output(), /events of a former run/);
    await join(second, rooms[0], 'alice');
    await receiver.until('what comes next', () => receiver.of(rooms[0]).filter((one) => one === 'room_started').length === 2);
  } finally {
    await end(first, second);
    if (isAlive(media)) process.kill(media, 'SIGKILL');
  }
});

test('what filters leave out does not come', async () => {
  const server = await start([webhook('allow_private: [127.0.0.1], filter_params: { include_events: [room_finished] }'), ROOM]);
  try {
    await (await join(server, 'call', 'alice')).leave();
    await receiver.until('the room is over', () => receiver.received.length > 0);
    assert.deepEqual(receiver.of('call'), ['room_finished']);
  } finally {
    await end(server);
  }
});

test('a private address gets nothing unless the configuration allows it', async () => {
  const server = await start([webhook('allow_private: [10.0.0.0/8]'), ROOM]);
  try {
    assert.match(server.output(), /webhook.urls, number 1: nothing will be sent there/);
    await (await join(server, 'call', 'alice')).leave();
    await until('it is refused', 30_000, () => /tried again: 127.0.0.1 is not a public address/.test(server.output()));
    assert.equal(receiver.received.length, 0);
  } finally {
    await end(server);
  }
});
