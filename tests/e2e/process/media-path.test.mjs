// Garbage from an address that ICE has validated, where DTLS and SRTP have to look at it: it is counted and no more.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { DATA_OFFER, join } from '../harness/signalling.mjs';
import { deploy } from '../harness/deployment.mjs';
import { children } from '../harness/process.mjs';
import { sleep, until } from '../harness/server.mjs';

let server;
let directory;

before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'millrace-e2e-'));
  server = await deploy(directory);
});
after(async () => {
  await server.stop();
  await rm(directory, { recursive: true, force: true });
});

test('whoever knows ufrag and password is answered, with a wrong password nobody is', async () => {
  const peer = await connectIce('checks');
  try {
    const before = await server.mediaCounters();
    peer.send(peer.check({ password: 'x'.repeat(24) }));
    peer.send(peer.check({ username: 'zzzzzzzz:abcd' }));
    await sleep(200);
    assert.deepEqual(peer.received, []);
    peer.send(peer.check());
    const answer = await until('an answer', 5_000, () => peer.received.shift());
    assert.equal(answer.readUInt16BE(0), BINDING_SUCCESS);
    const counters = await server.mediaCounters();
    const grown = (name) => counters[name] - before[name];
    assert.equal(grown('discarded_stun_integrity'), 1);
    assert.equal(grown('discarded_stun_unknown_ufrag'), 1);
    assert.equal(grown('checks_answered'), 1);
  } finally {
    await peer.close();
  }
});

test('garbage on a validated path is counted, and the path goes on', async () => {
  const bystander = await join(server, 'garbage', 'bystander');
  const peer = await connectIce('garbage');
  const media = server.media();
  try {
    peer.send(peer.check());
    await until('an answer', 5_000, () => peer.received.shift());
    const before = await server.mediaCounters();
    for (let round = 0; round < 40; round += 1) {
      for (const datagram of garbage()) peer.send(datagram);
      await sleep(20);
    }
    peer.received.length = 0;
    peer.send(peer.check());
    await until('an answer', 5_000, () => peer.received.find((each) => each.readUInt16BE(0) === BINDING_SUCCESS));
    const counters = await server.mediaCounters();
    const grown = (name) => counters[name] - before[name];
    const discarded = Object.keys(counters).filter((name) => name.startsWith('discarded_'));
    const lost = discarded.reduce((sum, name) => sum + grown(name), 0);
    assert.equal(grown('datagrams_received'), grown('datagrams_consumed') + grown('datagrams_forwarded') + lost);
    assert.ok(grown('discarded_no_keys') > 0, 'nothing is decrypted before the handshake');
    assert.ok(grown('dtls_records_received') > 0, 'DTLS had its share');
    assert.deepEqual([counters.worker_panics, counters.helper_panics], [0, 0]);
    assert.deepEqual(children(server.pid), [media]);
    await bystander.ping();
  } finally {
    await peer.close();
    await bystander.leave();
  }
});

// A participant with one connection's ICE done by hand, and nothing above it.
async function connectIce(room) {
  const client = await join(server, room, 'by-hand');
  client.send({ case: 'offer', value: { type: 'offer', sdp: DATA_OFFER, id: 1 } });
  const { value } = await client.response('answer');
  const [ufrag, password] = ['ice-ufrag', 'ice-pwd'].map((name) => new RegExp(`a=${name}:(\\S+)`).exec(value.sdp)[1]);
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  const received = [];
  socket.on('message', (message) => {
    if (message[0] < 4) received.push(message);
  });
  return {
    received,
    send: (datagram) => socket.send(datagram, server.udpPort, '127.0.0.1'),
    check: (others = {}) => bindingRequest({ username: `${ufrag}:abcd`, password, ...others }),
    async close() {
      socket.close();
      await client.leave();
    },
  };
}

// RFC 8489 and RFC 8445 §7.1: USERNAME, PRIORITY, ICE-CONTROLLING, USE-CANDIDATE, MESSAGE-INTEGRITY, FINGERPRINT.
function bindingRequest({ username, password }) {
  const attributes = [
    attribute(0x0006, Buffer.from(username)), attribute(0x0024, Buffer.from([0x6e, 0x00, 0x1e, 0xff])),
    attribute(0x802a, randomBytes(8)), attribute(0x0025, Buffer.alloc(0)),
  ];
  const transaction = randomBytes(12);
  // Each of the last two covers what is before it, with a length as if it were the end.
  const message = (extra) => {
    const body = Buffer.concat(attributes);
    const head = Buffer.from([0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]);
    head.writeUInt16BE(body.length + extra, 2);
    return Buffer.concat([head, transaction, body]);
  };
  attributes.push(attribute(0x0008, createHmac('sha1', password).update(message(24)).digest()));
  const fingerprint = Buffer.alloc(4);
  fingerprint.writeUInt32BE((crc32(message(8)) ^ 0x5354554e) >>> 0);
  attributes.push(attribute(0x8028, fingerprint));
  return message(0);
}

function attribute(type, value) {
  const head = Buffer.alloc(4);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(value.length, 2);
  return Buffer.concat([head, value, Buffer.alloc((4 - (value.length % 4)) % 4)]);
}

// DTLS records and handshake fragments that lie about themselves, and RTP and RTCP before there are keys.
function garbage() {
  const record = (type, length, content) =>
    Buffer.concat([Buffer.from([type, 0xfe, 0xfd, 0, 0]), randomBytes(6), Buffer.from([length >> 8, length & 0xff]), content]);
  const handshake = (type, length, sequence, offset, fragment, content) => {
    const head = Buffer.alloc(12);
    head[0] = type;
    head.writeUIntBE(length, 1, 3);
    head.writeUInt16BE(sequence, 4);
    head.writeUIntBE(offset, 6, 3);
    head.writeUIntBE(fragment, 9, 3);
    return record(22, 12 + content.length, Buffer.concat([head, content]));
  };
  const hello = Buffer.concat([Buffer.from([0xfe, 0xfd]), randomBytes(32), Buffer.from([0, 0]), randomBytes(20)]);
  return [
    record(22, 0, Buffer.alloc(0)),
    record(22, 0xffff, randomBytes(20)),
    record(20, 1, Buffer.from([1])),
    record(21, 2, Buffer.from([2, 40])),
    record(21, 1, Buffer.from([2])),
    record(23, 100, randomBytes(100)),
    record(99, 4, randomBytes(4)),
    handshake(1, hello.length, 0, 0, hello.length, hello),
    handshake(1, 0xffffff, 0, 0, hello.length, hello),
    handshake(1, 4, 0, 0xfffff0, hello.length, hello),
    handshake(1, hello.length, 0xffff, 0, 0xffffff, hello),
    handshake(2, 0, 1, 0, 0, Buffer.alloc(0)),
    handshake(randomBytes(1)[0], 1_000, randomBytes(1)[0], 500, 40, randomBytes(40)),
    Buffer.from([22]),
    Buffer.concat([Buffer.from([0x80, 111]), randomBytes(60)]),
    Buffer.concat([Buffer.from([0xbf, 111, 0, 1]), randomBytes(8)]),
    Buffer.concat([Buffer.from([0x80, 200, 0, 6]), randomBytes(40)]),
    Buffer.from([0x80, 200, 0xff, 0xff]),
  ];
}

const BINDING_SUCCESS = 0x0101;
