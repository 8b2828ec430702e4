// A sound file that speaks: harmonics of a voice, in syllables, so that no echo or noise suppression takes it away.
import { writeFile } from 'node:fs/promises';

const RATE = 48_000;
const SECONDS = 6;
const PITCH = 140;

export async function writeSpeech(file) {
  const samples = new Int16Array(RATE * SECONDS);
  for (let i = 0; i < samples.length; i += 1) {
    const time = i / RATE;
    // Four syllables a second, with a pause after each phrase.
    const phrase = time % 3 < 2.6 ? 1 : 0;
    const syllable = 0.35 + 0.65 * Math.max(0, Math.sin(2 * Math.PI * 4 * time)) ** 0.5;
    const pitch = PITCH * (1 + 0.06 * Math.sin(2 * Math.PI * 0.7 * time));
    let value = 0;
    for (let harmonic = 1; harmonic <= 20; harmonic += 1) {
      value += Math.sin(2 * Math.PI * harmonic * pitch * time + harmonic) / harmonic ** 0.8;
    }
    value += (Math.random() - 0.5) * 0.4;
    samples[i] = Math.max(-1, Math.min(1, value * 0.22 * syllable * phrase)) * 30_000;
  }
  const header = Buffer.alloc(44);
  header.write('RIFF', 0);
  header.writeUInt32LE(36 + samples.byteLength, 4);
  header.write('WAVEfmt ', 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(RATE, 24);
  header.writeUInt32LE(RATE * 2, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write('data', 36);
  header.writeUInt32LE(samples.byteLength, 40);
  await writeFile(file, Buffer.concat([header, Buffer.from(samples.buffer)]));
}
