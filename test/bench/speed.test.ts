/** What bench speed refuses; test/real/speed.test.ts runs it. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { benchSpeed } from '../../lib/bench/speed/run';
import { findRuntime } from '../../lib/bench/speed/runtime';
import { StruPruneError } from '../../lib/errors';
import { prune } from '../../lib/prune';
import { CALIBRATION, workspace } from '../e2e/models';

const work = workspace();
test.after.always(() => work.remove());

/** A folder that looks like the runtime, as far as it is looked at. */
function fakeRuntime(version = '3.0.0'): string {
  const folder = work.path('runtime');
  mkdirSync(join(folder, 'node_modules/node-llama-cpp/dist'), { recursive: true });
  writeFileSync(join(folder, 'node_modules/node-llama-cpp/dist/index.js'), '');
  writeFileSync(
    join(folder, 'node_modules/node-llama-cpp/package.json'),
    JSON.stringify({ name: 'node-llama-cpp', version }),
  );
  return folder;
}

test('the runtime is found where it is said to be, and its absence is explained', (t) => {
  t.is(findRuntime(fakeRuntime('3.9.9')).name, 'node-llama-cpp 3.9.9');
  const error = t.throws(() => findRuntime(work.emptyFolder()), { instanceOf: StruPruneError });
  t.is(error.code, 'ERR_NOT_FOUND');
  t.regex(error.message, /npm install node-llama-cpp@3/);
});

test('folders, and files of other dtypes, are refused before anything runs', async (t) => {
  const model = work.model('llama2');
  const runtime = fakeRuntime();
  const gguf = async (dtype: 'f16' | 'f32') => {
    const output = work.path('model.gguf');
    const about = { calibration: CALIBRATION, calibrationTokens: 48, window: 48, threads: 1 };
    const rule = { sparsity: 0, allocation: 'uniform', format: 'gguf' } as const;
    await prune(model, { output, dtype, ...about, ...rule });
    return output;
  };
  const [half, full] = [await gguf('f16'), await gguf('f32')];
  await t.throwsAsync(benchSpeed(model, half, { runtime }), {
    instanceOf: StruPruneError,
    message: /not a GGUF file.*`struprune-native export MODEL -o dense\.gguf --dtype f16`/,
  });
  await t.throwsAsync(benchSpeed(half, full, { runtime }), {
    instanceOf: StruPruneError,
    message: /F16.*F32.*same dtype/,
  });
});
