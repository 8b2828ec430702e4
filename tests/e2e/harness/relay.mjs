// A UDP relay between clients and the server that loses datagrams by a seeded sequence, in both directions alike.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';

// Clients that reach it on `port` reach the server on `serverPort`, each from an address of its own.
export async function startRelay(serverPort, seed) {
  const random = { up: generator(seed), down: generator(seed + 1) };
  const counts = { up: { passed: 0, lost: 0 }, down: { passed: 0, lost: 0 } };
  const upstreams = new Map();
  let loss = 0;

  // Every datagram draws, so that a direction's fate doesn't depend on when the loss began.
  const passes = (direction) => {
    const isLost = random[direction]() < loss;
    counts[direction][isLost ? 'lost' : 'passed'] += 1;
    return !isLost;
  };
  const front = createSocket('udp4');
  front.on('message', (datagram, { address, port }) => {
    const key = `${address}:${port}`;
    if (!upstreams.has(key)) {
      if (upstreams.size >= CLIENTS_MAX) return;
      const upstream = createSocket('udp4').bind(0, '127.0.0.1');
      upstream.on('message', (answer) => {
        if (passes('down')) front.send(answer, port, address);
      });
      upstream.on('error', () => {});
      upstreams.set(key, upstream);
    }
    if (passes('up')) upstreams.get(key).send(datagram, serverPort, '127.0.0.1');
  });
  front.on('error', () => {});
  front.bind(0, '127.0.0.1');
  await once(front, 'listening');
  return {
    serverPort,
    port: front.address().port,
    // From now on this share is lost of everything that passes: media and its feedback, STUN, DTLS.
    lose(share) {
      loss = share;
    },
    counts: () => structuredClone(counts),
    stop() {
      for (const socket of [front, ...upstreams.values()]) socket.close();
    },
  };
}

// Numbers from 0 to 1 (Mulberry32).
function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const CLIENTS_MAX = 64;
