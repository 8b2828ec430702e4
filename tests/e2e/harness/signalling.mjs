// A signalling client without media, which can also say what no SDK would.
import { request } from 'node:http';
import { once } from 'node:events';
import { createHmac } from 'node:crypto';
import { SignalRequest, SignalResponse } from '@livekit/protocol';
import { KEY, SECRET, until } from './server.mjs';

// Joins over /rtc and waits for the first response. `query` is added to the parameters.
export async function join(server, room, identity, { path = '/rtc', query = '', video = {} } = {}) {
  const token = await server.token(room, identity, { video });
  const client = connect(`${server.url}${path}?access_token=${token}&protocol=16&sdk=go${query}`);
  await client.response('join');
  return client;
}

export function connect(url) {
  const socket = new WebSocket(url);
  socket.binaryType = 'arraybuffer';
  const responses = [];
  let closed;
  socket.addEventListener('message', ({ data }) => {
    const json = typeof data === 'string';
    const response = json ? SignalResponse.fromJsonString(data) : SignalResponse.fromBinary(new Uint8Array(data));
    responses.push({ case: response.message.case, value: response.message.value, json });
  });
  socket.addEventListener('close', ({ code, reason }) => (closed = { code, reason }));
  socket.addEventListener('error', () => {});
  return {
    socket,
    responses,
    send(message) {
      socket.send(new SignalRequest({ message }).toBinary());
    },
    // The next response of a kind (that suits), at once if it is there already; it is taken out.
    response: (kind, suits = () => true) =>
      until(`a response of kind ${kind}; there were ${responses.map((each) => each.case)}`, 10_000, () => {
        const index = responses.findIndex((each) => each.case === kind && suits(each.value));
        if (index >= 0) return responses.splice(index, 1)[0];
        if (closed) throw new Error(`closed with ${closed.code} ${closed.reason} before ${kind}`);
        return undefined;
      }),
    closed: () => until('the connection is closed', 10_000, () => closed),
    isOpen: () => closed === undefined && socket.readyState === WebSocket.OPEN,
    // Answers come only from a room that is alive.
    async ping() {
      const timestamp = BigInt(Date.now());
      this.send({ case: 'pingReq', value: { timestamp, rtt: 0n } });
      await this.response('pongResp', (pong) => pong.lastPingTimestamp === timestamp);
    },
    async leave() {
      socket.close();
      await this.closed();
    },
  };
}

// One request as it is written here: no normalising of the path, and an upgrade if asked for.
export async function ask(server, path, { method = 'GET', headers = {}, websocket = false } = {}) {
  const sent = request({
    host: '127.0.0.1', port: server.port, path, method, agent: false,
    headers: websocket ? { ...UPGRADE, ...headers } : headers,
  });
  sent.end();
  const answered = once(sent, 'response').then(([response]) => response);
  const upgraded = once(sent, 'upgrade').then(([response, socket]) => {
    socket.destroy();
    return response;
  });
  const failed = once(sent, 'close').then(() => Promise.reject(new Error(`${method} ${path}: no answer`)));
  [answered, upgraded, failed].forEach((each) => each.catch(() => {}));
  const response = await Promise.race([answered, upgraded, failed]);
  let body = '';
  if (response.statusCode !== 101) for await (const chunk of response) body += chunk;
  return { status: response.statusCode, headers: response.headers, body };
}

// A JSON Web Token with any header and claims, signed or not.
export function forge(claims, { header = { alg: 'HS256', typ: 'JWT' }, secret = SECRET, hash = 'sha256' } = {}) {
  const part = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
  const message = `${part(header)}.${part(claims)}`;
  return `${message}.${createHmac(hash, secret).update(message).digest('base64url')}`;
}

// Claims that are fine; what a test wants otherwise goes over them.
export function claims(others = {}) {
  const now = Math.floor(Date.now() / 1000);
  return { iss: KEY, sub: 'alice', nbf: now - 10, exp: now + 600, video: { roomJoin: true, room: 'r' }, ...others };
}

// An offer of data channels alone, as a client makes it whose ICE ufrag is `abcd`.
export const DATA_OFFER = [
  'v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 't=0 0', 'a=group:BUNDLE 0',
  'm=application 9 UDP/DTLS/SCTP webrtc-datachannel', 'c=IN IP4 0.0.0.0', 'a=ice-ufrag:abcd',
  'a=ice-pwd:abcdefghijklmnopqrstuvwx', `a=fingerprint:sha-256 ${Array.from({ length: 32 }, () => 'AB').join(':')}`,
  'a=setup:actpass', 'a=mid:0', 'a=sctp-port:5000', '',
].join('\r\n');

const UPGRADE = {
  connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
};
