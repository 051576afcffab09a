/** Every family through prune() into every format: the result opens, states its widths and can go in again. STRUPRUNE_LONG=1: more rows. */
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { parseGguf } from '../../lib/checkpoint/container';
import type { ExportKind } from '../../lib/checkpoint/export-table';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { withEngine } from '../../lib/engine/call';
import { Session } from '../../lib/engine/session';
import { evaluate } from '../../lib/evaluate';
import type { PruneOptions } from '../../lib/options';
import type { Progress } from '../../lib/progress';
import { prune } from '../../lib/prune';
import type { PruneResult } from '../../lib/pruning/result';
import { long } from '../long';
import { baselineFixture } from '../methods/fixtures';
import { elements, hashesOf, safetensorsShapes } from './files';
import { CALIBRATION, CALIBRATION_IDS, EVALUATION, workspace } from './models';

const work = workspace();
test.after.always(() => work.remove());

const WINDOW = 48;
const SPARSITY = 0.25;

function options(more: Partial<PruneOptions>): PruneOptions {
  const format = more.format ?? 'hf';
  return {
    output: work.path(format === 'hf' ? 'out' : 'out.gguf'),
    calibration: CALIBRATION_IDS,
    calibrationTokens: 40 * WINDOW,
    tuneTokens: 0,
    surveyTokens: 20 * WINDOW,
    window: WINDOW,
    sparsity: SPARSITY,
    threads: 1,
    ...more,
  };
}

type Row = [
  model: string,
  kind: ExportKind,
  Partial<PruneOptions> & Pick<PruneOptions, 'format' | 'dtype' | 'scope' | 'allocation'>,
];

const ROWS: Row[] = [
  ['llama2', 'own-modeling', { format: 'hf', dtype: 'f16', scope: 'all', allocation: 'threshold' }],
  ['llama2', 'llama.cpp', { format: 'gguf', dtype: 'q8_0', scope: 'ffn', allocation: 'uniform' }],
  ['llama3', 'stock', { format: 'hf', dtype: 'bf16', scope: 'ffn', allocation: 'uniform' }],
  ['llama3-tied', 'deci', { format: 'gguf', dtype: 'f32', scope: 'ffn', allocation: 'threshold' }],
  ['llama-bias', 'stock', { format: 'hf', dtype: 'f32', scope: 'all', allocation: 'uniform' }],
  [
    'mistral',
    'llama.cpp',
    { format: 'gguf', dtype: 'bf16', scope: 'ffn', allocation: 'uniform', window: 16 },
  ],
  ['qwen2', 'stock', { format: 'hf', dtype: 'f16', scope: 'attention', allocation: 'uniform' }],
  ['qwen2', 'deci', { format: 'gguf', dtype: 'f16', scope: 'ffn', allocation: 'threshold' }],
  [
    'gemma3',
    'own-modeling',
    { format: 'hf', dtype: 'bf16', scope: 'all', allocation: 'threshold' },
  ],
  ['gemma3', 'llama.cpp', { format: 'gguf', dtype: 'f16', scope: 'ffn', allocation: 'uniform' }],
  ['phi3', 'stock', { format: 'hf', dtype: 'f16', scope: 'ffn', allocation: 'uniform' }],
  ['phi3', 'llama.cpp', { format: 'gguf', dtype: 'q8_0', scope: 'ffn', allocation: 'uniform' }],
  ['gpt2', 'own-modeling', { format: 'hf', dtype: 'f32', scope: 'all', allocation: 'threshold' }],
  ['gpt2', 'llama.cpp', { format: 'gguf', dtype: 'f16', scope: 'ffn', allocation: 'uniform' }],
  [
    'gpt-neox',
    'own-modeling',
    { format: 'hf', dtype: 'f16', scope: 'all', allocation: 'threshold' },
  ],
  [
    'starcoder2',
    'llama.cpp',
    { format: 'gguf', dtype: 'q8_0', scope: 'ffn', allocation: 'uniform' },
  ],
  ['opt-pre', 'stock', { format: 'hf', dtype: 'f32', scope: 'ffn', allocation: 'uniform' }],
  [
    'opt-post',
    'own-modeling',
    { format: 'hf', dtype: 'f16', scope: 'all', allocation: 'threshold' },
  ],
  ...long<Row>([
    ['llama3', 'llama.cpp', { format: 'gguf', dtype: 'q4_1', scope: 'ffn', allocation: 'uniform' }],
    [
      'mistral',
      'own-modeling',
      { format: 'hf', dtype: 'bf16', scope: 'ffn', allocation: 'energy' },
    ],
    ['qwen2', 'deci', { format: 'gguf', dtype: 'q5_0', scope: 'ffn', allocation: 'threshold' }],
    ['qwen3', 'llama.cpp', { format: 'gguf', dtype: 'q8_0', scope: 'ffn', allocation: 'uniform' }],
    ['gemma3', 'stock', { format: 'hf', dtype: 'f16', scope: 'ffn', allocation: 'uniform' }],
    [
      'phi3',
      'own-modeling',
      { format: 'hf', dtype: 'bf16', scope: 'all', allocation: 'threshold' },
    ],
    ['gpt2', 'stock', { format: 'hf', dtype: 'bf16', scope: 'ffn', allocation: 'uniform' }],
    ['gpt-neox', 'stock', { format: 'hf', dtype: 'bf16', scope: 'ffn', allocation: 'uniform' }],
    ['starcoder2', 'stock', { format: 'hf', dtype: 'f16', scope: 'all', allocation: 'uniform' }],
  ]),
];

/** The achieved sparsity lies less than one step of the coarsest rounding above the asked one. */
function stepOf(result: PruneResult, total: number, ffnCost: number, multiple: number): number {
  const kv = result.layers[0]!;
  const attention = result.scope === 'ffn' ? 0 : total / result.layers.length / kv.kvHeadsBefore;
  return Math.max(multiple * ffnCost, attention) / total;
}

for (const [name, kind, row] of ROWS) {
  const { format, dtype, scope, allocation } = row;
  test.serial(`${name} to ${format}, ${dtype}, ${scope}, ${allocation}`, async (t) => {
    // Half of qwen2's attention is one of its two KV heads a block.
    const sparsity = scope === 'attention' ? 0.1 : SPARSITY;
    const result = await prune(work.model(name), options({ ...row, sparsity }));
    t.is(result.kind, kind);
    t.like(result, { format, dtype, scope, allocation, method: 'struprune' });
    const { expected, actual } = result.verification;
    // The same numbers in the same products: nothing of the file may be rounded otherwise than in the run.
    t.true(Math.abs(actual - expected) < 1e-7, String(actual - expected));

    const { linearWeights } = baselineFixture(name).cases[0]!;
    const before = await openCheckpoint(work.model(name));
    const { hidden, gated } = before.architecture;
    const multiple = dtype!.startsWith('q') ? 32 : 8;
    const step = stepOf(result, linearWeights, (gated ? 3 : 2) * hidden, multiple);
    t.true(result.sparsity >= sparsity && result.sparsity < sparsity + 2 * step);
    t.is(result.parametersBefore, before.parameters);

    const after = await openCheckpoint(result.output);
    // llama.cpp has one architecture for several of them.
    if (format === 'hf') t.is(after.architecture.family, before.architecture.family);
    t.deepEqual(
      after.architecture.blocks.map(({ ffn, kvHeads }) => [ffn, kvHeads]),
      result.layers.map(({ ffnAfter, kvHeadsAfter }) => [ffnAfter, kvHeadsAfter]),
    );
    if (kind === 'stock') t.is(new Set(result.layers.map(({ ffnAfter }) => ffnAfter)).size, 1);
    if (format === 'hf') {
      t.is(elements(safetensorsShapes(result.output)), result.parametersAfter);
      t.true(existsSync(join(result.output, 'tokenizer.json')));
      t.regex(readFileSync(join(result.output, 'README.md'), 'utf8'), /SHA-256 [0-9a-f]{64}/);
    } else {
      const { tensors } = parseGguf(result.output);
      const own = tensors.filter(({ name }) => !name.startsWith('rope_f'));
      const shapes = Object.fromEntries(own.map((tensor) => [tensor.name, tensor.shape]));
      t.is(elements(shapes), result.parametersAfter);
      // Less than 8 bits are for the blocks alone.
      const ends = /^q[45]/.test(dtype!) ? 'q8_0' : dtype;
      for (const { name, shape, dtype: stored } of own.filter(({ shape }) => shape.length > 1)) {
        t.is(stored.toLowerCase(), name.startsWith('blk.') ? dtype! : ends!, `${name} ${shape}`);
      }
      // The tokenizer went into the metadata and gives the same ids.
      const text = { text: EVALUATION, window: 16, maxTokens: 4 * WINDOW, threads: 1 };
      t.true(Number.isFinite((await evaluate(result.output, text)).perplexity));
    }
  });
}

test.serial(
  'a GGUF file holds vectors as they are, whatever its matrices are rounded to',
  async (t) => {
    // Norms in F16, of which BF16 would drop three bits.
    const model = join(__dirname, '../../assets/tiny');
    const more = { format: 'gguf', dtype: 'bf16', allocation: 'uniform', window: 64 } as const;
    const { verification, output } = await prune(model, options(more));
    const { expected, actual } = verification;
    t.true(Math.abs(actual - expected) < 1e-7, String(actual - expected));
    const norms = (path: string) =>
      withEngine({}, async (engine) => {
        const session = new Session(engine, await openCheckpoint(path));
        const { blocks, model } = session.source;
        const refs = [...blocks.map((refs) => refs['ffn.norm']!), model.finalNorm!];
        const read = refs.map((ref) => session.encodeTensor(ref, 'F32', 0, 1));
        const values = (await Promise.all(read)).map((bytes) => Buffer.from(bytes).toString('hex'));
        session.dispose();
        return values;
      });
    t.deepEqual(await norms(output), await norms(model));
  },
);

for (const scope of ['ffn', 'attention', 'all'] as const) {
  test.serial(`feedback has nothing to undo where nothing is removed: ${scope}`, async (t) => {
    const result = await prune(
      work.model('llama3-tied'),
      options({
        scope,
        allocation: 'uniform',
        sparsity: 0,
        dtype: 'f32',
        alpha: 1,
        beta: 1,
        eval: EVALUATION,
        evalTokens: 480,
      }),
    );
    t.is(result.layerStats.length, (scope === 'all' ? 2 : 1) * result.layers.length);
    for (const { relativeError } of result.layerStats) t.true(relativeError! < 1e-9);
    const change = Math.abs(result.perplexityAfter! / result.perplexityBefore! - 1);
    t.true(change < 1e-5, String(change));
  });
}

test.serial('our own output goes in again: folder, deci, folder', async (t) => {
  const first = await prune(
    work.model('llama3-tied'),
    options({ scope: 'all', allocation: 'threshold', dtype: 'f32', sparsity: 0.1 }),
  );
  t.is(first.kind, 'own-modeling');
  const second = await prune(
    first.output,
    options({ format: 'gguf', allocation: 'threshold', dtype: 'f32', sparsity: 0.1 }),
  );
  const third = await prune(
    second.output,
    options({ sparsity: 0.1, dtype: 'f32', eval: EVALUATION, evalTokens: 480 }),
  );
  const widths = [first, second, third].map(({ layers }) => layers.map(({ ffnAfter }) => ffnAfter));
  for (const [from, to] of [
    [first, second],
    [second, third],
  ] as const) {
    t.is(to.parametersBefore, from.parametersAfter);
    t.true(to.parametersAfter < from.parametersAfter);
    t.deepEqual(
      to.layers.map(({ ffnBefore, kvHeadsBefore }) => [ffnBefore, kvHeadsBefore]),
      from.layers.map(({ ffnAfter, kvHeadsAfter }) => [ffnAfter, kvHeadsAfter]),
    );
  }
  t.true(widths[2]!.every((width, block) => width <= widths[0]![block]!));
  // The rebuilt tokenizer gives the ids that the first one gave.
  const { perplexity } = await evaluate(third.output, {
    text: EVALUATION,
    window: WINDOW,
    maxTokens: 480,
    threads: 1,
  });
  t.true(Math.abs(perplexity / third.perplexityAfter! - 1) < 1e-9);
});

test.serial('a number of parameters holds with the biases that a method adds', async (t) => {
  const model = work.model('llama3');
  const { parameters } = await openCheckpoint(model);
  const targetParams = Math.round(0.85 * parameters);
  for (const more of [{ method: 'flap' }, { scope: 'all', bias: 'add' }] as const) {
    const asked = { ...more, sparsity: undefined, targetParams, allocation: 'uniform' } as const;
    const result = await prune(model, options(asked));
    t.true(result.parametersAfter <= targetParams, `${result.parametersAfter} of ${targetParams}`);
    t.is(elements(safetensorsShapes(result.output)), result.parametersAfter);
  }
  const shared = { sparsity: undefined, targetParams: '85%', allocation: 'uniform' } as const;
  const { parametersAfter, settings } = await prune(model, options(shared));
  t.is(settings.targetParams, '85%');
  t.is(parametersAfter, (await prune(model, options({ ...shared, targetParams }))).parametersAfter);
});

test.serial('a number of multiply-adds counts every map, a tied head too', async (t) => {
  const maps = (folder: string) => {
    const shapes = Object.entries(safetensorsShapes(folder));
    const tied = shapes.every(([name]) => name !== 'lm_head.weight');
    const isMap = ([name, shape]: (typeof shapes)[number]) =>
      shape.length === 2 && (tied || name !== 'model.embed_tokens.weight');
    return elements(Object.fromEntries(shapes.filter(isMap)));
  };
  for (const name of ['llama3', 'llama3-tied']) {
    const model = work.model(name);
    const targetMacs = Math.floor(0.85 * maps(model));
    const asked = { sparsity: undefined, allocation: 'uniform' } as const;
    const result = await prune(model, options({ ...asked, targetMacs }));
    const macs = maps(result.output);
    t.true(macs <= targetMacs && macs > 0.97 * targetMacs, `${macs} of ${targetMacs}`);
    const same = await prune(model, options({ ...asked, targetMacs: '85%' }));
    t.is(maps(same.output), macs);
  }
});

test.serial('without --eval, text that calibrated nothing measures both models', async (t) => {
  const model = work.model('llama3');
  const result = await prune(model, options({}));
  t.is(result.measuredOn, '8 windows of the calibration text that calibrated nothing');
  // A byte is a token.
  const held = work.path('held.txt');
  writeFileSync(held, readFileSync(CALIBRATION).subarray(40 * WINDOW, 48 * WINDOW));
  const about = { text: held, window: WINDOW, threads: 1 };
  t.is((await evaluate(model, about)).perplexity, result.perplexityBefore!);
  t.is((await evaluate(result.output, about)).perplexity, result.perplexityAfter!);

  const last = work.path('last.txt');
  const tokens = result.calibrationTokens;
  writeFileSync(last, readFileSync(CALIBRATION).subarray(tokens - 8 * WINDOW, tokens));
  const there = { ...about, text: last };
  t.deepEqual(result.perplexityCalibrated, {
    before: (await evaluate(model, there)).perplexity,
    after: (await evaluate(result.output, there)).perplexity,
  });
  const unread = await prune(model, options({ method: 'magnitude-l2' }));
  t.is(unread.perplexityCalibrated, null);

  const short = work.path('short.txt');
  writeFileSync(short, readFileSync(CALIBRATION).subarray(0, 42 * WINDOW));
  const few = await prune(model, options({ calibration: short }));
  t.is(few.measuredOn, '2 windows of the calibration text that calibrated nothing');
  t.is(hashesOf(few.output)['model.safetensors'], hashesOf(result.output)['model.safetensors']);
  const none = await prune(model, options({ calibration: short, calibrationTokens: 65536 }));
  t.is(none.calibrationTokens, 42 * WINDOW);
  t.is(none.measuredOn, '8 windows that calibrated, which flatters the pruned model');
});

test.serial('logits that are not finite have no perplexity', async (t) => {
  const model = work.model('llama3-tied');
  const path = join(model, 'model.safetensors');
  const bytes = readFileSync(path);
  const start = 8 + Number(bytes.readBigUInt64LE());
  const { 'model.norm.weight': norm } = JSON.parse(bytes.subarray(8, start).toString());
  t.is(norm.dtype, 'F32');
  const [from, to] = norm.data_offsets;
  for (let at = start + from; at < start + to; at += 4) bytes.writeFloatLE(3e38, at);
  writeFileSync(path, bytes);
  await t.throwsAsync(evaluate(model, { text: EVALUATION, window: WINDOW, maxTokens: WINDOW }), {
    code: 'ERR_NAN',
    message: /not finite/,
  });
});

test.serial('nothing removed: the written model computes what the source computes', async (t) => {
  for (const format of ['hf', 'gguf'] as const) {
    const result = await prune(
      work.model('llama3-tied'),
      options({
        format,
        sparsity: 0,
        allocation: 'uniform',
        dtype: 'f32',
        eval: EVALUATION,
        evalTokens: 480,
      }),
    );
    t.is(result.parametersAfter, result.parametersBefore);
    t.true(Math.abs(result.perplexityAfter! / result.perplexityBefore! - 1) < 1e-6);
  }
});

for (const format of ['hf', 'gguf'] as const) {
  test.serial(`same seed, same bytes, on one thread and on two: ${format}`, async (t) => {
    const model = work.model('llama3');
    const run = (threads: number) =>
      prune(
        model,
        options({
          format,
          scope: 'all',
          allocation: 'threshold',
          fisherLabels: 'sampled',
          seed: 7,
          threads,
        }),
      );
    const one = await run(1);
    for (const threads of [1, 2]) {
      const again = await run(threads);
      t.deepEqual(hashesOf(again.output), hashesOf(one.output));
      t.deepEqual(again.layers, one.layers);
    }
  });
}

for (const format of ['hf', 'gguf'] as const) {
  test.serial(`a target in bytes is the most that the weight file takes: ${format}`, async (t) => {
    const about = { format, dtype: 'f32', scope: 'ffn', allocation: 'uniform' } as const;
    const model = work.model('llama-bias');
    const whole = await prune(model, options({ ...about, sparsity: 0 }));
    for (const share of [0.9, 0.8]) {
      const targetSize = Math.floor(share * whole.bytesAfter);
      const asked = share === 0.9 ? targetSize : '80%';
      const sized = { ...about, sparsity: undefined, targetSize: asked } as const;
      const result = await prune(model, options(sized));
      const file = format === 'hf' ? join(result.output, 'model.safetensors') : result.output;
      const { size } = statSync(file);
      t.true(size <= targetSize, `${size} of ${targetSize}`);
      // One step: 8 channels in each of the blocks. The GGUF file's own metadata are counted generously.
      const step = result.layers.length * 8 * 3 * 4 * 64;
      t.true(size > targetSize - step - 4096, `${size} of ${targetSize}`);
      t.is(result.bytesAfter, size);
    }
  });
}

test.serial('shards, samples, progress and a warning about overlapping texts', async (t) => {
  const stages = new Set<string>();
  const shares = new Map<string, number[]>();
  let last = 0;
  const onProgress = ({ stage, done, total, message, overall }: Progress) => {
    stages.add(stage);
    const { share, secondsLeft } = overall!;
    t.true(share >= last && share <= 1, `${stage}: ${share} after ${last}`);
    t.true(secondsLeft === null || secondsLeft >= 0);
    last = share;
    shares.set(stage, [...(shares.get(stage) ?? []), share]);
    t.true(done > 0 && done <= total);
    t.truthy(message);
  };
  const warnings: string[] = [];
  const onWarning = (message: string) => {
    t.false(stages.has('solve'), 'before the work that it warns of');
    warnings.push(message);
  };
  const result = await prune(
    work.model('llama3'),
    options({
      eval: CALIBRATION,
      evalTokens: 480,
      maxShardBytes: 100_000,
      samples: true,
      onProgress,
      onWarning,
    }),
  );
  const files = Object.keys(hashesOf(result.output));
  t.true(
    files.includes('model.safetensors.index.json') &&
      files.includes('model-00001-of-00004.safetensors'),
  );
  t.regex(result.warnings.join(), /overlap/);
  t.deepEqual(warnings, result.warnings);
  for (const stage of ['evaluate', 'sample', 'survey', 'solve']) t.true(stages.has(stage), stage);
  // Every stage has its part of the whole, and the last one ends it.
  for (const stage of ['evaluate', 'survey', 'solve']) {
    t.true(Math.max(...shares.get(stage)!) > Math.min(...shares.get(stage)!), stage);
  }
  t.true(shares.get('survey')!.at(-1)! < shares.get('solve')!.at(-1)!);
  t.true(last > 0.999, String(last));
  t.is(result.samples!.before.length > 0 && result.samples!.after.length > 0, true);
  t.true(result.perplexityAfter! > 0 && result.perplexityBefore! > 0);
  t.true(result.bytesAfter < result.bytesBefore);
});

test.serial('an existing output is refused, and replaced with force', async (t) => {
  const model = work.model('opt-pre');
  const folder = work.emptyFolder();
  const output = join(folder, 'out');
  mkdirSync(output);
  writeFileSync(join(output, 'mine'), '');
  const run = (force: boolean) =>
    prune(model, options({ output, force, method: 'magnitude-l2', allocation: 'uniform' }));
  await t.throwsAsync(run(false), { code: 'ERR_OUTPUT', message: /exists already.*force: true/ });
  // Even with force only what the program wrote is replaced.
  await t.throwsAsync(run(true), { code: 'ERR_OUTPUT', message: /not a folder that this program/ });
  t.deepEqual(Object.keys(hashesOf(output)), ['mine']);
  rmSync(output, { recursive: true });
  await run(false);
  await run(true);
  t.true(existsSync(join(output, 'model.safetensors')));
  writeFileSync(join(output, 'mine'), '');
  await t.throwsAsync(run(true), { code: 'ERR_OUTPUT', message: /did not write.* \(mine\)/ });
  t.true(existsSync(join(output, 'mine')));
});
