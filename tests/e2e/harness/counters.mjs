// Reads a media plane's counters over its gRPC socket. As a program: prints those of the socket it is given, as JSON.
import http2 from 'node:http2';
import net from 'node:net';

// All workers' counters summed by name, and those of the process.
export async function mediaCounters(socket) {
  const session = http2.connect('http://media', { createConnection: () => net.connect(socket) });
  try {
    return parse(await call(session, '/millrace.media.v1.MediaPlane/Counters'));
  } finally {
    session.destroy();
  }
}

function call(session, path) {
  return new Promise((resolve, reject) => {
    session.on('error', reject);
    const request = session.request({
      ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers',
    });
    const chunks = [];
    request.setTimeout(5_000, () => reject(new Error('the media plane does not answer')));
    request.on('error', reject);
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => resolve(Buffer.concat(chunks).subarray(PREFIX_LEN)));
    // An empty message: not compressed, of length 0.
    request.end(Buffer.alloc(PREFIX_LEN));
  });
}

// CountersResponse: workers = 1 { counters = 2 }, process = 2; Counter: name = 1, value = 2.
function parse(message) {
  const totals = {};
  const add = (counter) => {
    let name = '';
    let value = 0;
    for (const [field, content] of fields(counter)) {
      if (field === 1) name = content.toString();
      if (field === 2) value = content;
    }
    totals[name] = (totals[name] ?? 0) + value;
  };
  for (const [field, content] of fields(message)) {
    if (field === 2) add(content);
    if (field === 1) for (const [inner, counter] of fields(content)) if (inner === 2) add(counter);
  }
  return totals;
}

function* fields(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = bytes[at++];
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const value = varint();
    if ((tag & 7) === 2) {
      yield [tag >> 3, bytes.subarray(at, at + value)];
      at += value;
    } else {
      yield [tag >> 3, value];
    }
  }
}

const PREFIX_LEN = 5;

if (process.argv[1] === import.meta.filename) {
  console.log(JSON.stringify(await mediaCounters(process.argv[2])));
}
