// The command line, the environment and the configuration of the real binary: what it binds, and what it refuses.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ask, claims, forge } from '../harness/signalling.mjs';
import { children, freePort, isAlive, launchListening, listening, run, udpPortIsFree } from '../harness/process.mjs';
import { until } from '../harness/server.mjs';

const secret = 'a-secret-of-more-than-thirty-two-characters';
let directory;

before(async () => (directory = await mkdtemp(path.join(tmpdir(), 'millrace-e2e-'))));
after(() => rm(directory, { recursive: true, force: true }));

async function yaml(lines = []) {
  const [port, udpPort] = [await freePort(), await freePort()];
  const rtc = `rtc: { udp_port: ${udpPort}, node_ip: 127.0.0.1, enable_loopback_candidate: true }`;
  return { port, text: [`port: ${port}`, rtc, `runtime_dir: ${directory}`, ...lines].join('\n') };
}

// Whether a token of this key is good for a join.
async function accepts(port, key, keySecret) {
  const token = forge(claims({ iss: key }), { secret: keySecret });
  const answer = await ask({ port }, `/rtc/validate?access_token=${token}`);
  return answer.status === 200 && answer.body === 'success';
}

test('--dev without keys warns, takes the placeholder key and binds to loopback only', async () => {
  const { port, text } = await yaml();
  const server = await launchListening(['--dev', '--config-body', text]);
  try {
    const addresses = listening(server.pid, 'tcp');
    assert.ok(addresses.includes(`127.0.0.1:${port}`), addresses);
    assert.deepEqual(addresses.filter((address) => !/^(127\.0\.0\.1|::1):/.test(address)), []);
    assert.match(server.output(), /WARN.*no keys were given.*"devkey".*"secret"/);
    assert.ok(await accepts(port, 'devkey', 'secret'));
  } finally {
    await server.stop();
  }
});

test('--dev takes UDP 7882 and one worker', async (t) => {
  if (!(await udpPortIsFree(7882))) return t.skip('UDP port 7882 is in use on this host');
  const port = await freePort();
  const server = await launchListening(['--dev', '--config-body', `port: ${port}\nruntime_dir: ${directory}`]);
  try {
    const [media] = children(server.pid);
    assert.deepEqual(listening(media, 'udp').map((address) => address.split(':').at(-1)), ['7882']);
  } finally {
    await server.stop();
  }
});

test('--dev with LIVEKIT_KEYS binds every address', async () => {
  const { port, text } = await yaml();
  const server = await launchListening(['--dev', '--config-body', text], { env: { LIVEKIT_KEYS: `given: ${secret}` } });
  try {
    const addresses = listening(server.pid, 'tcp');
    assert.ok(addresses.some((address) => [`:::${port}`, `0.0.0.0:${port}`].includes(address)), addresses);
    assert.ok(await accepts(port, 'given', secret));
    assert.ok(!(await accepts(port, 'devkey', 'secret')));
    await until('debug logs', 5_000, () => /DEBUG control_plane.*refused/.test(server.output()));
    assert.doesNotMatch(server.output(), /no keys were given/);
    assert.ok(!server.output().includes(secret), 'secrets stay out of the log');
  } finally {
    await server.stop();
  }
});

test('configuration comes from a file, from the command line or from the environment', async () => {
  const keys = `keys: { file: ${secret} }`;
  for (const [name, start] of [
    ['--config', async (text) => {
      const file = path.join(directory, 'config.yaml');
      await writeFile(file, text);
      return [['--config', file]];
    }],
    ['--config-body', async (text) => [['--config-body', text]]],
    ['LIVEKIT_CONFIG', async (text) => [[], { env: { LIVEKIT_CONFIG: text } }]],
  ]) {
    const { port, text } = await yaml([keys, 'bind_addresses: ["127.0.0.1"]']);
    const server = await launchListening(...(await start(text)));
    try {
      assert.deepEqual(listening(server.pid, 'tcp'), [`127.0.0.1:${port}`], name);
      assert.ok(await accepts(port, 'file', secret), name);
    } finally {
      await server.stop();
    }
  }
});

test('--key-file is taken if nobody else can read it, and goes before the configuration', async () => {
  const file = path.join(directory, 'keys.yaml');
  await writeFile(file, `of-file: ${secret}\n`);
  await chmod(file, 0o600);
  const { port, text } = await yaml([`keys: { of-config: ${secret} }`]);
  const server = await launchListening(['--key-file', file, '--config-body', text]);
  try {
    assert.ok(await accepts(port, 'of-file', secret));
    assert.ok(!(await accepts(port, 'of-config', secret)));
  } finally {
    await server.stop();
  }
  await chmod(file, 0o644);
  const refused = await run(['--key-file', file, '--config-body', text]);
  assert.equal(refused.code, 1);
  assert.match(refused.output, /keys\.yaml has mode 0644.*chmod 0600/);
});

test('what cannot be is refused in a sentence with the key and the value', async () => {
  const keys = ['--keys', `a: ${secret}`];
  for (const [name, args, code, expected] of [
    ['no keys', [], 1, [/no API keys/, /generate-keys/]],
    ['unknown key', [...keys, '--config-body', 'prot: 1'], 1, [/"prot"/, /did you mean "port"/]],
    ['unknown key below', [...keys, '--config-body', 'rtc: { upd_port: 1 }'], 1, [/"rtc\.upd_port"/, /"(rtc\.)?udp_port"/]],
    ['no YAML', [...keys, '--config-body', 'keys: [unclosed'], 1, [/line 1/]],
    ['port too large', [...keys, '--config-body', 'port: 99999'], 1, [/port/, /99999/]],
    ['port no number', [...keys, '--config-body', 'port: http'], 1, [/port/, /http/]],
    ['UDP port too large', [...keys, '--udp-port', '99999'], 2, [/--udp-port/, /99999/]],
    ['UDP range upside down', [...keys, '--udp-port', '9-8'], 2, [/--udp-port/, /9-8/]],
    ['half a range', [...keys, '--config-body', 'rtc: { port_range_start: 9 }'], 1, [/rtc\.port_range_start 9/]],
    ['bind address', [...keys, '--config-body', 'bind_addresses: [here]'], 1, [/bind_addresses/, /"here"/]],
    ['a key as a flag', [...keys, '--limit.num_tracks=many'], 1, [/--limit\.num_tracks: expected a whole number/, /"many"/]],
    ['a wrong value of a key without effect', [...keys, '--config-body', 'redis: { db: first }'], 1, [/line 1: redis\.db: expected a whole number/]],
    ['node address', [...keys, '--node-ip', 'here'], 1, [/--node-ip/, /"here"/]],
    ['node address of nobody', [...keys, '--config-body', 'rtc: { node_ip: 0.0.0.0 }'], 1, [/node_ip 0\.0\.0\.0/]],
    ['no such file', [...keys, '--config', '/nonexistent.yaml'], 1, [/\/nonexistent\.yaml/]],
    ['no such key file', ['--key-file', '/nonexistent'], 1, [/key file \/nonexistent/]],
    ['keys without a space', ['--keys', 'a:b'], 1, [/--keys/, /`key: secret`/]],
    ['media plane', [...keys, '--config-body', 'media_planes: [somewhere]'], 1, [/media_planes/, /"somewhere"/]],
    ['log level', [...keys, '--config-body', 'logging: { level: "=chatty=" }'], 1, [/level/, /=chatty=/]],
    ['unknown flag', ['--prot', '1'], 2, [/--prot/]],
    ['no I/O of the kind', [...keys, '--io', 'magic'], 2, [/--io/, /magic/]],
  ]) {
    const refused = await run(args);
    assert.equal(refused.code, code, `${name}: ${refused.output}`);
    for (const pattern of expected) assert.match(refused.output, pattern, name);
    assert.doesNotMatch(refused.output, /panicked|stack backtrace/, name);
    assert.ok(!refused.output.includes(secret), name);
  }
});

test('--disable-strict-config lets unknown keys pass with a warning', async () => {
  const { text } = await yaml(['prot: 1']);
  const server = await launchListening(['--disable-strict-config', '--keys', `a: ${secret}`, '--config-body', text]);
  try {
    assert.match(server.output(), /WARN.*"?prot"?/);
  } finally {
    await server.stop();
  }
});

test('keys of LiveKit without effect are accepted and named with the reason', async () => {
  const { text } = await yaml(['redis: { address: "localhost:6379" }', 'turn: { enabled: true }']);
  const server = await launchListening(['--keys', `a: ${secret}`, '--config-body', text]);
  try {
    assert.match(server.output(), /without effect: redis\.address \(this server is one node.*turn\.enabled \(/);
  } finally {
    await server.stop();
  }
});

test('a port in use is an error, and no media plane is left behind', async () => {
  const { port, text } = await yaml();
  const options = ['--keys', `a: ${secret}`, '--config-body', text];
  const first = await launchListening(options);
  try {
    const second = await run(options);
    assert.equal(second.code, 1);
    assert.match(second.output, new RegExp(`port ${port}|:${port}`));
    assert.ok(!first.hasEnded());
    assert.equal(children(first.pid).length, 1);
  } finally {
    await first.stop();
  }
});

test('a media plane that cannot take its UDP port is started again with back-off, and says why', async () => {
  const { port, text } = await yaml();
  const udpPort = /udp_port: (\d+)/.exec(text)[1];
  const taken = createSocket('udp4').bind(Number(udpPort), '0.0.0.0').unref();
  const server = await launchListening(['--keys', `a: ${secret}`, '--config-body', text]);
  try {
    assert.match(server.output(), new RegExp(`${udpPort}`));
    const token = forge(claims({ iss: 'a' }), { secret });
    const refused = await ask({ port }, `/rtc?access_token=${token}`, { websocket: true });
    assert.equal(refused.status, 503);
    assert.equal(refused.body, 'no media plane is attached');
    const starts = server.output().match(/media plane started/g).length;
    assert.ok(starts >= 2 && starts <= 8, `${starts} starts in some 5 s`);
    taken.close();
    await until('it attaches once the port is free', 10_000, () => /\battached to the media plane/.test(server.output()));
    assert.equal((await ask({ port }, `/rtc?access_token=${token}`, { websocket: true })).status, 101);
  } finally {
    await server.stop();
  }
});

test('generate-keys and create-join-token make what the server accepts', async () => {
  const made = await run(['generate-keys']);
  assert.equal(made.code, 0, made.output);
  const [, key] = /API Key:\s*(\S+)/i.exec(made.output) ?? assert.fail(made.output);
  const [, keySecret] = /(?:API )?Secret:\s*(\S+)/i.exec(made.output) ?? assert.fail(made.output);
  const { port, text } = await yaml();
  const given = ['--keys', `${key}: ${keySecret}`];
  const created = await run(['create-join-token', ...given, '--room', 'r', '--identity', 'alice']);
  assert.equal(created.code, 0, created.output);
  const token = /(ey\S+\.\S+\.\S+)/.exec(created.output)[1];
  const server = await launchListening([...given, '--config-body', text]);
  const [media] = children(server.pid);
  try {
    assert.equal((await ask({ port }, `/rtc/validate?access_token=${token}`)).body, 'success');
  } finally {
    await server.stop();
  }
  assert.ok(!isAlive(media));
});

test('keys of the configuration are flags and variables, which go before the file', async () => {
  const file = path.join(directory, 'under.yaml');
  const { port, text } = await yaml([`keys: { a: ${secret} }`, 'limit: { max_room_name_length: 100 }']);
  await writeFile(file, text);
  const env = { LIVEKIT_LIMIT_MAX_ROOM_NAME_LENGTH: '3', LIVEKIT_BIND: 'nothing of ours' };
  const server = await launchListening(['--config', file, '--bind=127.0.0.1', '--limit.max_participant_name_length=4'], { env });
  try {
    const validate = (others) => {
      const token = forge(claims({ iss: 'a', ...others }), { secret });
      return ask({ port }, `/rtc/validate?access_token=${token}`);
    };
    assert.equal((await validate({})).status, 200);
    const room = await validate({ video: { roomJoin: true, room: 'long' } });
    assert.deepEqual([room.status, room.body], [400, 'room name length exceeds limits: max length 3']);
    assert.equal((await validate({ name: 'Alice' })).status, 400);
  } finally {
    await server.stop();
  }
});

test('check-config says what a start would say, and starts nothing', async () => {
  const file = path.join(directory, 'checked.yaml');
  await writeFile(file, `keys: { a: ${secret} }\nredis: { address: r }\n`);
  const sound = await run(['check-config', file]);
  assert.equal(sound.code, 0, sound.output);
  assert.match(sound.output, /can be started with[^]*redis\.address/);
  await writeFile(file, `keys: { a: ${secret} }\nrtc:\n  upd_port: 1\n`);
  const typing = await run(['check-config', file]);
  assert.equal(typing.code, 1);
  assert.match(typing.output, /checked\.yaml: line 3: unknown key "rtc\.upd_port"; did you mean "udp_port"/);
  assert.ok(!typing.output.includes(secret));
});

test('spellings of the seed work: a key file before a sub-command, and the ports', async () => {
  const file = path.join(directory, 'seed-keys');
  await writeFile(file, `seed: ${secret}\n`);
  await chmod(file, 0o600);
  const created = await run(['--key-file', file, 'create-join-token', '--room', 'r', '--identity', 'i']);
  assert.equal(created.code, 0, created.output);
  const [, body] = /ey\S+?\.(\S+?)\./.exec(created.output);
  assert.equal(JSON.parse(Buffer.from(body, 'base64url')).iss, 'seed');
  const ports = await run(['--config-body', 'rtc: { udp_port: 7882 }\nprometheus: { port: 6789 }', 'ports']);
  assert.equal(ports.code, 0, ports.output);
  assert.match(ports.output, /7880 +TCP[^]*7882 +UDP[^]*6789 +TCP/);
  const help = await run(['help-verbose']);
  assert.match(help.output, /--rtc\.udp_port[^]*LIVEKIT_RTC_UDP_PORT/);
  const short = await run(['--help']);
  assert.doesNotMatch(short.output, /--rtc\.tcp_port/);
});
