// From captured packets to histograms of gaps, bursts and sizes, and to what the load generator draws from.

// Packets by layer, in the order of sending; retransmissions and probes, which have sources of their own, only in `all`.
export function streams(capture, layerOf) {
  const byLayer = new Map([...layerOf.values()].sort((a, b) => ORDER.indexOf(a) - ORDER.indexOf(b)).map((layer) => [layer, []]));
  const all = [];
  for (const line of capture.split('\n').filter(Boolean)) {
    const [at, ssrc, sequence, timestamp, marker, , length] = line.split('\t');
    const packet = { at: BigInt(at), ssrc: Number(ssrc), sequence, timestamp, marker: marker === '1', length: Number(length) };
    all.push(packet);
    byLayer.get(layerOf.get(packet.ssrc))?.push(packet);
  }
  return new Map([['all', all], ...byLayer]);
}

export function histogram(packetsOf) {
  const rows = [];
  for (const [layer, packets] of packetsOf) {
    for (const [what, { values, bin }] of Object.entries(quantities(packets, layer === 'all'))) {
      rows.push(...count(values, bin).map(([from, to, times]) => [layer, what, from, to, times].join('\t')));
    }
  }
  return `${['layer', 'what', 'from', 'to', 'count'].join('\t')}\n${rows.join('\n')}\n`;
}

// How the packets of a frame follow each other, in all layers alike: those with short gaps as one burst.
export function spacing(packetsOf) {
  const frames = [...packetsOf].filter(([layer]) => layer !== 'all').flatMap(([, packets]) => framesOf(packets));
  const bursts = frames.map((frame) => split(frame, (previous, packet) => microseconds(previous, packet) >= TOGETHER_US));
  const pauses = bursts.flatMap((parts) => parts.slice(1).map((part, index) => microseconds(parts[index].at(-1), part[0])));
  const middle = ([from, to, times]) => ['pause', Math.round((from + to) / 2), times];
  const rows = [
    ...count(bursts.flat().map((burst) => burst.length), exactBin).map(([packets, , times]) => ['burst', packets, times]),
    ...count(pauses, timeBin).map(middle),
  ];
  return `${rows.map((row) => row.join('\t')).join('\n')}\n`;
}

function quantities(packets, mixed) {
  const gaps = (row) => row.slice(1).map((packet, index) => microseconds(row[index], packet));
  const lengths = (row) => row.map(({ length }) => length);
  if (mixed) {
    const bursts = split(packets, (previous, packet) => microseconds(previous, packet) >= BURST_GAP_US);
    return {
      gap_us: { values: gaps(packets), bin: timeBin },
      burst_packets: { values: bursts.map((burst) => burst.length), bin: exactBin },
    };
  }
  const frames = framesOf(packets);
  const long = frames.filter((frame) => frame.length > 1);
  const equalRuns = (frame) => split(frame, (previous, packet) => previous.length !== packet.length).length;
  return {
    packets_per_frame: { values: frames.map((frame) => frame.length), bin: exactBin },
    frame_gap_us: { values: gaps(frames.map(([first]) => first)), bin: timeBin },
    gap_within_frame_us: { values: long.flatMap(gaps), bin: timeBin },
    length: { values: lengths(packets), bin: lengthBin },
    length_spread: { values: long.map((frame) => spread(lengths(frame))), bin: exactBin },
    runs_of_equal_length: { values: long.map(equalRuns), bin: exactBin },
    ends_longer: { values: long.map((frame) => frame.at(-1).length - frame[0].length), bin: exactBin },
  };
}

// But for the first and the last, which may have been cut.
const framesOf = (packets) => split(packets, (previous, packet) => previous.timestamp !== packet.timestamp).slice(1, -1);

function split(packets, isNew) {
  const parts = [];
  for (const [index, packet] of packets.entries()) {
    if (index === 0 || isNew(packets[index - 1], packet)) parts.push([]);
    parts.at(-1).push(packet);
  }
  return parts;
}

function count(values, bin) {
  const counts = new Map();
  for (const value of values) {
    const [from, to] = bin(value);
    const row = counts.get(from) ?? [from, to, 0];
    row[2] += 1;
    counts.set(from, row);
  }
  return [...counts.values()].sort((a, b) => a[0] - b[0]);
}

const spread = (values) => Math.max(...values) - Math.min(...values);
const microseconds = (from, to) => Number((to.at - from.at) / 1000n);
const exactBin = (value) => [value, value];
const lengthBin = (value) => [Math.floor(value / 50) * 50, Math.floor(value / 50) * 50 + 49];

// Four bins to each doubling.
function timeBin(value) {
  const clamped = Math.max(value, 0);
  if (clamped < 8) return [clamped, clamped];
  const width = 2 ** (Math.floor(Math.log2(clamped)) - 2);
  const from = Math.floor(clamped / width) * width;
  return [from, from + width - 1];
}

const BURST_GAP_US = 100;
const TOGETHER_US = 50; // little more than a system call and another packet's encryption
const ORDER = ['q', 'h', 'f'];
