// A TCP proxy between client and server, so that a test can cut the signalling connection like a network does.
import { createServer, connect } from 'node:net';
import { once } from 'node:events';

export async function startProxy(port) {
  const pairs = new Set();
  let refusing = false;
  const listener = createServer((client) => {
    if (refusing) {
      client.destroy();
      return;
    }
    const server = connect(port, '127.0.0.1');
    const pair = [client, server];
    pairs.add(pair);
    for (const socket of pair) {
      socket.on('error', () => {});
      socket.on('close', () => {
        pairs.delete(pair);
        pair.forEach((each) => each.destroy());
      });
    }
    client.pipe(server);
    server.pipe(client);
  }).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  return {
    url: `ws://127.0.0.1:${listener.address().port}`,
    cut() {
      const count = pairs.size;
      for (const pair of pairs) pair.forEach((socket) => socket.destroy());
      return count;
    },
    refuse(value) {
      refusing = value;
    },
    async stop() {
      this.cut();
      listener.close();
    },
  };
}
