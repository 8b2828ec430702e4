// Clients that say what no SDK would: they are told why they go, and nobody else in the room notices.
import { after, afterEach, before, beforeEach, test } from 'node:test';
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect as dial } from 'node:net';
import { once } from 'node:events';
import {
  DisconnectReason, LeaveRequest_Action, RequestResponse_Reason, SignalRequest, TrackSource, TrackType,
} from '@livekit/protocol';
import { DATA_OFFER, join } from '../harness/signalling.mjs';
import { startServer } from '../harness/server.mjs';

let server;
let bystander;

before(async () => (server = await startServer()));
after(() => server.stop());
// Somebody else is in the room all the time, on one connection.
beforeEach(async () => (bystander = await join(server, 'room', 'bystander')));
afterEach(async () => {
  await bystander.ping();
  await bystander.leave();
});

const offenders = { count: 0 };
const joinAsOffender = (options) => join(server, 'room', `offender-${(offenders.count += 1)}`, options);

test('frames that are no requests close the connection with their reason', async () => {
  const deep = `${'{"offer":'.repeat(100)}1${'}'.repeat(100)}`;
  const trackSids = Array.from({ length: 5_000 }, () => 'TR_x');
  const subscription = { case: 'subscription', value: { trackSids, subscribe: true } };
  const many = new SignalRequest({ message: subscription }).toBinary();
  const wide = `{"subscription":{"trackSids":[${'"",'.repeat(20_000)}""]}}`;
  for (const [name, frame, code] of [
    ['garbage', randomBytes(400).fill(0xff, 0, 4), 1007],
    ['a length beyond the end', Buffer.from([0x0a, 0x7f, 0x01]), 1007],
    ['a field of the wrong type', Buffer.from([0x08, 0x01]), 1007],
    ['no UTF-8 in a string', Buffer.from([0x0a, 0x03, 0x0a, 0x01, 0xff]), 1007],
    ['no JSON', 'hello', 1007],
    ['JSON cut short', '{"ping":', 1007],
    ['JSON of another shape', '[1, 2, 3]', 1007],
    ['a JSON value of the wrong type', '{"mute":{"sid":7}}', 1007],
    ['JSON too deep', deep, 1008],
    ['too many fields', many, 1008],
    ['too many JSON fields', wide, 1008],
    ['too large', Buffer.alloc(2 * 1024 * 1024 + 1), 1009],
    ['too large a text', ' '.repeat(2 * 1024 * 1024 + 1), 1009],
    ['far too large', Buffer.alloc(8 * 1024 * 1024), 1009],
  ]) {
    const offender = await joinAsOffender();
    offender.socket.send(frame);
    const closed = await offender.closed();
    assert.ok(bystander.isOpen(), name);
    assert.equal(closed.code, code, `${name}: ${closed.reason}`);
  }
});

test('more messages than anybody needs close the connection, a burst does not', async () => {
  const offender = await joinAsOffender();
  const ping = () => offender.send({ case: 'ping', value: BigInt(Date.now()) });
  for (let count = 0; count < 400; count += 1) ping();
  await offender.ping();
  for (let count = 0; count < 2_000; count += 1) ping();
  const { code, reason } = await offender.closed();
  assert.deepEqual([code, reason], [1008, 'too many messages']);
});

test('more bytes than anybody needs close the connection', async () => {
  const offender = await joinAsOffender();
  const metadata = 'x'.repeat(1024 * 1024);
  for (let count = 0; count < 4; count += 1) offender.send({ case: 'updateMetadata', value: { metadata } });
  await offender.ping();
  for (let count = 0; count < 40; count += 1) offender.send({ case: 'updateMetadata', value: { metadata } });
  const { code, reason } = await offender.closed();
  assert.deepEqual([code, reason], [1008, 'too many bytes']);
});

test('broken WebSocket framing closes the connection', async () => {
  for (const [name, bytes] of [
    ['not masked', '8201ff'],
    ['a reserved opcode', '8381000000000a'.slice(0, 14)],
    ['reserved bits', 'f28100000000ff'],
    ['a fragmented ping', '098100000000ff'],
    ['a frame of 2^62 bytes', '82ff400000000000000000000000'],
    ['a continuation of nothing', '808100000000ff'],
  ]) {
    const token = await server.token('room', 'framing');
    const socket = dial(server.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(
      `GET /rtc?access_token=${token}&protocol=16 HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n` +
        'sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    );
    const [head] = await once(socket, 'data');
    assert.match(head.toString('latin1'), /^HTTP\/1\.1 101/, name);
    socket.resume();
    socket.write(Buffer.from(bytes, 'hex'));
    const patience = setTimeout(() => socket.destroy(new Error('left open')), 5_000);
    const [failed] = await once(socket, 'close');
    clearTimeout(patience);
    assert.ok(!failed || socket.errored?.code === 'ECONNRESET', `${name}: ${socket.errored}`);
    assert.ok(bystander.isOpen(), name);
  }
});

test('messages of a newer protocol are passed over', async () => {
  const client = await joinAsOffender();
  // Field 1000, length-delimited and empty.
  client.socket.send(Buffer.from([0xc2, 0x3e, 0x00]));
  client.socket.send('{"messageOfTheFuture":{"a":[1,2]}}');
  client.send({ case: undefined });
  await client.ping();
  await client.leave();
});

test('answers come in the format of the last frame', async () => {
  const client = await joinAsOffender();
  client.socket.send('{"pingReq":{"timestamp":"7","rtt":"1"}}');
  assert.equal((await client.response('pongResp', (pong) => pong.lastPingTimestamp === 7n)).json, true);
  client.send({ case: 'pingReq', value: { timestamp: 8n, rtt: 0n } });
  assert.equal((await client.response('pongResp', (pong) => pong.lastPingTimestamp === 8n)).json, false);
  await client.leave();
});

test('descriptions that cannot be are answered with a leave that asks to join anew', async () => {
  for (const [name, sdp] of [
    ['empty', ''],
    ['no SDP', 'hello'],
    ['binary', '\u0000\u0001\u0002'],
    ['cut in the middle', DATA_OFFER.slice(0, 90)],
    ['no ICE credentials', DATA_OFFER.replace(/a=ice-.*\r\n/g, '')],
    ['no fingerprint', DATA_OFFER.replace(/a=fingerprint.*\r\n/, '')],
    ['a fingerprint of another length', DATA_OFFER.replace(/(a=fingerprint:sha-256 ).*\r\n/, '$1AA:BB\r\n')],
    ['a hash nobody knows', DATA_OFFER.replace('sha-256', 'sha-17')],
    ['no mid', DATA_OFFER.replace(/a=mid.*\r\n/, '')],
    ['twice the same mid', DATA_OFFER + DATA_OFFER.slice(DATA_OFFER.indexOf('m='))],
    ['too many sections', DATA_OFFER + sections(2_300)],
    ['too long', DATA_OFFER + `a=x:${'x'.repeat(1024 * 1024)}\r\n`],
  ]) {
    const offender = await joinAsOffender();
    offender.send({ case: 'offer', value: { type: 'offer', sdp, id: 1 } });
    const { value } = await offender.response('leave').catch((error) => assert.fail(`${name}: ${error.message}`));
    assert.equal(value.reason, DisconnectReason.STATE_MISMATCH, name);
    assert.equal(value.action, LeaveRequest_Action.RECONNECT, name);
    assert.equal((await offender.closed()).code, 1000, name);
    assert.ok(bystander.isOpen(), name);
  }
});

test('answers that fit no offer of ours are told apart from late ones', async () => {
  const offender = await joinAsOffender();
  const { value: offer } = await offender.response('offer');
  offender.send({ case: 'answer', value: { type: 'answer', sdp: 'late', id: offer.id + 7 } });
  await offender.ping();
  offender.send({ case: 'answer', value: { type: 'answer', sdp: 'nonsense', id: offer.id } });
  const { value } = await offender.response('leave');
  assert.equal(value.reason, DisconnectReason.STATE_MISMATCH);
});

test('an offer that is fine is answered, whatever odd lines and candidates come with it', async () => {
  const client = await joinAsOffender();
  const odd = 'a=candidate:1 1 udp 1 nowhere.invalid 1 typ host\r\na=candidate:garbage\r\na=unheard-of:x\r\n';
  client.send({ case: 'offer', value: { type: 'offer', sdp: DATA_OFFER + odd, id: 3 } });
  const { value } = await client.response('answer');
  assert.equal(value.id, 3);
  assert.match(value.sdp, /^v=0\r\n/);
  for (const candidateInit of ['', 'no json', '{}', '{"candidate":7}', '{"candidate":"candidate:x"}', `"${'x'.repeat(100_000)}"`]) {
    client.send({ case: 'trickle', value: { candidateInit, target: 0 } });
    client.send({ case: 'trickle', value: { candidateInit, target: 99 } });
  }
  await client.ping();
  await client.leave();
});

test('requests about what is not there change nothing', async () => {
  const client = await joinAsOffender();
  const sid = 'TR_nobodys';
  for (const message of [
    { case: 'mute', value: { sid, muted: true } },
    { case: 'subscription', value: { trackSids: [sid, '', 'x'.repeat(10_000)], subscribe: true } },
    { case: 'trackSetting', value: { trackSids: [sid], width: 4_294_967_295, fps: 4_294_967_295 } },
    { case: 'subscriptionPermission', value: { allParticipants: false, trackPermissions: [{ participantSid: 'PA_x' }] } },
    { case: 'updateAudioTrack', value: { trackSid: sid } },
    { case: 'updateVideoTrack', value: { trackSid: sid, width: 1 } },
    { case: 'updateLayers', value: { trackSid: sid } },
    { case: 'answer', value: { type: 'answer', sdp: '', id: 4_000_000_000 } },
    { case: 'ping', value: -9_223_372_036_854_775_808n },
    { case: 'pingReq', value: { timestamp: -1n, rtt: 9_223_372_036_854_775_807n } },
  ]) {
    client.send(message);
  }
  await client.ping();
  await client.leave();
});

test('a client that believes to publish what we do not know is told to start over', async () => {
  const client = await joinAsOffender();
  client.send({ case: 'syncState', value: { publishTracks: [{ cid: 'x', track: { sid: 'TR_x' } }] } });
  const { value } = await client.response('leave');
  assert.equal(value.action, LeaveRequest_Action.RECONNECT);
  assert.equal((await client.closed()).code, 1000);
});

test('tracks and attributes beyond the limits are refused, each with its answer', async () => {
  const client = await joinAsOffender({ video: { canUpdateOwnMetadata: true } });
  for (let index = 0; index < 40; index += 1) {
    const type = TrackType.AUDIO;
    client.send({ case: 'addTrack', value: { cid: `cid-${index}`, type, source: TrackSource.MICROPHONE } });
  }
  const refused = (reason) => client.response('requestResponse', (response) => response.reason === reason);
  const { value } = await refused(RequestResponse_Reason.LIMIT_EXCEEDED);
  assert.equal(value.request.case, 'addTrack');
  client.send({ case: 'updateMetadata', value: { metadata: 'x'.repeat(513 * 1024), requestId: 7 } });
  const long = await refused(RequestResponse_Reason.LIMIT_EXCEEDED).then(({ value }) => value.requestId);
  assert.ok(long === 7 || long === 0, `${long}`);
  client.send({ case: 'updateMetadata', value: { attributes: { a: 'x'.repeat(65 * 1024) }, requestId: 8 } });
  await client.response('requestResponse', (response) => response.requestId === 8);
  await client.ping();
  await client.leave();
});

test('without the right to publish, a track is not allowed', async () => {
  const client = await joinAsOffender({ video: { canPublish: false } });
  client.send({ case: 'addTrack', value: { cid: 'x', type: TrackType.AUDIO } });
  const { value } = await client.response('requestResponse');
  assert.equal(value.reason, RequestResponse_Reason.NOT_ALLOWED);
  await client.leave();
});

function sections(count) {
  const section = (mid) => `m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:${mid}\r\na=rtpmap:111 opus/48000/2\r\na=inactive\r\n`;
  return Array.from({ length: count }, (_, index) => section(index + 1)).join('');
}
