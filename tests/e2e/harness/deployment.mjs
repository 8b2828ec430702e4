// A server without development mode whose ports can be chosen, so that the next one can take its place.
import path from 'node:path';
import { mediaCounters } from './counters.mjs';
import { children, freePort, launchListening } from './process.mjs';
import { KEY, SECRET } from './server.mjs';
import { claims, forge } from './signalling.mjs';

// `lines` are added to its configuration; `ports` are those of another one.
export async function deploy(directory, lines = [], ports = {}) {
  const port = ports.port ?? (await freePort());
  const udpPort = ports.udpPort ?? (await freePort());
  const config = [
    `port: ${port}`, 'bind_addresses: ["127.0.0.1"]', `runtime_dir: ${directory}`,
    `rtc: { udp_port: ${udpPort}, node_ip: 127.0.0.1, enable_loopback_candidate: true }`, ...lines,
  ].join('\n');
  const launched = await launchListening(['--config-body', config, '--keys', `${KEY}: ${SECRET}`]);
  return {
    ...launched,
    port,
    udpPort,
    url: `ws://127.0.0.1:${port}`,
    // The pid of the media plane that it started, if it did.
    media: () => children(launched.pid)[0],
    mediaCounters: () => mediaCounters(path.join(directory, `media-${port}.sock`)),
    token: async (room, identity) => forge(claims({ sub: identity, video: { roomJoin: true, room } })),
  };
}
