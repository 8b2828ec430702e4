// Bundles the page into dist/, which is committed and embedded in the server: `npm ci && npm run build`.
// The same sources and lock file give the same bytes; the tests hold the build to it. OUT=folder builds elsewhere.

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const out = process.env.OUT ?? join(here, 'dist');

await mkdir(out, { recursive: true });
await build({
  absWorkingDir: here,
  entryPoints: ['src/app.js'],
  outfile: join(out, 'app.js'),
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  charset: 'utf8',
  legalComments: 'eof',
});
const page = await readFile(join(here, 'src/index.html'), 'utf8');
const style = await readFile(join(here, 'src/style.css'), 'utf8');
await writeFile(join(out, 'index.html'), page.replace('/* style.css */', () => style.trim()));
