/** npm run fetch-data, as far as it can be without the texts. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import test from 'ava';

const SCRIPT = resolve(__dirname, '../../scripts/fetch-data.js');

test('what is missing and what is another file is named with the SHA-256 that it should have', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'struprune-data-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, 'ptb'));
  writeFileSync(join(folder, 'ptb/ptb.test.txt'), 'not that');
  const { status, stdout, stderr } = spawnSync(process.execPath, [SCRIPT, folder], {
    encoding: 'utf8',
  });
  t.is(status, 1);
  t.is(stdout, '');
  t.regex(stderr, /missing: .*wikitext-2\/wiki\.test\.raw, SHA-256 bbf94c53a05a/);
  t.regex(
    stderr,
    /another file \(SHA-256 \w{64}\) in the place of .*ptb\.test\.txt, SHA-256 dd65dff3/,
  );
  t.regex(stderr, /error: 3 of 3 texts are not there/);
});
