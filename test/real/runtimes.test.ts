/** One addon in other JavaScript engines: Node 22 and Bun (JavaScriptCore) load it and write the bytes that this Node writes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { build, runProgram } from '../embed/programs';

const folder = mkdtempSync(join(tmpdir(), 'struprune-runtimes-'));
test.before(build);
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

const RUNTIMES = { node22: process.env.STRUPRUNE_NODE22, bun: process.env.STRUPRUNE_BUN };

test('the embedded model pruned by every allocation, in every engine: the same bytes', async (t) => {
  const own = await runProgram('hashes.js', [join(folder, 'own')]);
  t.is(own.code, 0, own.stderr);
  const expected = JSON.parse(own.stdout);
  t.true(Object.keys(expected).length > 8);
  for (const [name, node] of Object.entries(RUNTIMES)) {
    if (!node) throw new Error(`${name}: npm run test:real sets its path`);
    const other = await runProgram('hashes.js', [join(folder, name)], { node });
    t.is(other.code, 0, `${name}: ${other.stderr}`);
    t.deepEqual(JSON.parse(other.stdout), expected, name);
  }
});
