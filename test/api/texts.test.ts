/** Texts and token ids in the place of a file. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { evaluate } from '../../lib/evaluate';
import type { PruneOptions } from '../../lib/options';
import { plan } from '../../lib/plan';
import { prune } from '../../lib/prune';
import { pruneGraph } from '../../lib/prune-graph';
import { tokenize } from '../../lib/tokenizer';
import { hashesOf } from '../e2e/files';
import { CALIBRATION, EVALUATION, workspace } from '../e2e/models';

const work = workspace();
test.after.always(() => work.remove());
const MODEL = work.model('llama2');
const WINDOW = 48;

/** Weights of a prune that is calibrated and measured so; the card names files. */
async function weightsOf(texts: Pick<PruneOptions, 'calibration' | 'eval'>) {
  const output = join(work.emptyFolder(), 'out');
  const result = await prune(MODEL, {
    ...texts,
    output,
    calibrationTokens: 20 * WINDOW,
    evalTokens: 4 * WINDOW,
    tuneTokens: 4 * WINDOW,
    surveyTokens: 10 * WINDOW,
    window: WINDOW,
    sparsity: 0.2,
    threads: 1,
  });
  const card = readFileSync(join(output, 'README.md'), 'utf8');
  const { 'model.safetensors': weights } = hashesOf(output);
  return { weights, card, result };
}

test('token ids are what the file of their text is', async (t) => {
  const source = { kind: 'folder', folder: MODEL } as const;
  const [ids, measured] = await Promise.all(
    [CALIBRATION, EVALUATION].map((path) => tokenize(source, path)),
  );
  const file = await weightsOf({ calibration: CALIBRATION, eval: EVALUATION });
  const given = await weightsOf({ calibration: ids!, eval: [...measured!] });
  t.is(given.weights, file.weights);
  t.is(given.result.perplexityAfter, file.result.perplexityAfter);
  t.is(given.result.settings.calibration, null);
  t.regex(given.card, /--calibration TEXT/);
  const asked = { window: WINDOW, maxTokens: 4 * WINDOW, threads: 1, measureGemm: false };
  const [byFile, byIds] = [
    await evaluate(MODEL, { ...asked, text: EVALUATION }),
    await evaluate(MODEL, { ...asked, text: measured! }),
  ];
  t.is(byIds.meanNll, byFile.meanNll);
});

test('texts are what a JSONL file of them is', async (t) => {
  const texts = readFileSync(CALIBRATION, 'utf8').slice(0, 4000).split('\n\n').filter(Boolean);
  const path = work.path('texts.jsonl');
  writeFileSync(path, texts.map((text) => JSON.stringify({ text })).join('\n'));
  const [file, given] = [
    await weightsOf({ calibration: path }),
    await weightsOf({ calibration: texts }),
  ];
  t.is(given.weights, file.weights);
});

test('what is no text, and too little of one, is refused', async (t) => {
  const options = { output: join(work.emptyFolder(), 'out'), sparsity: 0.2, window: WINDOW };
  const refused = (calibration: unknown, code: string, message: RegExp) =>
    t.throwsAsync(prune(MODEL, { ...options, calibration: calibration as string }), {
      code,
      message,
    });
  await refused(
    [],
    'ERR_ARGUMENT',
    /option calibration is .*a path, a list of texts, or token ids/,
  );
  await refused([1, 'two'], 'ERR_ARGUMENT', /option calibration is/);
  await refused(['short'], 'ERR_TEXT', /the text has \d+ tokens, one window needs 48/);
  await refused(
    new Int32Array(500).fill(256),
    'ERR_TEXT',
    /256 is no token id of a vocabulary of 256/,
  );
  await refused(new Int32Array(500).fill(-1), 'ERR_TEXT', /-1 is no token id/);
  await t.throwsAsync(
    pruneGraph('model.onnx', { output: 'o.onnx', sparsity: 0.3, calibration: ['a'] }),
    {
      code: 'ERR_ARGUMENT',
      message: /a graph is calibrated and measured on files, and not on 1 text/,
    },
  );
  t.true(
    (await plan(MODEL, { sparsity: 0.2, calibration: ['a'], eval: ['b'.repeat(500)] })).memory > 0,
  );
});
