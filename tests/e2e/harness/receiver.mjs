// A backend that is told what happens in rooms: every event is verified by LiveKit's own receiver before it counts.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { WebhookReceiver } from 'livekit-server-sdk';
import { KEY, SECRET, until } from './server.mjs';

export async function startReceiver() {
  const verifier = new WebhookReceiver(KEY, SECRET);
  const received = [];
  const refused = [];
  let away = false;
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    if (away) {
      refused.push(body);
      return response.writeHead(503).end();
    }
    try {
      const event = await verifier.receive(body, request.headers.authorization);
      received.push({ event, path: request.url, type: request.headers['content-type'], body });
      response.writeHead(200).end();
    } catch (error) {
      received.push({ error });
      response.writeHead(401).end();
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  // What is delivered twice counts once, where it came first.
  const events = () => {
    for (const { error } of received) if (error) throw error;
    return [...new Map(received.map(({ event }) => [event.id, event]).reverse()).values()].reverse();
  };
  return {
    port,
    url: `http://127.0.0.1:${port}/hook`,
    received,
    refused,
    setAway: (value) => (away = value),
    events,
    // `event identity` of a room, in order.
    of: (room) =>
      events()
        .filter((event) => event.room.name === room)
        .map((event) => [event.event, event.participant?.identity].filter(Boolean).join(' ')),
    until: (what, check) => until(`${what}; there came ${received.map((each) => each.body)}`, 30_000, check),
    stop() {
      server.closeAllConnections();
      server.close();
    },
  };
}
