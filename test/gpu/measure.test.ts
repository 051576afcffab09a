/** npm run measure -- gpu on the emulated GPU, so that a machine that has a real one for an hour has no bug to find in it. */
import { execFile } from 'node:child_process';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { emulatedLibrary } from './emulation';
import { fakeDriver } from './fake-driver';

const ROOT = resolve(__dirname, '../..');
const TINY = join(ROOT, 'assets', 'tiny');
const library = emulatedLibrary();

async function measured(t: ExecutionContext, args: string[], more: NodeJS.ProcessEnv = {}) {
  const env = { ...process.env, ...(await fakeDriver(t, {})), ...library, ...more };
  const script = join(ROOT, 'scripts', 'measure', 'gpu.js');
  const { stdout } = await promisify(execFile)(process.execPath, [script, ...args], { env });
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

test('masks: every site of the model, the same but for ties', async (t) => {
  const sites = await measured(t, ['masks', TINY, '512']);
  t.true(sites.length > 1);
  t.is(sites.filter(({ site }) => site === 'ffn').length, sites.length / 2);
  for (const { removed, groups, different, costGap, errorGap, onlyOnCpu } of sites) {
    t.true(removed > 0 && removed < groups);
    t.is(onlyOnCpu.length, different);
    t.true(costGap <= 1e-4 && errorGap <= 1e-4);
  }
});

test('shape: shares of the time', async (t) => {
  const small = {
    hidden_size: 64,
    intermediate_size: 96,
    num_attention_heads: 4,
    num_key_value_heads: 4,
    max_position_embeddings: 128,
  };
  const more = { STRUPRUNE_SHAPE: JSON.stringify(small) };
  const [row] = await measured(t, ['shape', '1', '256'], more);
  t.is(row.blocks, 1);
  const { host, copy, forward, gram, solve } = row.shares;
  t.true(host > 0 && copy > 0 && forward > 0 && gram > 0 && solve > 0);
  t.true(copy + forward + gram + solve < 1);
  t.true(row.calls.runSite > 0);
});
