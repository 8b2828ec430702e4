// Measures how Chromium spaces and sizes what it sends: a 720p camera as VP8 simulcast of three layers, L1T3, through the
// real server on loopback. Needs root, for the kernel's times of sending. Writes what the load generator draws from, and
// the histograms in full to benches/results/.
//   node measure/spacing.mjs [SECONDS]
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, loadavg, release, tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { startBrowser } from '../harness/browser.mjs';
import { sleep, startServer, until } from '../harness/server.mjs';
import { histogram, spacing, streams } from './histogram.mjs';

const root = path.resolve(import.meta.dirname, '../../..');
const run = promisify(execFile);
const seconds = Number(process.argv[2] ?? 60);

async function main() {
  const directory = await mkdtemp(path.join(tmpdir(), 'millrace-spacing-'));
  let browser;
  let server;
  try {
    const film = path.join(directory, 'film.y4m');
    await writeFilm(film);
    server = await startServer();
    browser = await startBrowser([`--use-file-for-fake-video-capture=${film}`]);
    const page = await browser.page('current');
    const token = await server.token('spacing', 'publisher');
    await page.evaluate(([url, token]) => window.call.join(url, token), [server.url, token]);
    await page.evaluate((camera) => window.room.localParticipant.setCameraEnabled(true, camera), CAMERA);
    const outbound = () => page.evaluate(() => window.call.statistics()).then((statistics) => statistics.outbound);
    await until('three layers', 60_000, async () => (await outbound()).filter((layer) => layer.arrived).length === 3);
    // Until Chromium's estimate of the bandwidth has grown to what the layers want.
    await sleep(SETTLING_MILLIS);
    const before = await outbound();
    const script = path.join(import.meta.dirname, 'capture.py');
    const { stdout } = await run('python3', [script, server.udpPort, seconds], { maxBuffer: 1 << 28 });
    const layers = await outbound();
    const version = await browser.context.browser()?.version();
    const packets = streams(stdout, new Map(layers.map(({ ssrc, rid }) => [ssrc, rid])));
    const how = header({ version, before, layers });
    const day = new Date().toISOString().slice(0, 10);
    await writeFile(path.join(root, 'benches/load/spacing.tsv'), how + SPACING + spacing(packets));
    await writeFile(path.join(root, `benches/results/${day}-send-spacing.tsv`), how + HISTOGRAM + histogram(packets));
  } finally {
    await browser?.stop();
    await server?.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

// Moves and has detail, as a camera's picture does: else the encoder makes a packet of a frame.
async function writeFilm(file) {
  const source = `mandelbrot=size=1280x720:rate=${CAMERA.resolution.frameRate}:start_scale=0.5:end_pts=400,noise=alls=6:allf=t`;
  const options = ['-t', '6', '-pix_fmt', 'yuv420p', '-y', file];
  await run('ffmpeg', ['-loglevel', 'error', '-f', 'lavfi', '-i', source, ...options]);
}

function header({ version, before, layers }) {
  const rates = [...layers].sort((a, b) => a.bytesSent - b.bytesSent).map((layer) => {
    const first = before.find(({ ssrc }) => ssrc === layer.ssrc);
    const frames = (layer.framesEncoded - first.framesEncoded) / seconds;
    const kilobits = ((layer.bytesSent - first.bytesSent) * 8) / seconds / 1000;
    return `${layer.rid}: ${layer.scalabilityMode}, ${frames.toFixed(1)} frames/s, ${kilobits.toFixed(0)} kbit/s`;
  });
  return [
    `# How Chromium ${version ?? ''} sends a 1280x720 camera as VP8 simulcast (q, h, f: quarter, half, full size).`,
    `# Made by tests/e2e/measure/spacing.mjs: ${seconds} s on loopback, the kernel's times of sending, in the middle of a call.`,
    `# ${rates.join('; ')}`,
    `# ${cpus()[0].model}, ${cpus().length} cores, load average ${loadavg()[0].toFixed(1)}, Linux ${release().split('-')[0]}`,
    '',
  ].join('\n');
}

const SPACING = `# burst, packets, weight: packets of one frame with less than 50 us from each to the next.
# pause, microseconds, weight: between two bursts of one frame.
`;
const HISTOGRAM = `# Columns: layer (q, h, f, or all: what one publisher sends together), what, from, to (inclusive), count.
# packets_per_frame; frame_gap_us: from the first packet of a frame to that of the next; gap_within_frame_us: between
# packets of a frame; length: bytes of the UDP payload; length_spread: the longest packet of a frame less its shortest,
# runs_of_equal_length: how many there are in a frame, ends_longer: its last packet less its first; these three of frames
# of two packets and more. For all layers together: gap_us between packets, and burst_packets: packets with less than
# 100 us between them.
`;
const CAMERA = { resolution: { width: 1280, height: 720, frameRate: 30 } };
const SETTLING_MILLIS = 20_000;

await main();
