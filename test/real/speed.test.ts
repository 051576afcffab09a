/** bench speed on exports of the embedded model, in llama.cpp itself. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { benchSpeed } from '../../lib/bench/speed/run';
import { prune } from '../../lib/prune';
import { CALIBRATION, TINY } from '../cli/run';

const work = mkdtempSync(join(tmpdir(), 'struprune-speed-'));
test.after.always(() => rmSync(work, { recursive: true, force: true }));

const run = process.env.STRUPRUNE_LLAMA ? test.serial : test.serial.skip;

run('a model of half the channels against the whole one', async (t) => {
  t.timeout(10 * 60 * 1000);
  const exported = async (sparsity: number) => {
    const output = join(work, `${sparsity}.gguf`);
    const about = { calibration: CALIBRATION, calibrationTokens: 512, window: 128 };
    await prune(TINY, { output, sparsity, format: 'gguf', allocation: 'uniform', ...about });
    return output;
  };
  const [dense, pruned] = [await exported(0), await exported(0.4)];
  const document = await benchSpeed(dense, pruned, {
    runtime: process.env.STRUPRUNE_LLAMA,
    promptTokens: 128,
    generatedTokens: 16,
    repeats: 3,
  });
  const { speed } = document;
  t.log(JSON.stringify(speed));
  t.true(speed!.dense.promptPerSecond > 0 && speed!.pruned.generationPerSecond > 0);
  t.true(speed!.ratios.promptAllowed > 1.2 && speed!.ratios.generationAllowed > 1.2);
  t.is(speed!.pruned.parameters < speed!.dense.parameters, true);
});
