// The server API as operators' backends call it: npm `livekit-server-sdk` against the real binaries, and by hand what no
// SDK would send.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DisconnectReason, TrackSource } from '@livekit/protocol';
import {
  AccessToken, ConnectorClient, DataPacket_Kind, EgressClient, IngressClient, RoomServiceClient, SipClient,
} from 'livekit-server-sdk';
import { ask, claims, connect, forge } from '../harness/signalling.mjs';
import { freePort, launchListening } from '../harness/process.mjs';
import { KEY, SECRET, until } from '../harness/server.mjs';

let directory;
let server;
let rooms;

before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'millrace-e2e-'));
  const [port, udpPort] = [await freePort(), await freePort()];
  const config = [
    `port: ${port}`,
    'bind_addresses: ["127.0.0.1"]',
    `keys: { ${KEY}: ${SECRET} }`,
    `runtime_dir: ${directory}`,
    `rtc: { udp_port: ${udpPort}, node_ip: 127.0.0.1, enable_loopback_candidate: true }`,
    'room:',
    '  auto_create: false',
    '  room_configurations: { lecture: { empty_timeout: 77, max_participants: 5 } }',
  ].join('\n');
  const binary = await launchListening(['--config-body', config]);
  server = { ...binary, port, url: `ws://127.0.0.1:${port}`, http: `http://127.0.0.1:${port}` };
  rooms = new RoomServiceClient(server.http, KEY, SECRET);
});
after(async () => {
  await server?.stop();
  await rm(directory, { recursive: true, force: true });
});

// Somebody who signals, without media.
async function enter(room, identity, over = {}) {
  const token = forge(claims({ sub: identity, video: { roomJoin: true, room }, ...over }));
  const client = connect(`${server.url}/rtc?access_token=${token}&protocol=16&sdk=go`);
  await client.response('join');
  return client;
}

const fails = (what, status, code, message) =>
  assert.rejects(what, (error) => {
    assert.deepEqual([error.status, error.code, error.message], [status, code, message]);
    return true;
  });

const call = (method, body, { headers = {}, grant, verb = 'POST' } = {}) =>
  fetch(`${server.http}/twirp/${method}`, {
    method: verb,
    body,
    headers: {
      'content-type': 'application/json',
      ...(grant && { authorization: `Bearer ${forge(claims({ video: grant }))}` }),
      ...headers,
    },
  });

test('rooms are made, listed and deleted', async () => {
  const made = await rooms.createRoom({
    name: 'made', emptyTimeout: 60, departureTimeout: 30, maxParticipants: 2, metadata: 'm', minPlayoutDelay: 100,
  });
  assert.match(made.sid, /^RM_/);
  assert.deepEqual(
    [made.name, made.emptyTimeout, made.departureTimeout, made.maxParticipants, made.metadata, made.numParticipants],
    ['made', 60, 30, 2, 'm', 0],
  );
  assert.ok(made.turnPassword && made.enabledCodecs.length > 0 && made.creationTime > 0n && made.creationTimeMs > 0n);
  const again = await rooms.createRoom({ name: 'made', metadata: 'other' });
  assert.deepEqual([again.sid, again.metadata], [made.sid, 'm'], 'it is there already');
  const lecture = await rooms.createRoom({ name: 'lecture', roomPreset: 'lecture', maxParticipants: 3 });
  assert.deepEqual([lecture.emptyTimeout, lecture.maxParticipants], [77, 3], 'the request goes before the preset');
  const alice = await enter('made', 'alice');
  await alice.response('refreshToken');
  const names = async (only) => (await rooms.listRooms(only)).map(({ name }) => name);
  assert.deepEqual(await names(), ['lecture', 'made']);
  assert.deepEqual(await names(['made', 'nowhere']), ['made']);
  const [listed] = await rooms.listRooms(['made']);
  assert.equal(listed.numParticipants, 1);
  await rooms.deleteRoom('made');
  assert.equal((await alice.response('leave')).value.reason, DisconnectReason.ROOM_DELETED);
  await alice.closed();
  await fails(rooms.deleteRoom('made'), 404, 'not_found', 'twirp error unknown: requested room does not exist');
  assert.notEqual((await rooms.createRoom({ name: 'made' })).sid, made.sid, 'a new one, at once');
  await Promise.all(['made', 'lecture'].map((name) => rooms.deleteRoom(name)));
  assert.deepEqual(await names(), []);
});

test('who is in a room is listed, changed, told and sent away', async () => {
  await rooms.createRoom({ name: 'stage', departureTimeout: 60 });
  const alice = await enter('stage', 'alice');
  const bob = await enter('stage', 'bob', { video: { roomJoin: true, room: 'stage', hidden: true } });
  const identities = (await rooms.listParticipants('stage')).map(({ identity }) => identity);
  assert.deepEqual(identities, ['alice', 'bob'], 'hidden ones, too');
  const changed = await rooms.updateParticipant('stage', 'alice', {
    name: 'Alice', metadata: 'about', attributes: { mood_today: 'good' },
    permission: { canSubscribe: true, canPublish: true, canPublishSources: [TrackSource.CAMERA] },
  });
  assert.deepEqual([changed.name, changed.metadata, changed.attributes], ['Alice', 'about', { mood_today: 'good' }]);
  assert.deepEqual(
    [changed.permission.canPublishSources, changed.permission.canPublishData], [[TrackSource.CAMERA], false],
  );
  assert.deepEqual(await rooms.getParticipant('stage', 'alice'), changed);
  await alice.response('update', ({ participants }) => participants.some(({ name }) => name === 'Alice'));
  const renewed = await until('a token that says the same', 30_000, async () => {
    const { value } = await alice.response('refreshToken');
    const payload = JSON.parse(Buffer.from(value.split('.')[1], 'base64url'));
    return payload.video.canPublishData === false && payload;
  });
  assert.deepEqual([renewed.name, renewed.metadata, renewed.attributes], ['Alice', 'about', { mood_today: 'good' }]);
  const room = await rooms.updateRoomMetadata('stage', 'new');
  assert.deepEqual([room.metadata, room.numParticipants], ['new', 1]);
  await alice.response('roomUpdate', ({ room: { metadata } }) => metadata === 'new');
  await rooms.sendData('stage', new TextEncoder().encode('hi'), DataPacket_Kind.RELIABLE, { topic: 't' });
  await rooms.updateSubscriptions('stage', 'alice', ['TR_none'], true);
  await rooms.removeParticipant('stage', 'alice');
  assert.equal((await alice.response('leave')).value.reason, DisconnectReason.PARTICIPANT_REMOVED);
  await alice.closed();
  await fails(rooms.removeParticipant('stage', 'alice'), 404, 'not_found', 'participant not found');
  await fails(
    rooms.getParticipant('stage', 'alice'), 404, 'not_found', 'twirp error unknown: participant does not exist',
  );
  const back = await enter('stage', 'alice');
  await Promise.all([back.leave(), bob.leave()]);
  await rooms.deleteRoom('stage');
});

test('what cannot be is refused in the words of LiveKit', async () => {
  await rooms.createRoom({ name: 'strict', maxParticipants: 1 });
  const alice = await enter('strict', 'alice');
  const unknown = 'twirp error unknown: participant does not exist';
  const missing = 'twirp error unknown: requested room does not exist';
  const long = (length) => 'x'.repeat(length);
  for (const [what, status, code, message] of [
    [() => rooms.mutePublishedTrack('strict', 'alice', 'TR_x', true), 404, 'not_found', 'twirp error unknown: track is not found'],
    [() => rooms.mutePublishedTrack('strict', 'alice', 'TR_x', false), 412, 'failed_precondition', 'twirp error unknown: remote unmute not enabled'],
    [() => rooms.mutePublishedTrack('strict', 'nobody', 'TR_x', true), 404, 'not_found', unknown],
    [() => rooms.updateParticipant('strict', 'nobody', { name: 'x' }), 404, 'not_found', unknown],
    [() => rooms.updateParticipant('strict', 'alice', { name: long(257) }), 400, 'invalid_argument', 'name length exceeds limits 256'],
    [() => rooms.updateParticipant('strict', 'alice', { attributes: { a: long(65_536) } }), 400, 'invalid_argument', 'attribute size exceeds limits 65536'],
    [() => rooms.updateRoomMetadata('strict', long(524_289)), 400, 'invalid_argument', 'metadata size exceeds limits 524288'],
    [() => rooms.updateRoomMetadata('nowhere', 'x'), 404, 'not_found', missing],
    [() => rooms.updateSubscriptions('strict', 'nobody', [], true), 404, 'not_found', unknown],
    [() => rooms.sendData('nowhere', new Uint8Array(1), DataPacket_Kind.LOSSY, {}), 404, 'not_found', missing],
    [() => rooms.sendData('strict', new Uint8Array(65_536), DataPacket_Kind.LOSSY, {}), 400, 'invalid_argument', 'twirp error unknown: data is too large to be sent'],
    [() => rooms.updateRoomMetadata('strict', long(1024 * 1024)), 400, 'invalid_argument', 'the request is larger than 1048576 bytes'],
    [() => rooms.createRoom({ name: long(257) }), 400, 'invalid_argument', 'twirp error unknown: room name length exceeds limits'],
    [() => rooms.createRoom({ name: 'x', nodeId: 'ND_elsewhere' }), 404, 'not_found', 'twirp error unknown: could not find object'],
  ]) {
    await fails(what(), status, code, message);
  }
  assert.deepEqual(await rooms.listParticipants('nowhere'), []);
  const full = forge(claims({ sub: 'bob', video: { roomJoin: true, room: 'strict' } }));
  const answer = await ask(server, `/rtc?access_token=${full}`, { websocket: true });
  assert.deepEqual([answer.status, answer.body], [503, 'room has exceeded its max participants']);
  await alice.leave();
  await rooms.deleteRoom('strict');
});

test('tokens open what they are for, and strangers cost nothing', async () => {
  const denied = { code: 'unauthenticated', msg: 'permissions denied' };
  const body = '{"room":"r","identity":"alice"}';
  for (const [name, method, grant] of [
    ['no token', 'livekit.RoomService/GetParticipant', undefined],
    ['no admin', 'livekit.RoomService/GetParticipant', { room: 'r' }],
    ['another room', 'livekit.RoomService/GetParticipant', { roomAdmin: true, room: 's' }],
    ['no creator', 'livekit.RoomService/CreateRoom', { roomAdmin: true, room: 'r' }],
    ['no lister', 'livekit.RoomService/ListRooms', { roomCreate: true }],
    ['no recorder', 'livekit.Egress/ListEgress', { roomAdmin: true }],
    ['no ingress', 'livekit.Ingress/ListIngress', { roomAdmin: true }],
    ['no SIP', 'livekit.SIP/ListSIPInboundTrunk', { roomAdmin: true }],
  ]) {
    const answer = await call(method, body, { grant });
    assert.deepEqual([answer.status, await answer.json()], [401, denied], name);
  }
  const garbage = await call('livekit.RoomService/ListRooms', '{}', { headers: { authorization: 'Bearer x' } });
  assert.deepEqual([garbage.status, await garbage.text()], [401, 'invalid authorization token']);
});

test('routes, types and bodies that are none are refused as Twirp does', async () => {
  const grant = { roomList: true };
  for (const [name, method, options, message] of [
    ['GET', 'livekit.RoomService/ListRooms', { verb: 'GET' }, 'unsupported method "GET" (only POST is allowed)'],
    ['unknown', 'livekit.RoomService/Burn', {}, 'no handler for path "/twirp/livekit.RoomService/Burn"'],
    ['type', 'livekit.RoomService/ListRooms', { headers: { 'content-type': 'text/html' } }, 'unexpected Content-Type: "text/html"'],
  ]) {
    const answer = await call(method, options.verb ? undefined : '{}', { grant, ...options });
    const error = await answer.json();
    assert.deepEqual([answer.status, error.code, error.msg], [404, 'bad_route', message], name);
    assert.equal(error.meta.twirp_invalid_route, `${options.verb ?? 'POST'} /twirp/${method}`, name);
  }
  const bad = await call('livekit.RoomService/ListRooms', '{"names":', { grant });
  assert.deepEqual(
    [bad.status, await bad.json()], [400, { code: 'malformed', msg: 'the json request could not be decoded' }],
  );
  assert.equal((await call('livekit.Nothing/Nothing', '{}', { grant })).status, 404);
  const slashes = await ask(server, '//twirp/livekit.RoomService/ListRooms', { method: 'POST' });
  assert.equal(slashes.status, 404, 'no type');
  assert.match(slashes.body, /unexpected Content-Type/);
  const page = await call('livekit.RoomService/ListRooms', '{}', { grant, headers: { origin: 'https://page.example' } });
  assert.deepEqual(
    [page.status, page.headers.get('access-control-allow-origin'), await page.json()],
    [200, 'https://page.example', { rooms: [] }],
  );
});

test('what needs Redis says so', async () => {
  const needs = (what) => `twirp error unknown: ${what} not connected (redis required)`;
  const [egress, ingress, sip] = [EgressClient, IngressClient, SipClient].map((each) => new each(server.http, KEY, SECRET));
  await fails(egress.listEgress(), 500, 'internal', needs('egress'));
  await fails(ingress.listIngress(), 500, 'internal', needs('ingress'));
  await fails(sip.listSipInboundTrunk(), 500, 'internal', needs('sip'));
  await fails(rooms.createRoom({ name: 'x', egress: {} }), 500, 'internal', needs('egress'));
  const connector = new ConnectorClient(server.http, KEY, SECRET);
  await assert.rejects(connector.disconnectWhatsAppCall('x', 'y'), { status: 404 });
});

test('who is banned is sent away and stays out until then', async () => {
  await rooms.createRoom({ name: 'ban', departureTimeout: 60 });
  const grant = { roomAdmin: true, room: 'ban' };
  const revoke = async (body) => (await call('millrace.RevocationService/Revoke', JSON.stringify(body), { grant })).json();
  const until = Math.floor(Date.now() / 1000) + 600;
  const tries = async (sub, over = {}) => {
    const token = forge(claims({ sub, video: { roomJoin: true, room: 'ban' }, ...over }));
    return (await ask(server, `/rtc/validate?access_token=${token}`)).body;
  };
  const revoked = 'invalid token, error: token is revoked';
  const alice = await enter('ban', 'alice');
  const bob = await enter('ban', 'bob', { jti: 't1' });
  assert.deepEqual(await revoke({ room: 'ban', identity: 'alice', until }), { removed: 1 });
  assert.equal((await alice.response('leave')).value.reason, DisconnectReason.PARTICIPANT_REMOVED);
  assert.equal(await tries('alice'), revoked);
  assert.deepEqual(await revoke({ room: 'ban', tokenId: 't1', until: `${until}` }), { removed: 1 });
  assert.equal((await bob.response('leave')).value.reason, DisconnectReason.PARTICIPANT_REMOVED);
  assert.equal(await tries('bob', { jti: 't1' }), revoked);
  assert.equal(await tries('bob', { jti: 't2' }), 'success', 'with another token');
  await revoke({ room: 'ban', identity: 'alice', until: 0 });
  assert.equal(await tries('alice'), 'success', 'lifted');
  const carol = await enter('ban', 'carol');
  const now = Math.floor(Date.now() / 1000);
  await rooms.removeParticipant('ban', 'carol', { revokeTokenTs: BigInt(now + 60) });
  await carol.response('leave');
  assert.equal(await tries('carol'), revoked, 'an older token');
  assert.equal(await tries('carol', { nbf: now + 60 }), 'success', 'a newer one');
  const missing = await call('millrace.RevocationService/Revoke', '{"room":"ban"}', { grant });
  assert.equal(missing.status, 400);
  const everywhere = await call('millrace.RevocationService/Revoke', '{"identity":"alice"}', { grant });
  assert.equal(everywhere.status, 401, 'it is one room\'s administrator');
  await rooms.deleteRoom('ban');
});

test('tokens without an end and with unknown extensions are none', async () => {
  const list = (token) => call('livekit.RoomService/ListRooms', '{}', { headers: { authorization: `Bearer ${token}` } });
  const access = new AccessToken(KEY, SECRET, { ttl: '1m' });
  access.addGrant({ roomList: true });
  assert.equal((await list(await access.toJwt())).status, 200);
  const listing = { roomList: true };
  assert.equal((await list(forge(claims({ exp: undefined, video: listing })))).status, 401);
  const header = { alg: 'HS256', crit: ['x'], x: 1 };
  assert.equal((await list(forge(claims({ video: listing }), { header }))).status, 401);
});
