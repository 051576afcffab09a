import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import test from 'ava';

const ROOT = resolve(__dirname, '..');
execFileSync(process.execPath, [join(ROOT, 'scripts', 'compile.js')]);

test('without its package it says so instead of looking for ever', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'bundled-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  cpSync(join(ROOT, 'dist', 'lib'), folder, { recursive: true });
  const code =
    "try { require('./package-root.js').packageRoot() } catch (error) { console.log(error.code, error.message) }";
  const said = execFileSync(process.execPath, ['-e', code], {
    cwd: folder,
    encoding: 'utf8',
    timeout: 10_000,
  });
  t.regex(said, /^ERR_UNSUPPORTED no package\.json lies above .*bundled-/);
});
