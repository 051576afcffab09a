/** What a Node developer and a researcher do in their first hour, by the library; journey.test.ts is the engineer's, by commands. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import {
  benchQuality,
  benchReport,
  EMBEDDED_WINDOW,
  embeddedModel,
  embeddedTexts,
  evaluate,
  generate,
  type MaskFunction,
  plan,
  prune,
  type QualityOptions,
  StruPruneError,
} from '../../lib';
import { scratch } from '../cli/run';

const MODEL = embeddedModel();
const { calibration, evaluation } = embeddedTexts();
const TEXT = {
  calibration,
  calibrationTokens: 2048,
  surveyTokens: 1024,
  window: EMBEDDED_WINDOW,
};

const sha256 = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');

test.serial('a Node developer: plan, progress, abort, resume, errors, use', async (t) => {
  const folder = await scratch(t);
  const options = { ...TEXT, sparsity: 0.3, output: join(folder, 'small') };
  const { seconds, smallestMemory } = await plan(MODEL, options);
  t.true(seconds > 0 && smallestMemory > 0);

  const stop = new AbortController();
  const reason = new Error('the window was closed');
  const stopped = prune(MODEL, {
    ...options,
    signal: stop.signal,
    onProgress: ({ overall }) => {
      if (overall && overall.share > 0.6) stop.abort(reason);
    },
  });
  t.is(await t.throwsAsync(stopped), reason);
  t.false(existsSync(options.output));

  const taken = await t.throwsAsync(prune(MODEL, options), { instanceOf: StruPruneError });
  t.is((taken as StruPruneError).code, 'ERR_OUTPUT');
  t.regex((taken as StruPruneError).mend, /resume: true.*force: true/);

  const shares: number[] = [];
  const result = await prune(MODEL, {
    ...options,
    resume: true,
    onProgress: ({ overall }) => shares.push(overall!.share),
  });
  t.deepEqual(
    shares,
    shares.slice().sort((a, b) => a - b),
  );
  t.is(shares.at(-1), 1);

  const undisturbed = await prune(MODEL, { ...options, output: join(folder, 'other') });
  const weights = ({ output }: { output: string }) => sha256(join(output, 'model.safetensors'));
  t.is(weights(result), weights(undisturbed));

  const about = { text: evaluation, window: EMBEDDED_WINDOW, maxTokens: 2048 };
  const { perplexity, against } = await evaluate(result.output, { ...about, against: MODEL });
  t.true(perplexity > against!.perplexity);
  const { tokens } = await generate(result.output, { prompt: 'She had', maxTokens: 5 });
  t.is(tokens.length, 5);
});

test.serial('a researcher: a row of one’s own, gone on with, and what fails', async (t) => {
  const output = await scratch(t);
  const byVariance: MaskFunction = async ({ solver, structure, keep }) => {
    const { weightNormSq, second, mean } = await solver.columns();
    const scores = [...weightNormSq].map((w, j) => w * (second[j]! - mean[j]! ** 2));
    const best = [...scores.keys()].sort((a, b) => scores[b]! - scores[a]!).slice(0, keep);
    return Uint8Array.from({ length: structure.groups }, (_, g) => (best.includes(g) ? 1 : 0));
  };
  const row = (id: string, search: MaskFunction) => ({
    id,
    label: `My ${id}`,
    options: { mask: { name: `${id} 1`, search }, allocation: 'uniform' as const },
  });
  const options: QualityOptions = {
    ...TEXT,
    evalTokens: 1024,
    sparsities: [0.2],
    methods: ['magnitude-l2', row('variance', byVariance)],
    output,
  };
  const { quality: first } = await benchQuality(MODEL, options);
  t.deepEqual(
    first!.rows.map(({ label }) => label),
    ['magnitude', 'My variance'],
  );

  // A row that is there keeps its time; one that fails is said beside the others.
  const short: MaskFunction = async () => new Uint8Array(3);
  const more = { ...options, methods: [...(options.methods as object[]), row('short', short)] };
  const document = await benchQuality(MODEL, more as QualityOptions);
  const { rows, failures } = document.quality!;
  t.deepEqual(rows, first!.rows);
  t.deepEqual(
    failures.map(({ method, message }) => [method, /3 .*entries|length/.test(message)]),
    [['short', true]],
  );
  t.regex(await benchReport(document), /My variance/);
});
