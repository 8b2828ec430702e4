// WHIP and WHEP without any SDK: a page with an RTCPeerConnection and `fetch` publishes, another one plays.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setStage } from '../harness/stage.mjs';
import { until } from '../harness/server.mjs';

const stage = setStage();

const token = (identity, video = {}) => stage.server.token('studio', identity, { video });
const auth = (ticket) => ({ authorization: `Bearer ${ticket}` });

// A page on which `window.session` comes to be: what a client of either protocol keeps.
async function begin(way, ticket, { simulcast = false } = {}) {
  const page = await stage.browser.context.newPage();
  await page.goto(stage.server.http, { waitUntil: 'domcontentloaded' });
  const answered = await page.evaluate(async ([way, ticket, simulcast]) => {
    const connection = new RTCPeerConnection();
    const played = [];
    window.session = { connection, played };
    if (way === 'whip') {
      const media = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 640, height: 360 } });
      connection.addTransceiver(media.getAudioTracks()[0], { direction: 'sendonly', streams: [media] });
      const encodings = [{ rid: 'q', scaleResolutionDownBy: 2 }, { rid: 'f' }];
      connection.addTransceiver(media.getVideoTracks()[0], {
        direction: 'sendonly', streams: [media], sendEncodings: simulcast ? encodings : undefined,
      });
    } else {
      // Without it Chromium has candidates of the default route only, and the server is on loopback.
      await navigator.mediaDevices.getUserMedia({ audio: true });
      connection.addTransceiver('audio', { direction: 'recvonly' });
      connection.addTransceiver('video', { direction: 'recvonly' });
      connection.ontrack = ({ track }) => {
        const element = document.createElement(track.kind);
        element.autoplay = true;
        element.srcObject = new MediaStream([track]);
        document.body.append(element);
        played.push(track.kind);
      };
    }
    await connection.setLocalDescription();
    const response = await fetch(`/${way}/v1`, {
      method: 'POST',
      headers: { 'content-type': 'application/sdp', authorization: `Bearer ${ticket}` },
      body: connection.localDescription.sdp,
    });
    const text = await response.text();
    const headers = Object.fromEntries(response.headers);
    if (response.status === 201) {
      window.session.location = headers.location;
      window.session.etag = headers.etag;
      await connection.setRemoteDescription({ type: 'answer', sdp: text });
    }
    return { status: response.status, headers, text };
  }, [way, ticket, simulcast]);
  return { page, ...answered };
}

const inbound = (page) =>
  page.evaluate(async () => {
    const reports = [...(await window.session.connection.getStats()).values()];
    const of = (kind) => reports.find((report) => report.type === 'inbound-rtp' && report.kind === kind) ?? {};
    return { frames: of('video').framesDecoded ?? 0, audio: of('audio').packetsReceived ?? 0, energy: of('audio').totalAudioEnergy ?? 0 };
  });

const patch = (location, headers, body = '') =>
  fetch(`${stage.server.http}${location}`, {
    method: 'PATCH', headers: { 'content-type': 'application/trickle-ice-sdpfrag', ...headers }, body,
  });

test('a page publishes by WHIP, another plays by WHEP, an SDK sees a participant', async () => {
  const publisher = await begin('whip', await token('camera'), { simulcast: true });
  assert.equal(publisher.status, 201, publisher.text);
  assert.match(publisher.headers.location, /^\/whip\/v1\/PA_/);
  assert.match(publisher.headers.etag, /^"[A-Za-z0-9+/]+"$/);
  assert.equal(publisher.headers['content-type'], 'application/sdp');

  const watcher = await stage.join('studio', 'watcher');
  await until('the SDK subscribes to both tracks', 30_000, () =>
    watcher.evaluate(() => [...window.room.remoteParticipants.values()]
      .some((one) => one.identity === 'camera' && [...one.trackPublications.values()].filter((track) => track.isSubscribed).length === 2)));

  const player = await begin('whep', await token('player'));
  assert.equal(player.status, 201, player.text);
  await until('the player decodes pictures and sound', 30_000, async () => {
    const { frames, audio, energy } = await inbound(player.page);
    return frames > 10 && audio > 20 && energy > 0;
  });

  const deleted = await fetch(`${stage.server.http}${player.headers.location}`, { method: 'DELETE', headers: auth(await token('player')) });
  assert.equal(deleted.status, 200);
  await until('the player has left', 30_000, () => watcher.evaluate(() => ![...window.room.remoteParticipants.values()].some((one) => one.identity === 'player')));
  const again = await fetch(`${stage.server.http}${player.headers.location}`, { method: 'DELETE', headers: auth(await token('player')) });
  assert.equal(again.status, 404);

  await publisher.page.evaluate(() => window.session.connection.close());
  await until('a publisher that closed its connection is gone', 30_000, () => watcher.evaluate(() => window.room.remoteParticipants.size === 0));
});

test('candidates are taken, and ICE restarts under the same session', async () => {
  const publisher = await begin('whip', await token('restarter'));
  assert.equal(publisher.status, 201, publisher.text);
  const { location, etag } = publisher.headers;
  const mine = auth(await token('restarter'));
  const candidate = 'a=ice-ufrag:abcd\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n';
  for (const [name, headers, body, status] of [
    ['no If-Match', mine, candidate, 428],
    ['another generation', { ...mine, 'if-match': '"other"' }, candidate, 412],
    ['a candidate', { ...mine, 'if-match': etag }, candidate, 204],
    ['a restart without credentials', { ...mine, 'if-match': '*' }, candidate, 400],
    ['no token', { 'if-match': etag }, candidate, 401],
    ['somebody else', { ...auth(await token('thief')), 'if-match': etag }, candidate, 404],
    ['another type', { ...mine, 'if-match': etag, 'content-type': 'text/plain' }, candidate, 415],
  ]) {
    assert.equal((await patch(location, headers, body)).status, status, name);
  }
  const restarted = await publisher.page.evaluate(async ([location, authorization]) => {
    const { connection } = window.session;
    const line = (sdp, name) => sdp.match(new RegExp(`a=${name}:(.*)`))[1].trim();
    const before = connection.remoteDescription.sdp;
    await connection.setLocalDescription(await connection.createOffer({ iceRestart: true }));
    const { sdp } = connection.localDescription;
    const response = await fetch(location, {
      method: 'PATCH',
      headers: { 'content-type': 'application/trickle-ice-sdpfrag', 'if-match': '*', authorization },
      body: `a=ice-ufrag:${line(sdp, 'ice-ufrag')}\r\na=ice-pwd:${line(sdp, 'ice-pwd')}\r\n`,
    });
    const fragment = await response.text();
    if (response.status !== 200) return { status: response.status, fragment };
    const answer = before
      .replaceAll(/a=ice-ufrag:.*/g, `a=ice-ufrag:${line(fragment, 'ice-ufrag')}`)
      .replaceAll(/a=ice-pwd:.*/g, `a=ice-pwd:${line(fragment, 'ice-pwd')}`);
    await connection.setRemoteDescription({ type: 'answer', sdp: answer });
    const sent = async () => {
      const reports = [...(await connection.getStats()).values()];
      return reports.find((report) => report.type === 'remote-inbound-rtp' && report.kind === 'video')?.timestamp ?? 0;
    };
    const seen = await sent();
    for (let second = 0; second < 30 && (await sent()) <= seen; second += 1) await new Promise((done) => setTimeout(done, 1_000));
    return { status: 200, etag: response.headers.get('etag'), state: connection.iceConnectionState, reported: (await sent()) > seen };
  }, [location, mine.authorization]);
  assert.equal(restarted.status, 200, restarted.fragment);
  assert.notEqual(restarted.etag, etag);
  assert.match(restarted.state, /connected|completed/);
  assert.ok(restarted.reported, 'the server reports what it received on the new path');
  assert.equal((await patch(location, { ...mine, 'if-match': etag }, candidate)).status, 412);
  await fetch(`${stage.server.http}${location}`, { method: 'DELETE', headers: mine });
  await publisher.page.close();
});

test('what cannot be a session is refused with its reason', async () => {
  const offer = 'v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n';
  const good = await token('nobody');
  for (const [name, path, headers, body, status, text] of [
    ['no token', '/whip/v1', {}, offer, 401, 'no permissions to access the room'],
    ['no right to publish', '/whip/v1', auth(await token('x', { canPublish: false })), offer, 401, 'no permissions to access the room'],
    ['no right to subscribe', '/whep/v1', auth(await token('x', { canSubscribe: false })), offer, 401, 'no permissions to access the room'],
    ['an empty offer', '/whip/v1', auth(good), '', 400, 'the body is empty'],
    ['no offer', '/whip/v1', auth(good), 'hello', 400, undefined],
    ['an offer that sends nothing', '/whip/v1', auth(good), offer, 400, 'the offer sends nothing'],
    ['another type', '/whip/v1', { ...auth(good), 'content-type': 'text/plain' }, offer, 415, 'content type must be application/sdp'],
    ['too long', '/whip/v1', auth(good), 'x'.repeat(300 * 1024), 413, 'too long a body'],
  ]) {
    const answer = await fetch(`${stage.server.http}${path}`, { method: 'POST', headers: { 'content-type': 'application/sdp', ...headers }, body });
    assert.equal(answer.status, status, name);
    assert.equal(answer.headers.get('content-type'), 'application/sdp', name);
    const { error } = await answer.json();
    if (text) assert.equal(error, text, name);
  }
  assert.equal((await fetch(`${stage.server.http}/whip/v1`)).status, 204);
  assert.equal((await fetch(`${stage.server.http}/whip/v1`, { method: 'PUT', headers: auth(good) })).status, 405);
});

test('a player of an empty room is told to come again', async () => {
  const player = await begin('whep', await stage.server.token('empty', 'early'));
  assert.equal(player.status, 409, player.text);
  assert.equal(player.headers['retry-after'], '2');
  await player.page.close();
});
