// The HTTP surface as SDKs and load balancers meet it: statuses, texts, CORS, limits; and tokens that are no good.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { connect as dial } from 'node:net';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import {
  DisconnectReason, JoinRequest, SessionDescription, WrappedJoinRequest, WrappedJoinRequest_Compression,
} from '@livekit/protocol';
import { ask, claims, connect, forge } from '../harness/signalling.mjs';
import { freePort, launchListening } from '../harness/process.mjs';
import { KEY, SECRET, startServer } from '../harness/server.mjs';

const { GZIP, NONE } = WrappedJoinRequest_Compression;
let server;
let directory;

before(async () => {
  server = await startServer();
  directory = await mkdtemp(path.join(tmpdir(), 'millrace-e2e-'));
});
after(async () => {
  await server.stop();
  await rm(directory, { recursive: true, force: true });
});

const wrap = (joinRequest, compression = NONE) =>
  Buffer.from(new WrappedJoinRequest({ compression, joinRequest }).toBinary()).toString('base64url');
const plain = () => new JoinRequest({ participantSid: 'PA_x' }).toBinary();

test('paths answer as LiveKit does', async () => {
  const good = await server.token('r', 'alice');
  const html = { accept: 'text/html' };
  for (const [name, path, status, body, headers] of [
    ['health', '/', 200, 'OK'],
    ['the page for browsers', '/', 200, /<title>Millrace<\/title>/, html],
    ['/rtc without an upgrade', '/rtc', 404, ''],
    ['/rtc without an upgrade, with a token', `/rtc?access_token=${good}`, 404, ''],
    ['/rtc/v1 without an upgrade', `/rtc/v1?access_token=${good}`, 404, ''],
    ['agent workers without an upgrade', '/agent', 404, /^$/],
    ['no token', '/rtc/validate', 401, 'no permissions to access the room'],
    ['garbage token', '/rtc/validate?access_token=garbage', 401, 'invalid authorization token'],
    ['garbage in the header', '/rtc/validate', 401, 'invalid authorization token', { authorization: 'Bearer x' }],
    ['fine', `/rtc/validate?access_token=${good}`, 200, 'success'],
    ['fine, by header', '/rtc/validate', 200, 'success', { authorization: `Bearer ${good}` }],
    ['double slash', `//rtc/validate?access_token=${good}`, 200, 'success'],
    ['v1 without a join request', `/rtc/v1/validate?access_token=${good}`, 400, 'join_request is required'],
    ['something else', '/nothing', 404, '404 page not found\n'],
  ]) {
    const answer = await ask(server, path, { headers });
    assert.equal(answer.status, status, name);
    if (body instanceof RegExp) assert.match(answer.body, body, name);
    else assert.equal(answer.body, body, name);
    if (path.includes('/validate')) assert.equal(answer.headers['access-control-allow-origin'], '*', name);
  }
});

test('a room that nobody may create is said to be missing', async () => {
  const port = await freePort();
  const config = `port: ${port}\nbind_addresses: ["127.0.0.1"]\nruntime_dir: ${directory}\nroom: { auto_create: false }`;
  const strict = await launchListening(['--config-body', config, '--keys', `${KEY}: ${SECRET}`]);
  try {
    for (const [path, websocket] of [['/rtc/validate', false], ['/rtc', true]]) {
      const answer = await ask({ port }, `${path}?access_token=${forge(claims())}`, { websocket });
      assert.deepEqual([answer.status, answer.body], [404, 'requested room does not exist']);
    }
    const creator = forge(claims({ video: { roomJoin: true, room: 'r', roomCreate: true } }));
    assert.equal((await ask({ port }, `/rtc/validate?access_token=${creator}`)).body, 'success');
  } finally {
    await strict.stop();
  }
});

test('preflights and answers let any origin in', async () => {
  const origin = 'https://app.example';
  const preflight = await ask(server, '/rtc/validate', {
    method: 'OPTIONS',
    headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' },
  });
  assert.equal(preflight.status, 204);
  assert.equal(preflight.headers['access-control-allow-origin'], origin);
  assert.equal(preflight.headers['access-control-allow-methods'], 'POST');
  assert.equal(preflight.headers['access-control-allow-headers'], 'authorization');
  assert.equal(preflight.headers['access-control-max-age'], '86400');
  assert.match(preflight.headers.vary, /Origin/);
  const answer = await ask(server, '/', { headers: { origin } });
  assert.equal(answer.headers['access-control-allow-origin'], origin);
  const token = await ask(server, '/dev/token?room=r&identity=a', { headers: { origin } });
  assert.equal(token.headers['access-control-allow-origin'], undefined, 'no other page gets a token for anybody');
});

test('tokens that are no good are refused with their reason, before and instead of an upgrade', async () => {
  const now = Math.floor(Date.now() / 1000);
  const video = { roomJoin: true, room: 'r' };
  const [head, body, signature] = forge(claims()).split('.');
  const changed = JSON.stringify({ ...claims(), sub: 'mallory' });
  for (const [name, token, status, text] of [
    ['one part', 'abc', 401, 'invalid authorization token'],
    ['two parts', `${head}.${body}`, 401, 'invalid authorization token'],
    ['four parts', `${head}.${body}.${signature}.x`, 401, 'invalid authorization token'],
    ['no base64', '!.!.!', 401, 'invalid authorization token'],
    ['no JSON', forge('not json'), 401, 'invalid authorization token'],
    ['an array', forge([]), 401, 'invalid API key'],
    ['claims of wrong types', forge(claims({ video: 'yes' })), 401, 'invalid authorization token'],
    ['unsigned', `${head}.${body}.`, 401, 'invalid token, error: token signature is invalid'],
    ['algorithm none', `${forge(claims(), { header: { alg: 'none' } }).split('.').slice(0, 2).join('.')}.`, 401,
      'invalid authorization token'],
    ['another algorithm', forge(claims(), { header: { alg: 'HS512' }, hash: 'sha512' }), 401, 'invalid authorization token'],
    ['an asymmetric algorithm', forge(claims(), { header: { alg: 'RS256' } }), 401, 'invalid authorization token'],
    ['critical extensions', forge(claims(), { header: { alg: 'HS256', crit: ['x'] } }), 401, 'invalid authorization token'],
    ['another secret', forge(claims(), { secret: 'another-secret-of-more-than-32-characters' }), 401,
      'invalid token, error: token signature is invalid'],
    ['changed claims', `${head}.${Buffer.from(changed).toString('base64url')}.${signature}`, 401,
      'invalid token, error: token signature is invalid'],
    ['unknown key', forge(claims({ iss: 'somebody' })), 401, 'invalid API key'],
    ['no key', forge(claims({ iss: undefined })), 401, 'invalid API key'],
    ['expired', forge(claims({ exp: now - 90 })), 401, 'invalid token, error: token is expired'],
    ['expired within the leeway', forge(claims({ exp: now - 30 })), 200, 'success'],
    ['never expires', forge(claims({ exp: undefined })), 401, 'invalid token, error: token is missing its expiry'],
    ['expires before the epoch', forge(claims({ exp: -1 })), 401, 'invalid token, error: token is expired'],
    ['expiry that is no number', forge(claims({ exp: 'soon' })), 401, 'invalid authorization token'],
    ['not valid yet', forge(claims({ nbf: now + 90 })), 401, 'invalid token, error: token is not valid yet'],
    ['too long', forge(claims({ metadata: 'x'.repeat(8 * 1024) })), 401, 'invalid authorization token'],
    ['no grants', forge(claims({ video: undefined })), 401, /no permissions|permissions denied/],
    ['no right to join', forge(claims({ video: { room: 'r' } })), 401, 'permissions denied'],
    ['no identity', forge(claims({ sub: undefined })), 400, 'identity cannot be empty'],
    ['no room', forge(claims({ video: { roomJoin: true } })), 400, 'no room name'],
    ['long room', forge(claims({ video: { ...video, room: 'r'.repeat(257) } })), 400, /room name length exceeds limits/],
    ['long identity', forge(claims({ sub: 'i'.repeat(257) })), 400, /identity length exceeds limits/],
    ['long name', forge(claims({ name: 'n'.repeat(257) })), 400, /name length exceeds limits/],
  ]) {
    for (const [path, websocket] of [['/rtc/validate', false], ['/rtc', true]]) {
      const answer = await ask(server, `${path}?access_token=${token}`, { websocket });
      if (websocket && status === 200) {
        assert.equal(answer.status, 101, name);
        continue;
      }
      assert.equal(answer.status, status, `${name} on ${path}: ${answer.body}`);
      if (text instanceof RegExp) assert.match(answer.body, text, name);
      else assert.equal(answer.body, text, name);
      assert.ok(!answer.body.includes(token), `${name}: not echoed`);
    }
  }
  assert.ok(!server.log().includes(signature), 'nor logged');
});

test('join requests that cannot be read are a 400 with the layer that is wrong', async () => {
  const token = await server.token('r', 'alice');
  const large = new JoinRequest({ metadata: 'x'.repeat(1024 * 1024) }).toBinary();
  const many = new JoinRequest({ addTrackRequests: Array.from({ length: 5_000 }, () => ({})) }).toBinary();
  for (const [name, parameter, status, text] of [
    ['none', '', 400, 'join_request is required'],
    ['no base64', '!!', 400, 'cannot base64 decode wrapped join request'],
    ['no wrapping', Buffer.alloc(4, 0xff).toString('base64url'), 400, 'cannot unmarshal wrapped join request'],
    ['unknown compression', wrap(plain(), 7), 400, 'unknown compression of join request'],
    ['not gzip', wrap(Buffer.from('nothing'), GZIP), 400, 'cannot read decompressed join request'],
    ['gzip cut short', wrap(gzipSync(plain()).subarray(0, 15), GZIP), 400, 'cannot read decompressed join request'],
    ['a bomb', wrap(gzipSync(large), GZIP), 400, 'join request too large'],
    ['too many tracks', wrap(gzipSync(many), GZIP), 400, 'cannot unmarshal join request'],
    ['no join request inside', wrap(Buffer.alloc(4, 0xff)), 400, 'cannot unmarshal join request'],
    ['plain', wrap(plain()), 200, 'success'],
    ['gzip', wrap(gzipSync(plain()), GZIP), 200, 'success'],
  ]) {
    for (const [path, websocket] of [['/rtc/v1/validate', false], ['/rtc/v1', true]]) {
      const answer = await ask(server, `${path}?access_token=${token}&join_request=${parameter}`, { websocket });
      if (websocket && status === 200) {
        assert.equal(answer.status, 101, name);
        continue;
      }
      assert.deepEqual([answer.status, answer.body], [status, text], `${name} on ${path}`);
    }
  }
});

test('a join request with an offer nobody can read ends in a leave, not in silence', async () => {
  const token = await server.token('bad-offer', 'alice');
  const publisherOffer = new SessionDescription({ type: 'offer', sdp: 'v=0\r\nnonsense', id: 1 });
  const request = new JoinRequest({ clientInfo: { protocol: 16 }, publisherOffer }).toBinary();
  const url = `/rtc/v1?access_token=${token}&join_request=${wrap(request)}`;
  assert.equal((await ask(server, url, { websocket: true })).status, 101);
  const client = connect(`${server.url}${url}`);
  const { value } = await client.response('leave');
  assert.equal(value.reason, DisconnectReason.STATE_MISMATCH);
  assert.equal((await client.closed()).code, 1000);
});

test('heads that are too large or never end are cut off', async () => {
  const token = await server.token('r', 'alice');
  for (const [name, path, status] of [
    ['an offer fits on /rtc', `/rtc/validate?access_token=${token}&padding=${'x'.repeat(40_000)}`, 200],
    ['elsewhere it does not', `/?padding=${'x'.repeat(20_000)}`, 431],
  ]) {
    assert.equal((await ask(server, path)).status, status, name);
  }
  const endless = await raw(`GET /${'x'.repeat(100_000)}`);
  assert.match(endless.text, /^$|^HTTP\/1\.1 4\d\d/);
  const resting = rest(13_000);
  const slow = await raw('GET / HTTP/1.1\r\nhost: x\r\n');
  assert.match(slow.text, /^$|^HTTP\/1\.1 408/);
  assert.ok(slow.millis > 5_000 && slow.millis < 20_000, `cut off after ${slow.millis} ms`);
  assert.equal(await resting, 2, 'a connection that rests between two requests is kept for longer');
  assert.equal((await ask(server, '/')).status, 200);
});

test('what is not HTTP is answered or cut off, and the next request is served', async () => {
  for (const [name, bytes] of [
    ['TLS', Buffer.from('16030100c8010000c40303', 'hex')],
    ['HTTP/2', Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')],
    ['garbage', Buffer.from('\x00\xff\x00\xff\r\n\r\n', 'latin1')],
    ['a path that is none', Buffer.from('GET rtc HTTP/1.1\r\nhost: x\r\n\r\n')],
    ['a body that lies', Buffer.from('POST /rtc HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n')],
    ['a method nobody knows', Buffer.from('FROB /rtc/validate HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')],
  ]) {
    const { text } = await raw(bytes, { half: true });
    assert.match(text, /^$|^HTTP\/1\.1 [24]\d\d/, name);
    assert.equal((await ask(server, '/')).status, 200, name);
  }
});

// Sends a request, and another one after a pause on the same connection; how many were answered.
async function rest(millis) {
  const socket = dial(server.port, '127.0.0.1');
  socket.on('error', () => {});
  let text = '';
  socket.on('data', (chunk) => (text += chunk.toString('latin1')));
  socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  await new Promise((resolve) => setTimeout(resolve, millis));
  socket.write('GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
  await once(socket, 'close');
  return text.match(/HTTP\/1\.1 200/g)?.length;
}

// Sends bytes, and gives what comes back until the server closes.
async function raw(bytes, { half = false } = {}) {
  const start = Date.now();
  const socket = dial(server.port, '127.0.0.1');
  socket.on('error', () => {});
  if (half) socket.end(bytes);
  else socket.write(bytes);
  let text = '';
  socket.on('data', (chunk) => (text += chunk.toString('latin1')));
  await once(socket, 'close');
  return { text, millis: Date.now() - start };
}
