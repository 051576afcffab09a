/** bench speed with a stand-in for llama.cpp that only looks at its files; test/real/speed.test.ts has the real one. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { paceOf } from '../../lib/bench/speed/pace';
import { benchSpeed } from '../../lib/bench/speed/run';
import { findRuntime } from '../../lib/bench/speed/runtime';
import { openGguf } from '../../lib/checkpoint/gguf-model';
import { StruPruneError } from '../../lib/errors';
import { prune } from '../../lib/prune';
import { CALIBRATION, workspace } from '../e2e/models';
import { fakeRuntime } from './fake-runtime';

const work = workspace();
test.after.always(() => work.remove());

const quick = { promptTokens: 24, generatedTokens: 4, repeats: 3, threads: 1 };

/** Of a quarter of its weights. */
async function pruned(
  model: string,
  output: string,
  dtype: 'f16' | 'f32' = 'f16',
): Promise<string> {
  const text = { calibration: CALIBRATION, calibrationTokens: 48, window: 48 };
  await prune(model, { output, dtype, sparsity: 0.25, allocation: 'uniform', threads: 1, ...text });
  return output;
}

test('the runtime is found where it is said to be, and its absence is explained', (t) => {
  t.is(findRuntime(fakeRuntime(work.emptyFolder(), '3.9.9'))!.name, 'node-llama-cpp 3.9.9');
  const error = t.throws(() => findRuntime(work.emptyFolder()), { instanceOf: StruPruneError });
  t.is(error.code, 'ERR_NOT_FOUND');
  // Not every variant for a GPU, and not into a folder whose other packages would lose theirs.
  t.regex(
    error.message,
    /npm install --prefix llama --omit=optional node-llama-cpp@3 @node-llama-cpp\/\S+@3/,
  );
});

test('more than the removed work allows is noise; ratios are of rounds side by side', (t) => {
  // The second round was slow for both.
  const pace = paceOf(
    [
      [2, 8, 2.2],
      [1, 4, 1],
    ],
    100,
    2.5,
  );
  t.deepEqual(pace.ratio, { median: 2, least: 2, most: 2.2 });
  t.deepEqual(pace.dense, { median: 100 / 2.2, least: 12.5, most: 50 });
  t.is(pace.pruned.median, 100);
  t.false(pace.noise);
  t.true(
    paceOf(
      [
        [2, 3],
        [1, 1],
      ],
      100,
      2.4,
    ).noise,
  );
});

test('a dense folder is written in the types of the pruned file, and both go to llama.cpp', async (t) => {
  const model = work.model('llama2');
  const folder = work.emptyFolder();
  const output = await pruned(model, work.path('pruned.gguf'), 'f32');
  const { speed } = await benchSpeed(model, output, { ...quick, runtime: fakeRuntime(folder) });
  const seen = readdirSync(join(folder, 'seen')).sort();
  const [dense, other] = await Promise.all(
    seen.map((name) => openGguf(join(folder, 'seen', name))),
  );
  t.is(seen.length, 2);
  t.is(dense!.blocks[0]!['attention.q']!.dtype, 'F32');
  t.true(dense!.parameters > other!.parameters);
  const [llama, ours] = speed!.runs;
  t.is(llama!.runtime, 'node-llama-cpp 3.0.0');
  t.true(llama!.prompt.allowed > 1.1 && llama!.generation!.allowed > 1.1);
  t.is(ours!.generation, null);
  t.true(ours!.prompt.pruned.least > 0 && ours!.prompt.allowed > 1.1);
  t.deepEqual(speed!.notes, []);
});

test('a folder is timed by our own forward pass alone, and that is said', async (t) => {
  const model = work.model('llama2');
  const output = await pruned(model, work.path('pruned'));
  const { speed, settings } = await benchSpeed(model, output, {
    ...quick,
    promptTokens: undefined,
    runtime: fakeRuntime(work.emptyFolder()),
  });
  t.is(speed!.runs.length, 1);
  t.regex(speed!.runs[0]!.runtime, /^struprune-native/);
  t.regex(speed!.notes[0]!, /llama\.cpp was left out: it reads GGUF/);
  // What 4 generated ones leave of the positions.
  t.is(settings.promptTokens, 508);
});

test('models that are not of one make, and prompts past the positions, are refused', async (t) => {
  const runtime = fakeRuntime(work.emptyFolder());
  const model = work.model('llama2');
  await t.throwsAsync(benchSpeed(model, work.model('opt-pre'), { ...quick, runtime }), {
    instanceOf: StruPruneError,
    message: /the second model was not made of the first: llama, width/,
  });
  await t.throwsAsync(benchSpeed(model, model, { ...quick, runtime, promptTokens: 5000 }), {
    instanceOf: StruPruneError,
    message: /positions, too few.*promptTokens/,
  });
});
