// What an operator sees of the real processes: health, readiness, statistics by room and participant, JSON logs.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ask, claims, connect, forge } from '../harness/signalling.mjs';
import { freePort, launchListening, run } from '../harness/process.mjs';
import { until } from '../harness/server.mjs';

const secret = 'a-secret-of-more-than-thirty-two-characters';
const PATIENCE = 30_000;
let directory, server, port, config;

before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'millrace-e2e-'));
  port = await freePort();
  config = [
    `port: ${port}`, `keys: { a: ${secret} }`, `runtime_dir: ${directory}`, 'logging: { level: debug, json: true }',
    'bind_addresses: ["127.0.0.1"]',
    `rtc: { udp_port: ${await freePort()}, node_ip: 127.0.0.1, enable_loopback_candidate: true }`,
  ].join('\n');
  server = await launchListening(['--config-body', config]);
});
after(async () => {
  await server?.stop();
  await rm(directory, { recursive: true, force: true });
});

const token = (video, sub = 'admin') => forge(claims({ iss: 'a', sub, video }), { secret });
const get = async (path) => {
  const { status, body } = await ask({ port }, path);
  return [status, body];
};
const stats = async (video, query = '') => {
  const answer = await ask({ port }, `/stats?access_token=${token(video)}${query}`);
  return { status: answer.status, body: answer.status === 200 ? JSON.parse(answer.body) : answer.body };
};
const enter = async (room, identity) => {
  const client = connect(`ws://127.0.0.1:${port}/rtc?access_token=${token({ roomJoin: true, room }, identity)}&protocol=16`);
  await client.response('join');
  return client;
};

test('statistics are for who administers, by server, room and participant', async () => {
  const clients = [await enter('r', 'alice'), await enter('r', 'bob'), await enter('s', 'carol')];
  const all = await until('everybody is counted', PATIENCE, async () => {
    const answer = await stats({ roomList: true });
    assert.equal(answer.status, 200);
    return answer.body.rooms.reduce((sum, { participants }) => sum + participants, 0) === 3 && answer;
  });
  assert.deepEqual([all.body.server.rooms, all.body.server.participants, all.body.server.ready], [2, 3, true]);
  assert.deepEqual(all.body.rooms.map(({ name, participants }) => [name, participants]), [['r', 2], ['s', 1]]);
  assert.equal(all.body.media_planes[0].attached, true);
  const counted = await stats({ roomList: true }, '&room=r');
  assert.deepEqual([counted.status, counted.body.name, counted.body.participants], [200, 'r', 2], 'how many, not who');
  const room = await stats({ roomAdmin: true, room: 'r' });
  assert.deepEqual(room.body.participants.map(({ identity }) => identity), ['alice', 'bob']);
  assert.equal(room.body.participants_left_out, 0);
  const one = await stats({ roomAdmin: true, room: 'r' }, '&participant=bob');
  assert.deepEqual(one.body.participants.map(({ identity, connected }) => [identity, connected]), [['bob', true]]);
  for (const [name, video, query, expected] of [
    ['who joins', { roomJoin: true, room: 'r' }, '', [401, 'permissions denied']],
    ['another room', { roomAdmin: true, room: 'r' }, '&room=s', [401, 'permissions denied']],
    ['no room', { roomList: true }, '&room=t', [404, 'requested room does not exist']],
  ]) {
    const { status, body } = await stats(video, query);
    assert.deepEqual([status, body], expected, name);
  }
  assert.deepEqual(await get('/stats'), [401, 'permissions denied']);
  await Promise.all(clients.map((client) => client.leave()));
});

test('list-nodes shows the server that runs', async () => {
  const listed = await run(['--config-body', config, 'list-nodes']);
  assert.equal(listed.code, 0, listed.output);
  assert.match(listed.output, /^NODE .*READY[^\n]*\nND_\w+ .*true/);
  const none = await run(['--config-body', config.replace(/^port: \d+/, `port: ${await freePort()}`), 'list-nodes']);
  assert.equal(none.code, 1);
  assert.match(none.output, /no server answers at 127\.0\.0\.1/);
});

test('log lines are objects that name room and participant', async () => {
  const client = await enter('logged', 'dora');
  await client.leave();
  const lines = () => server.output().split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
  const fields = (line) => Object.assign({}, ...(line.spans ?? []), line.fields);
  const opened = await until('the room is logged', PATIENCE, () =>
    lines().find((line) => line.fields.message === 'room opened' && fields(line).room === 'logged'));
  assert.match(fields(opened).sid, /^RM_/);
  await until('the participant is logged with its room', PATIENCE, () =>
    lines().some((line) => fields(line).participant === 'dora' && fields(line).room === 'logged'));
  assert.ok(!server.output().includes(secret));
});

test('health tells life from readiness', async () => {
  assert.deepEqual(await get('/'), [200, 'OK']);
  assert.deepEqual(await get('/healthz'), [200, 'OK']);
  assert.deepEqual(await get('/readyz'), [200, 'OK']);
  const client = await enter('open', 'erna');
  server.signal('SIGTERM');
  await until('it drains', PATIENCE, async () => (await get('/readyz'))[0] === 503);
  assert.deepEqual(await get('/readyz'), [503, 'the server is shutting down']);
  assert.deepEqual(await get('/'), [200, 'OK']);
  assert.deepEqual(await get('/healthz'), [200, 'OK']);
  await client.leave();
  assert.equal((await server.ended).code, 0);
});

test('without a media plane nothing is ready', async () => {
  const planes = `media_planes: ["unix:${path.join(directory, 'nobody.sock')}"]`;
  const other = await freePort();
  const text = `port: ${other}\nkeys: { a: ${secret} }\nbind_addresses: ["127.0.0.1"]\n${planes}`;
  const alone = await launchListening(['--config-body', text]);
  try {
    for (const [path, status, body] of [
      ['/', 406, 'Not Ready'],
      ['/readyz', 503, 'no media plane is attached'],
      ['/healthz', 200, 'OK'],
    ]) {
      const answer = await ask({ port: other }, path);
      assert.deepEqual([answer.status, answer.body], [status, body], path);
    }
  } finally {
    await alone.stop();
  }
});
