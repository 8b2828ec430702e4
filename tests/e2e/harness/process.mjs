// Runs `millrace` as an operator does, and looks at the processes and sockets that come of it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createSocket } from 'node:dgram';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { until } from './server.mjs';

const root = path.resolve(import.meta.dirname, '../../..');
const binaries = process.env.MILLRACE_BIN ?? path.join(root, 'target/release');

// What the tests' own surroundings say of keys and configuration is not passed on.
const SURROUNDINGS = ['PATH', 'HOME', 'LANG', 'TMPDIR', 'XDG_RUNTIME_DIR', 'LLVM_PROFILE_FILE', 'RUST_BACKTRACE'];

// Starts a binary; `output()` is everything it said so far.
export function launch(args, { env = {}, name = 'millrace' } = {}) {
  const kept = SURROUNDINGS.filter((key) => key in process.env).map((key) => [key, process.env[key]]);
  const child = spawn(path.join(binaries, name), args, {
    env: { ...Object.fromEntries(kept), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  child.stdout.on('data', (chunk) => (text += chunk));
  child.stderr.on('data', (chunk) => (text += chunk));
  const ended = once(child, 'exit').then(([code, signal]) => ({ code, signal }));
  let end;
  ended.then((how) => (end = how));
  return {
    pid: child.pid,
    output: () => text,
    ended,
    hasEnded: () => end !== undefined,
    signal: (name) => child.kill(name),
    // Its media plane goes with it.
    async stop() {
      const own = end ? [] : children(child.pid);
      for (const [signal, patience] of [['SIGTERM', 300], ['SIGTERM', 5_000], ['SIGKILL', 5_000]]) {
        if (end) break;
        child.kill(signal);
        await Promise.race([ended, pause(patience)]);
      }
      own.filter(isAlive).forEach((pid) => process.kill(pid, 'SIGKILL'));
    },
  };
}

// Starts `millrace` and waits until it listens.
export async function launchListening(args, options) {
  const server = launch(args, options);
  try {
    await until('it listens', 20_000, () => {
      if (server.hasEnded()) throw new Error(`it ended:\n${server.output()}`);
      return /[ "]listening on /.test(server.output());
    });
  } catch (error) {
    await server.stop();
    throw error;
  }
  return server;
}

// Runs it to its end, which has to come soon.
export async function run(args, options) {
  const launched = launch(args, options);
  const end = await Promise.race([launched.ended, pause(10_000)]);
  await launched.stop();
  if (!end) throw new Error(`it did not end:\n${launched.output()}`);
  return { code: end.code, output: launched.output() };
}

// The processes that this one started, from whichever thread.
export function children(pid) {
  try {
    const tasks = readdirSync(`/proc/${pid}/task`);
    const lists = tasks.map((task) => readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8'));
    return lists.join(' ').split(/\s+/).filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

// A zombie has ended, whoever has yet to hear of it.
export function isAlive(pid) {
  if (!existsSync(`/proc/${pid}/stat`)) return false;
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3) !== 'Z';
}

// The addresses that a process listens on: `tcp` or `udp`, as `address:port`.
export function listening(pid, protocol) {
  const inodes = new Set();
  for (const descriptor of readdirSync(`/proc/${pid}/fd`)) {
    const inode = /^socket:\[(\d+)\]$/.exec(target(`/proc/${pid}/fd/${descriptor}`))?.[1];
    if (inode) inodes.add(inode);
  }
  const found = [];
  for (const table of [protocol, `${protocol}6`]) {
    if (!existsSync(`/proc/${pid}/net/${table}`)) continue;
    for (const line of readFileSync(`/proc/${pid}/net/${table}`, 'utf8').split('\n').slice(1)) {
      const fields = line.trim().split(/\s+/);
      if (!inodes.has(fields[9]) || (protocol === 'tcp' && fields[3] !== LISTEN)) continue;
      const [address, port] = fields[1].split(':');
      found.push(`${readable(address)}:${Number.parseInt(port, 16)}`);
    }
  }
  return found.sort();
}

function target(link) {
  try {
    return readlinkSync(link);
  } catch {
    // Closed meanwhile.
    return '';
  }
}

// /proc has addresses as words of the host's byte order, which is little-endian wherever the tests run.
function readable(hex) {
  const words = hex.match(/.{8}/g).map((word) => Buffer.from(word, 'hex').reverse());
  if (words.length === 1) return [...words[0]].join('.');
  const bytes = Buffer.concat(words);
  const zeros = bytes.subarray(0, 15).every((byte) => byte === 0);
  return zeros ? (bytes[15] ? `::${bytes[15]}` : '::') : bytes.toString('hex');
}

// One that is free for TCP and for UDP: some tests want it for the one, some for the other.
export async function freePort() {
  for (;;) {
    const port = await freeTcpPort();
    if (await udpPortIsFree(port)) return port;
  }
}

async function freeTcpPort() {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address();
  listener.close();
  await once(listener, 'close');
  return port;
}

export async function udpPortIsFree(port) {
  const socket = createSocket('udp4');
  const free = new Promise((resolve) => socket.once('listening', () => resolve(true)).once('error', () => resolve(false)));
  socket.bind(port);
  const answer = await free;
  socket.close();
  return answer;
}

// Does not keep the test from ending.
const pause = (millis) => new Promise((resolve) => setTimeout(resolve, millis).unref());

const LISTEN = '0A';
