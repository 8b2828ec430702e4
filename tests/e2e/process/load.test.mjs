// The load generator, whose DTLS and SRTP are not ours, against the real binaries: everybody gets everything.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { children } from '../harness/process.mjs';
import { KEY, SECRET, startServer } from '../harness/server.mjs';

const root = path.resolve(import.meta.dirname, '../../..');
const binaries = process.env.MILLRACE_BIN ?? path.join(root, 'target/release');

let server;

before(async () => (server = await startServer()));
after(async () => {
  await server.stop();
  server.tellIfFailed();
});

for (const [name, args, subscriptions] of [
  ['six subscribers get two cameras', '--media video --publishers 2 --subscribers 6 --full 2', 12],
  ['cameras that subscribe to each other', '--media video --publishers 3 --subscribers 0 --full 3 --publishers-subscribe', 6],
  ['microphones, and AES-CM when it is asked for', '--media audio --publishers 2 --subscribers 3 --full 2 --srtp cm80', 6],
]) {
  test(`nothing is lost: ${name}`, async () => {
    const report = await load(args.split(' '));
    assert.equal(report.subscriptions, subscriptions);
    assert.equal(report.subscriptions_live, subscriptions);
    assert.ok(report.packets_in > 0);
    assert.ok(report.packets_forwarded > report.subscriptions * 10);
    assert.equal(report.packets_lost, 0);
    assert.equal(report.not_authentic, 0);
    assert.equal(report.without_stamp, 0);
    assert.ok(report.latency_us.p50 > 0);
    assert.ok(report.join_ms.p99 > 0);
    assert.deepEqual(Object.keys(report.server_rss_kb), pids().map(String));
    assert.ok(report.server_cpu_us_per_packet > 0);
  });
}

test('idle participants join, and nothing is forwarded', async () => {
  const report = await load('--media none --publishers 0 --subscribers 10 --full 0'.split(' '));
  assert.equal(report.participants, 10);
  assert.equal(report.packets_forwarded, 0);
  assert.equal(report.latency_us, null);
  assert.ok(report.server_rss_kb_per_participant >= 0);
});

test('a secret that the server does not know is told, and the status is not zero', async () => {
  const { code, stderr } = await run(['--secret', 'another-secret-of-more-than-32-characters']);
  assert.equal(code, 1);
  assert.match(stderr, /millrace-load: .*401/);
});

const pids = () => [server.pid, ...children(server.pid)].sort((a, b) => a - b);

async function load(args) {
  const { code, stdout, stderr } = await run(args);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout.trim().split('\n').at(-1));
}

async function run(args) {
  const common = ['--url', server.url, '--key', KEY, '--secret', SECRET, '--warm-up', '0', '--seconds', '2', '--json'];
  const child = spawn(path.join(binaries, 'millrace-load'), [...common, '--server-pids', pids().join(), ...args]);
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk) => (stdout += chunk));
  child.stderr.on('data', (chunk) => (stderr += chunk));
  const [code] = await once(child, 'close');
  return { code, stdout, stderr };
}
