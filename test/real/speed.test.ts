/** bench speed and bench latency on the embedded model, in llama.cpp itself. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { benchLatency } from '../../lib/bench/latency/run';
import { benchSpeed } from '../../lib/bench/speed/run';
import { prune } from '../../lib/prune';
import { CALIBRATION, TINY } from '../cli/run';

const work = mkdtempSync(join(tmpdir(), 'struprune-speed-'));
test.after.always(() => rmSync(work, { recursive: true, force: true }));

const run = process.env.STRUPRUNE_LLAMA ? test.serial : test.serial.skip;

run('a model of half the channels against the whole one', async (t) => {
  t.timeout(10 * 60 * 1000);
  const pruned = join(work, 'pruned.gguf');
  const about = { calibration: CALIBRATION, calibrationTokens: 512, window: 128 };
  await prune(TINY, { output: pruned, sparsity: 0.4, allocation: 'uniform', ...about });
  const document = await benchSpeed(TINY, pruned, {
    runtime: process.env.STRUPRUNE_LLAMA,
    promptTokens: 128,
    generatedTokens: 16,
    repeats: 3,
  });
  const { speed } = document;
  t.log(JSON.stringify(speed));
  const [llama, ours] = speed!.runs;
  t.regex(llama!.runtime, /^node-llama-cpp 3/);
  for (const pace of [llama!.prompt, llama!.generation!, ours!.prompt]) {
    t.true(pace.dense.least > 0 && pace.allowed > 1.2);
    t.true(pace.ratio.least <= pace.ratio.median && pace.ratio.median <= pace.ratio.most);
  }
  t.true(speed!.pruned.parameters < speed!.dense.parameters);
});

run('widths of the model, each beside the whole one', async (t) => {
  t.timeout(10 * 60 * 1000);
  const { latency } = await benchLatency(TINY, {
    runtime: process.env.STRUPRUNE_LLAMA,
    dtype: 'q8_0',
    promptTokens: 128,
    generatedTokens: 16,
    repeats: 2,
  });
  t.log(JSON.stringify(latency));
  const { runtime, dtype, units, dense, rows } = latency!;
  t.regex(runtime, /^node-llama-cpp 3/);
  t.is(dtype, 'q8_0');
  t.deepEqual(
    rows.filter(({ site }) => site === 'attention').map((row) => row.units),
    Array.from({ length: units.attention! - 1 }, (_, i) => units.attention! - 1 - i),
  );
  for (const { prompt, generation } of [dense, ...rows]) t.true(prompt > 0 && generation! > 0);
});
