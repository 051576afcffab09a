/** bench quality on a small model: its numbers against prune() and evaluate(), its sharing, its going on. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { writeBench } from '../../lib/bench/output';
import type { QualityOptions } from '../../lib/bench/quality/options';
import { benchQuality } from '../../lib/bench/quality/run';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { type BenchDocument, benchSchema } from '../../lib/documents/bench';
import { StruPruneError } from '../../lib/errors';
import { evaluate } from '../../lib/evaluate';
import type { PruneOptions } from '../../lib/options';
import { prune } from '../../lib/prune';
import { hashesOf } from '../e2e/files';
import { CALIBRATION, EVALUATION, workspace } from '../e2e/models';

const work = workspace();
test.after.always(() => work.remove());

const WINDOW = 48;
const METHODS = ['magnitude-l2', 'struprune-uniform', 'struprune-threshold', 'mask-admm'];

function options(output: string, more: Partial<QualityOptions> = {}): QualityOptions {
  return {
    output,
    calibration: CALIBRATION,
    calibrationTokens: 20 * WINDOW,
    surveyTokens: 10 * WINDOW,
    window: WINDOW,
    eval: [EVALUATION, CALIBRATION],
    evalTokens: 6 * WINDOW,
    sparsities: [0.2, 0.4],
    methods: METHODS,
    threads: 1,
    ...more,
  };
}

test('rows are what prune() writes and evaluate() measures', async (t) => {
  const model = work.model('llama3');
  const output = work.path('bench');
  const document = await benchQuality(
    model,
    options(output, { keepModels: true, sparsities: [0.2] }),
  );
  const { quality } = benchSchema.parse(document);
  t.is(quality!.rows.length, METHODS.length);
  t.deepEqual(quality!.failures, []);
  // The second text is the calibration text itself.
  t.is(quality!.warnings.length, 1);
  for (const row of quality!.rows) {
    const kept = join(output, 'models', `${row.method}-${row.sparsity}`);
    t.is(row.parameters, (await openCheckpoint(kept)).parameters);
    t.true(row.achieved >= row.sparsity && row.achieved < row.sparsity + 0.1);
    for (const { text, perplexity, klToDense, top1Agreement } of row.texts) {
      const file = [EVALUATION, CALIBRATION].find((path) => path.endsWith(text))!;
      const limits = { window: WINDOW, maxTokens: 6 * WINDOW, threads: 1 };
      const own = await evaluate(kept, { text: file, ...limits });
      t.true(Math.abs(perplexity / own.perplexity - 1) < 1e-6, `${row.method} on ${text}`);
      t.true(klToDense > 0 && top1Agreement > 0 && top1Agreement <= 1);
    }
  }
  const [row] = quality!.rows.filter((one) => one.method === 'struprune-threshold');
  const alone = await prune(model, {
    output: work.path('alone'),
    calibration: CALIBRATION,
    calibrationTokens: 20 * WINDOW,
    tuneTokens: 0,
    surveyTokens: 10 * WINDOW,
    window: WINDOW,
    sparsity: 0.2,
    threads: 1,
  });
  t.deepEqual(
    row!.layers.map(({ removed, relativeError }) => [removed, relativeError]),
    alone.layerStats.map(({ removed, relativeError }) => [removed, relativeError]),
  );
});

test('a tuned row is tuned on the text behind the tokens that calibrate every row', async (t) => {
  const model = work.model('llama2');
  const output = work.path('bench');
  const calibration = work.path('short.txt');
  writeFileSync(calibration, readFileSync(CALIBRATION).subarray(0, 8000));
  const methods = ['wanda-sp', 'wanda-sp-tuned'];
  const more = { calibration, methods, sparsities: [0.2], eval: [EVALUATION], keepModels: true };
  const { quality } = await benchQuality(model, options(output, more));
  t.is(quality!.calibration.tokens, 20 * WINDOW);
  for (const [method, tuneTokens] of [
    ['wanda-sp', 0],
    ['wanda-sp-tuned', 131072],
  ] as const) {
    const alone = await prune(model, {
      output: work.path(`alone-${method}`),
      method: 'wanda-sp',
      calibration,
      calibrationTokens: 20 * WINDOW,
      tuneTokens,
      window: WINDOW,
      sparsity: 0.2,
      threads: 1,
    });
    t.is(alone.tuning !== null, tuneTokens > 0);
    t.deepEqual(
      hashesOf(join(output, 'models', `${method}-0.2`))['model.safetensors'],
      hashesOf(alone.output)['model.safetensors'],
    );
  }
});

test('a survey is made once for all sparsities and methods that want the same', async (t) => {
  const { quality } = await benchQuality(work.model('llama2'), options(work.path('bench')));
  t.is(quality!.surveys.length, 1);
  const [survey] = quality!.surveys;
  const users = quality!.rows.filter(({ survey: key }) => key === survey!.key);
  t.deepEqual(
    users.map(({ method, sparsity }) => `${method} ${sparsity}`),
    ['struprune-threshold', 'mask-admm'].flatMap((id) => [`${id} 0.2`, `${id} 0.4`]),
  );
  for (const { seconds } of users) t.is(seconds.survey, survey!.seconds);
  for (const { groups, error } of survey!.layers) {
    t.true(error.length <= groups + 1 && error[0] === 0);
    t.true(error.every((value, k) => k === 0 || value >= error[k - 1]!));
  }
  const admm = quality!.rows.filter(({ method }) => method === 'mask-admm');
  const histories = admm.flatMap(({ layers }) => layers.map((layer) => layer.admm));
  t.true(histories.some((found) => found !== null && found.history.length > 1));
});

test('experts and their channels: one survey, and of channels one curve a block', async (t) => {
  const { quality } = await benchQuality(work.model('qwen3-moe'), {
    ...options(work.path('bench-moe')),
    methods: ['struprune-moe'],
  });
  t.deepEqual(quality!.failures, []);
  const [survey, ...others] = quality!.surveys;
  t.is(others.length, 0);
  t.deepEqual(
    survey!.layers.map(({ block, site, groups }) => [block, site, groups]),
    [0, 2].flatMap((block) => [
      [block, 'experts', 8],
      [block, 'expert-channels', 24],
    ]),
  );
  for (const { error, weight } of survey!.layers) {
    t.true(error[0] === 0 && error.every((value, k) => k === 0 || value >= error[k - 1]!));
    t.true(weight > 0 && error.at(-1)! * weight < 1);
  }
  for (const { survey: key } of quality!.rows) t.is(key, survey!.key);
});

test('a solver that is given holds for methods that leave it open', async (t) => {
  const model = work.model('llama2');
  const output = work.path('bench');
  const more = { sparsities: [0.2], methods: ['struprune-uniform', 'sparsellm', 'without-refit'] };
  const { quality } = await benchQuality(model, options(output, { ...more, ffnSolver: 'output' }));
  t.is(quality!.ffnSolver, 'output');
  const errors = (layers: readonly { relativeError: number | null }[]) =>
    layers.map(({ relativeError }) => relativeError);
  const pruned = async (own: Partial<PruneOptions>) => {
    const result = await prune(model, {
      output: join(work.emptyFolder(), 'alone'),
      calibration: CALIBRATION,
      calibrationTokens: 20 * WINDOW,
      tuneTokens: 0,
      window: WINDOW,
      sparsity: 0.2,
      threads: 1,
      ...own,
    });
    return errors(result.layerStats);
  };
  const [sparsellm, uniform] = quality!.rows.map(({ layers }) => errors(layers));
  t.deepEqual(uniform, await pruned({ allocation: 'uniform', ffnSolver: 'output' }));
  t.notDeepEqual(uniform, await pruned({ allocation: 'uniform' }));
  const auxiliary = { allocation: 'uniform', alpha: 0, beta: 0, ffnSolver: 'auxiliary' } as const;
  t.deepEqual(sparsellm, await pruned(auxiliary));
  await t.throwsAsync(benchQuality(model, options(output, more)), { code: 'ERR_OUTPUT' });
  const other: Partial<QualityOptions> = {
    ...more,
    methods: ['without-refit'],
    ffnSolver: 'gauss-newton',
  };
  const found = await benchQuality(model, options(join(work.emptyFolder(), 'other'), other));
  t.deepEqual(found.quality!.failures, []);
  // A document of before there was a choice.
  const { ffnSolver: _, ...old } = quality!;
  t.is(benchSchema.parse({ ...found, quality: old }).quality!.ffnSolver, 'output');
});

test('an interrupted run goes on with what it has', async (t) => {
  const model = work.model('llama2');
  const output = work.path('bench');
  const small = (more: Partial<QualityOptions> = {}) =>
    options(output, { methods: ['magnitude-l2', 'struprune-uniform'], ...more });
  const controller = new AbortController();
  const reason = new Error('stopped by the test');
  const unfinished: BenchDocument[] = [];
  const error = await t.throwsAsync(
    benchQuality(
      model,
      small({
        signal: controller.signal,
        onUnfinished: (document) => {
          unfinished.push(document);
          throw new Error('of the listener');
        },
        onProgress: ({ message }) => {
          if (message.startsWith('row 3 of 4')) controller.abort(reason);
        },
      }),
    ),
  );
  t.is(error, reason);
  const lines = () => readFileSync(join(output, 'rows.jsonl'), 'utf8').trim().split('\n');
  const kept = lines()
    .slice(1)
    .map((line) => JSON.parse(line));
  t.is(kept.filter((entry) => 'row' in entry).length, 2);
  t.is(unfinished.length, 1);
  const early = benchSchema.parse(unfinished[0]).quality!;
  t.is(early.rows.length, 2);
  t.regex(early.warnings[0]!, /^2 of 4 rows are not made yet/);

  const seen: string[] = [];
  const onProgress: QualityOptions['onProgress'] = ({ message }) => seen.push(message);
  const { quality } = await benchQuality(model, small({ onProgress }));
  t.is(quality!.rows.length, 4);
  t.deepEqual(
    quality!.rows.slice(0, 2),
    kept.filter((entry) => 'row' in entry).map(({ row }) => row),
  );
  t.false(seen.some((message) => /^row [12] of 4/.test(message)));

  const again: string[] = [];
  const whole = await benchQuality(
    model,
    small({ onProgress: ({ message }) => again.push(message) }),
  );
  t.deepEqual(again, []);
  t.deepEqual(whole.quality!.rows, quality!.rows);

  await t.throwsAsync(benchQuality(model, small({ evalTokens: 4 * WINDOW })), {
    instanceOf: StruPruneError,
    message: /another model, .* or machine: differs in texts; .*force: true/,
  });
});

test('an interrupted run does not make its survey again, unless the file is damaged', async (t) => {
  const model = work.model('llama2');
  const output = work.path('bench');
  const run = async (sparsities: number[]) => {
    let surveyed = false;
    const { quality } = await benchQuality(
      model,
      options(output, {
        methods: ['struprune-threshold'],
        sparsities,
        onProgress: ({ stage }) => {
          surveyed ||= stage === 'survey';
        },
      }),
    );
    return { surveyed, quality: quality! };
  };
  t.true((await run([0.2])).surveyed);
  const second = await run([0.2, 0.4]);
  t.false(second.surveyed);
  const fresh = await benchQuality(
    model,
    options(work.path('bench'), { methods: ['struprune-threshold'], sparsities: [0.4] }),
  );
  const untimed = ({ layers }: { layers: object[] }) =>
    layers.map((layer) => ({ ...layer, seconds: 0 }));
  t.deepEqual(untimed(second.quality.rows[1]!), untimed(fresh.quality!.rows[0]!));
  t.is(second.quality.rows[1]!.seconds.survey, second.quality.rows[0]!.seconds.survey);

  const file = readdirSync(output).find((name) => name.startsWith('survey-'))!;
  const bytes = readFileSync(join(output, file));
  bytes[bytes.length >> 1]! ^= 1;
  writeFileSync(join(output, file), bytes);
  t.true((await run([0.2, 0.3])).surveyed);
});

test('a later call adds to the document of the folder, and --force leaves nothing of the old one', async (t) => {
  const output = work.path('bench');
  const model = work.model('llama2');
  const run = (methods: string[], sparsities: number[], more: Partial<QualityOptions> = {}) =>
    benchQuality(model, options(output, { methods, sparsities, ...more }));
  await run(['struprune-uniform', 'magnitude-l2'], [0.2, 0.4]);
  const document = await run(['wanda-sp'], [0.3]);
  const { quality, command } = document;
  t.deepEqual(
    quality!.rows.map(({ method, sparsity }) => `${method} ${sparsity}`),
    [
      'magnitude-l2 0.2',
      'magnitude-l2 0.4',
      'wanda-sp 0.3',
      'struprune-uniform 0.2',
      'struprune-uniform 0.4',
    ],
  );
  t.deepEqual(
    quality!.methods.map(({ id }) => id),
    ['magnitude-l2', 'wanda-sp', 'struprune-uniform'],
  );
  t.deepEqual([...quality!.sparsities].sort(), [0.2, 0.3, 0.4]);
  t.regex(command, /--methods magnitude-l2,wanda-sp,struprune-uniform /);
  t.is(new Set(quality!.rows.map(({ build }) => build)).size, 1);

  const files = await writeBench(output, 'quality', document);
  await run(['magnitude-l2'], [0.2], { force: true, seed: 5 });
  t.deepEqual(files.filter(existsSync), []);
});

test('a row that cannot be made is a failure of its own', async (t) => {
  // Post-norm: error feedback is refused.
  const model = work.model('opt-post');
  const methods = ['magnitude-l2', 'full-feedback'];
  const { quality } = await benchQuality(
    model,
    options(work.path('bench'), { methods, sparsities: [0.2] }),
  );
  t.deepEqual(
    quality!.rows.map(({ method }) => method),
    ['magnitude-l2'],
  );
  t.deepEqual(
    quality!.failures.map(({ method, sparsity, code }) => ({ method, sparsity, code })),
    [{ method: 'full-feedback', sparsity: 0.2, code: 'ERR_UNSUPPORTED' }],
  );
});

test('a share named twice is one row; one that no method reaches is refused before any work', async (t) => {
  const output = work.path('bench');
  const model = work.model('llama2');
  const run = (sparsities: number[], force = false) =>
    benchQuality(model, options(output, { methods: ['magnitude-l2', 'flap'], sparsities, force }));
  const { quality } = await run([0.2, 0.2]);
  t.deepEqual(
    quality!.rows.map(({ method, sparsity }) => [method, sparsity]),
    [
      ['magnitude-l2', 0.2],
      ['flap', 0.2],
    ],
  );
  t.deepEqual(quality!.sparsities, [0.2]);
  const kept = readFileSync(join(output, 'rows.jsonl'));
  const error = await t.throwsAsync(run([0.2, 0.95], true), { instanceOf: StruPruneError });
  t.is(error.code, 'ERR_ARGUMENT');
  t.regex(error.message, /sparsity 0\.9500.*ask for at most/);
  t.deepEqual(readFileSync(join(output, 'rows.jsonl')), kept);
});

test('files: JSON that its schema reads, CSV of one line a row and text', async (t) => {
  const output = work.path('bench');
  const document = await benchQuality(
    work.model('llama2'),
    options(output, { methods: ['magnitude-l2'] }),
  );
  const files = await writeBench(output, 'quality', document);
  t.deepEqual(
    files,
    ['json', 'csv', 'html'].map((kind) => join(output, `quality.${kind}`)),
  );
  const read: BenchDocument = benchSchema.parse(JSON.parse(readFileSync(files[0]!, 'utf8')));
  t.deepEqual(read.quality!.rows, document.quality!.rows);
  const [head, ...lines] = readFileSync(files[1]!, 'utf8').trimEnd().split('\r\n');
  // Two texts of the dense model, and of two rows.
  t.is(lines.length, 6);
  const of = (line: number, name: string) =>
    lines[line]!.split(',')[head!.split(',').indexOf(name)];
  t.is(of(0, 'method'), 'dense');
  t.is(Number(of(1, 'perplexity')), document.quality!.dense.perplexities[1]!.perplexity);
  const column = (name: string) => of(2, name);
  t.is(column('method'), 'magnitude-l2');
  t.is(Number(column('perplexity')), document.quality!.rows[0]!.texts[0]!.perplexity);
  // No model stays behind.
  t.false(existsSync(join(output, 'models')));
});
