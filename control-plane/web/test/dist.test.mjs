// What is committed and embedded is what the sources make.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

const web = path.resolve(import.meta.dirname, '..');

for (const file of ['index.html', 'app.js']) {
  test(`dist/${file} is a fresh build of the sources`, async () => {
    const out = await mkdtemp(path.join(tmpdir(), 'millrace-page-'));
    try {
      await promisify(execFile)(process.execPath, ['build.mjs'], { cwd: web, env: { ...process.env, OUT: out } });
      const [fresh, committed] = await Promise.all([out, path.join(web, 'dist')].map((folder) => readFile(path.join(folder, file), 'utf8')));
      assert.ok(fresh === committed, `${file} differs: run "npm ci && npm run build" in control-plane/web`);
    } finally {
      await rm(out, { recursive: true });
    }
  });
}
