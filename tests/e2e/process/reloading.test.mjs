// SIGHUP to the real binary: keys, limits and the log level change under a live connection, and a bad file does nothing.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ask, claims, connect, forge } from '../harness/signalling.mjs';
import { freePort, isAlive, launchListening } from '../harness/process.mjs';
import { until } from '../harness/server.mjs';

const [first, second] = ['first', 'second'].map((name) => `the-${name}-secret-of-more-than-thirty-two-characters`);
const PATIENCE = 30_000;
let directory, file, server, port, udpPort;

// What each test begins with.
async function write(lines) {
  const rtc = `rtc: { udp_port: ${udpPort}, node_ip: 127.0.0.1, enable_loopback_candidate: true }`;
  await writeFile(file, [`port: ${port}`, rtc, `runtime_dir: ${directory}`, ...lines, ''].join('\n'));
}

before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'millrace-e2e-'));
  file = path.join(directory, 'millrace.yaml');
  [port, udpPort] = [await freePort(), await freePort()];
  await write([`keys: { first: ${first} }`]);
  server = await launchListening(['--config', file, '--bind', '127.0.0.1']);
});
after(async () => {
  await server?.stop();
  await rm(directory, { recursive: true, force: true });
});

const token = (key, secret, others = {}) => forge(claims({ iss: key, ...others }), { secret });
const validate = (...of) => ask({ port }, `/rtc/validate?access_token=${token(...of)}`);
const count = (pattern) => server.output().match(new RegExp(pattern, 'g'))?.length ?? 0;

// Each reload is answered by one line that begins so.
async function reload(line) {
  const before = count(line);
  server.signal('SIGHUP');
  await until(`${line} after SIGHUP; it said:\n${server.output()}`, PATIENCE, () => count(line) > before);
}

test('keys are rotated under a live connection', async () => {
  const alice = connect(`ws://127.0.0.1:${port}/rtc?access_token=${token('first', first)}&protocol=16`);
  await alice.response('join');
  await write([`keys: { first: ${first}, second: ${second} }`]);
  await reload('SIGHUP: configuration reloaded');
  assert.equal((await validate('first', first)).body, 'success');
  assert.equal((await validate('second', second)).body, 'success');
  await write([`keys: { second: ${second} }`]);
  await reload('SIGHUP: configuration reloaded');
  assert.equal((await validate('second', second)).body, 'success');
  const refused = await validate('first', first);
  assert.deepEqual([refused.status, refused.body], [401, 'invalid API key']);
  await alice.ping();
  assert.ok(alice.isOpen(), 'who is in stays in');
  await alice.leave();
  assert.ok(!server.output().includes(second), 'secrets stay out of the log');
});

test('limits and the log level change', async () => {
  const keys = `keys: { second: ${second} }`;
  const long = { video: { roomJoin: true, room: 'longer' } };
  await write([keys]);
  await reload('SIGHUP: configuration reloaded');
  assert.equal((await validate('second', second, long)).status, 200);
  assert.equal(count('DEBUG'), 0);
  await write([keys, 'limit: { max_room_name_length: 3 }', 'logging: { level: debug }']);
  await reload('SIGHUP: configuration reloaded');
  const refused = await validate('second', second, long);
  assert.deepEqual([refused.status, refused.body], [400, 'room name length exceeds limits: max length 3']);
  assert.equal((await validate('nobody', second)).status, 401);
  await until('a debug line', PATIENCE, () => /DEBUG control_plane.*request refused/.test(server.output()));
});

test('a file that is none is refused with its error, and the old one stays', async () => {
  await write([`keys: { second: ${second} }`]);
  await reload('SIGHUP: configuration reloaded');
  for (const [name, lines, expected] of [
    ['a typing error', [`keys: { third: ${first} }`, 'limit: { num_trakcs: 1 }'], /stays as it was: .*millrace\.yaml.*line 5.*did you mean "(limit\.)?num_tracks"/],
    ['no keys', [], /stays as it was: no API keys/],
    ['a level that is none', [`keys: { third: ${first} }`, 'logging: { level: "=chatty=" }'], /stays as it was: .*=chatty=/],
  ]) {
    await write(lines);
    await reload('the configuration stays as it was');
    assert.match(server.output(), expected, name);
    assert.equal((await validate('second', second)).body, 'success', name);
    assert.equal((await validate('third', first)).status, 401, name);
  }
  assert.ok(isAlive(server.pid));
});

test('what takes effect at the next start only is named', async () => {
  await write([`keys: { second: ${second} }`, 'room: { max_participants: 2 }', 'audio: { active_level: 20 }']);
  await reload('SIGHUP: configuration reloaded');
  await until('the names', PATIENCE, () => /WARN.*takes effect at the next start: room, audio/.test(server.output()));
});

test('a key file that others can read by now is refused', async () => {
  const keyFile = path.join(directory, 'keys');
  await writeFile(keyFile, `of-file: ${first}\n`);
  await chmod(keyFile, 0o600);
  await write([`key_file: ${keyFile}`]);
  await reload('SIGHUP: configuration reloaded');
  assert.equal((await validate('of-file', first)).body, 'success');
  await chmod(keyFile, 0o644);
  await reload('the configuration stays as it was');
  assert.match(server.output(), /keys has mode 0644/);
  assert.equal((await validate('of-file', first)).body, 'success');
});
