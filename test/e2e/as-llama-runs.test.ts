/** Models that llama.cpp computes a little otherwise: a GGUF file is the other model, which is the one that was measured. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { evaluate } from '../../lib/evaluate';
import { exportModel } from '../../lib/export-model';
import { plan } from '../../lib/plan';
import { prune } from '../../lib/prune';
import { CALIBRATION_IDS, EVALUATION, workspace } from './models';

const work = workspace();
test.after.always(() => work.remove());

const WINDOW = 48;
const asked = { window: WINDOW, maxTokens: 20 * WINDOW };
const run = { window: WINDOW, calibration: CALIBRATION_IDS, calibrationTokens: 10 * WINDOW };

for (const [name, what, most] of [
  ['gpt-neox', /runs this model with GELU by its tanh approximation, and so does this run$/, 1e-5],
  [
    'gpt-oss-mxfp4',
    /runs this model with the ends of yarn's ramp rounded to whole pairs, and so/,
    0.3,
  ],
] as const) {
  test(`${name}: exported and pruned as llama.cpp runs it`, async (t) => {
    const model = work.model(name);
    const config = JSON.parse(readFileSync(join(model, 'config.json'), 'utf8'));
    // As OpenAI's configurations have it.
    if (config.rope_parameters.rope_type === 'yarn') config.rope_parameters.truncate = false;
    writeFileSync(join(model, 'config.json'), JSON.stringify(config));
    const dense = join(work.emptyFolder(), 'dense.gguf');
    const { notes } = await exportModel(model, { output: dense, dtype: 'f32' });
    t.is(notes.filter((note) => what.test(note)).length, 1);
    const text = { ...asked, text: EVALUATION, against: model, fullPrecision: true };
    const { perplexity, against } = await evaluate(dense, text);
    t.true(against!.klToDense > 0 && against!.klToDense < most, String(against!.klToDense));

    const output = join(work.emptyFolder(), 'out.gguf');
    const scope = name === 'gpt-oss-mxfp4' ? 'attention' : 'ffn';
    const more = { scope, allocation: 'uniform', sparsity: 0.05, dtype: 'f32' } as const;
    const options = { ...run, ...more, output, eval: EVALUATION, evalTokens: 20 * WINDOW };
    const pruned = await prune(model, { ...options, fullPrecision: true });
    t.is(pruned.notes.filter((note) => what.test(note)).length, 1);
    t.is(pruned.perplexityBefore, perplexity);
    const { expected, actual } = pruned.verification;
    t.true(Math.abs(actual - expected) < 1e-7);
    t.true((await plan(model, options)).notes.some((note) => what.test(note)));

    // Written as they are, and a file's as it is read.
    const folder = join(work.emptyFolder(), 'folder');
    t.false((await exportModel(model, { output: folder })).notes.some((note) => what.test(note)));
    const [before, after] = [await openCheckpoint(model), await openCheckpoint(folder)];
    t.is(after.architecture.activation, before.architecture.activation);
    t.deepEqual(after.architecture.rope, before.architecture.rope);
    const again = join(work.emptyFolder(), 'again.gguf');
    t.false((await exportModel(dense, { output: again })).notes.some((note) => what.test(note)));
  });
}
