/** Whole sublayers gone: what is written, what that costs by trial, and runs that were stopped. STRUPRUNE_LONG=1: more rows. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { evaluate } from '../../lib/evaluate';
import type { PruneOptions } from '../../lib/options';
import { plan } from '../../lib/plan';
import { prune } from '../../lib/prune';
import { unsealed } from '../../lib/pruning/journal/sealed';
import { isLong, long } from '../long';
import { ourLogits } from '../real/prune-oracles';
import { hashesOf, safetensorsRows, safetensorsShapes } from './files';
import { CALIBRATION, CALIBRATION_IDS, EVALUATION, workspace } from './models';
import { stopAfter } from './stop-after';
import { without } from './without';

const work = workspace();
test.after.always(() => work.remove());

const TINY = join(__dirname, '../../assets/tiny');
const WINDOW = 48;

function options(more: Partial<PruneOptions>): PruneOptions {
  return {
    output: work.path(more.format === 'gguf' ? 'out.gguf' : 'out'),
    calibration: CALIBRATION_IDS,
    calibrationTokens: 20 * WINDOW,
    tuneTokens: 0,
    surveyTokens: 10 * WINDOW,
    window: WINDOW,
    threads: 1,
    ...more,
  };
}

/** Nothing but what goes as a whole changes. */
const AS_IS = { alpha: 0, beta: 0 } as const;

test.serial('a block without either sublayer leaves the file, in the stock class', async (t) => {
  const model = work.model('gemma3');
  const result = await prune(model, options({ ...AS_IS, ...without('1.attention', '1.ffn') }));
  t.is(result.kind, 'stock');
  const config = JSON.parse(readFileSync(join(result.output, 'config.json'), 'utf8'));
  t.is(config.num_hidden_layers, 5);
  const types = ['sliding_attention', 'sliding_attention', 'sliding_attention'];
  t.deepEqual(config.layer_types, [...types, 'sliding_attention', 'full_attention']);
  const written = safetensorsShapes(result.output);
  const names = Object.keys(safetensorsShapes(model));
  t.is(
    Object.keys(written).length,
    names.length - names.filter((name) => /s\.1\./.test(name)).length,
  );
  for (const name of Object.keys(written)) {
    const place = name.replace(/layers\.([1-9])\./, (_, index) => `layers.${Number(index) + 1}.`);
    t.deepEqual(safetensorsRows(result.output, name), safetensorsRows(model, place), name);
  }
  t.like(result.layers[1], { ffnAfter: 0, kvHeadsAfter: 0 });
  t.is(result.parametersAfter, (await openCheckpoint(result.output)).parameters);
  t.true(result.notes.includes('gone as a whole: block 1'));
});

test.serial('a block keeps the sublayer that stays, in our own class', async (t) => {
  const model = work.model('llama3-tied');
  const { output, kind, notes } = await prune(
    model,
    options({ ...AS_IS, ...without('0.attention', '1.ffn') }),
  );
  t.is(kind, 'own-modeling');
  const config = JSON.parse(readFileSync(join(output, 'config.json'), 'utf8'));
  t.like(config.struprune, { attention_heads: [0, 4], intermediate_sizes: [160, 0] });
  t.deepEqual(config.per_layer_config, {
    0: { intermediate_size: 160 },
    1: { num_attention_heads: 4, num_key_value_heads: 2 },
  });
  const left = Object.keys(safetensorsShapes(model)).filter(
    (name) => !/s\.0\.(self_attn|input_l)|s\.1\.(mlp|post_a)/.test(name),
  );
  t.deepEqual(Object.keys(safetensorsShapes(output)).sort(), left.sort());
  t.true(notes.includes('gone as a whole: attention of block 0; FFN of block 1'));
  const again = await prune(output, options({ sparsity: 0.1, scope: 'ffn', dtype: 'f32' }));
  t.deepEqual(
    (await openCheckpoint(again.output)).architecture.blocks.map(({ heads, ffn }) => [
      heads,
      ffn > 0,
    ]),
    [
      [0, true],
      [4, false],
    ],
  );
});

for (const [name, ffnMaps] of [
  ['llama2', 3],
  ['gpt-neox', 2],
] as const) {
  test.serial(
    `the price of a sublayer is what the predictions lose without it: ${name}`,
    async (t) => {
      const model = work.model(name);
      const tokens = 10 * WINDOW;
      const priced: (number | undefined)[][] = [];
      const gone = ['1.ffn', '0.attention'];
      const { allocation } = without(...gone);
      const { allocate } = allocation as { allocate: (layers: { gone?: number }[]) => number[] };
      const seen = {
        allocate: (layers: { gone?: number }[]) => {
          priced.push(layers.map((layer) => layer.gone));
          return allocate(layers);
        },
      };
      const more = {
        ...AS_IS,
        dtype: 'f32',
        depth: true,
        sparsity: 1e-6,
        calibrationTokens: tokens,
        tuneTokens: 0,
      } as const;
      await prune(model, options({ ...more, allocation: seen as PruneOptions['allocation'] }));
      const divergence = async (...these: string[]) => {
        const { output } = await prune(
          model,
          options({ ...AS_IS, dtype: 'f32', ...without(...these) }),
        );
        let sum = 0;
        let count = 0;
        for (let at = 0; at < tokens; at += WINDOW) {
          const ids = [...CALIBRATION_IDS.subarray(at, at + WINDOW)];
          const [dense, pruned] = [await ourLogits(model, ids), await ourLogits(output, ids)];
          for (let row = 0; row + 1 < WINDOW; row++) {
            const [p, q] = [dense, pruned].map(({ values, vocab }) =>
              logProbabilities(values.subarray(row * vocab, (row + 1) * vocab)),
            );
            sum += p!.reduce((total, value, i) => total + Math.exp(value) * (value - q![i]!), 0);
            count += 1;
          }
        }
        return sum / count;
      };
      const close = (actual: number | undefined, wanted: number) =>
        t.true(Math.abs(actual! - wanted) < 2e-3 * wanted, `${actual}, ${wanted}`);
      // Sites in their order: attention and FFN of block 0, then of block 1.
      const [first, ffn] = [await divergence('0.attention'), await divergence('1.ffn')];
      close(priced[0]![0], first);
      close(priced[0]![3], ffn);
      const both = await divergence('0.attention', '1.ffn');
      // The cheaper one for its weights went first; behind it the others move up.
      const weights = [4 * 64 * 64, ffnMaps * 64 * 160];
      const ffnFirst = ffn / weights[1]! < first / weights[0]!;
      close(priced[1]![ffnFirst ? 0 : 2], both - (ffnFirst ? ffn : first));
    },
  );
}

function logProbabilities(logits: Float32Array): number[] {
  const top = Math.max(...logits);
  const log = top + Math.log(logits.reduce((sum, value) => sum + Math.exp(value - top), 0));
  return Array.from(logits, (value) => value - log);
}

const MEASURED = {
  calibration: CALIBRATION,
  window: 128,
  calibrationTokens: isLong ? 2048 : 1024,
  tuneTokens: 0,
  surveyTokens: isLong ? 2048 : 1024,
  threads: 2,
};

test.serial('sublayers chosen by trial cost less than others of as many weights', async (t) => {
  const depth = { ...AS_IS, ...MEASURED, depth: true, maxLayerSparsity: 0 };
  const measured = { text: EVALUATION, window: 128, maxTokens: isLong ? 8192 : 4096 };
  const chosen = await prune(TINY, options({ ...depth, sparsity: 0.25 }));
  const gone = chosen.layerStats.filter(({ removed }) => removed > 0);
  t.true(gone.length >= 2 && gone.every(({ removed, groups }) => removed === groups));
  t.true(gone.every(({ predicted }) => Number.isFinite(predicted)));
  const counts = (site: string) => gone.filter((one) => one.site === site).length;
  const others: number[] = [];
  for (const start of [0, 1, 2]) {
    const names = ['attention', 'ffn'].flatMap((site) =>
      Array.from({ length: counts(site) }, (_, i) => `${(2 * i + start) % 6}.${site}`),
    );
    const { output } = await prune(TINY, options({ ...AS_IS, ...MEASURED, ...without(...names) }));
    others.push((await evaluate(output, measured)).perplexity);
  }
  const { perplexity } = await evaluate(chosen.output, measured);
  t.true(perplexity < Math.min(...others), `${perplexity} against ${others.join(', ')}`);
});

const ROWS: [model: string, more: Partial<PruneOptions>][] = [
  ['llama2', { ...without('1.attention', '1.ffn'), alpha: 0.5, beta: 0.5 }],
  ['llama2', { ...without('1.attention', '1.ffn'), tuneTokens: (isLong ? 40 : 16) * WINDOW }],
  ['llama2', { depth: true, sparsity: 0.4, maxLayerSparsity: 0.3 }],
  ['gpt-neox', { ...without('1.attention', '0.ffn'), alpha: 0.5, beta: 0.5 }],
  ...long<[model: string, more: Partial<PruneOptions>]>([
    ['llama2', without('1.attention', '0.ffn')],
    ['gemma3', { ...without('0.attention', '0.ffn', '3.ffn'), tuneTokens: 40 * WINDOW }],
    ['llama2', { ...without('0.attention'), sequential: false }],
    ['gpt-neox', { depth: true, sparsity: 0.4, maxLayerSparsity: 0.3 }],
    ['llama2', { ...without('1.attention', '2.attention'), format: 'gguf', dtype: 'q8_0' }],
  ]),
];
for (const [name, more] of ROWS) {
  const { allocation: _, ...words } = more;
  test.serial(
    `a stopped run ends with the same bytes: ${name}, ${JSON.stringify(words)}`,
    async (t) => {
      const model = work.model(name);
      const whole = await prune(model, options(more));
      t.true(whole.layerStats.some(({ removed, groups }) => removed === groups));
      const { expected, actual } = whole.verification;
      t.true(Math.abs(actual - expected) < 1e-7, String(actual - expected));
      const settings = options(more);
      const journal = await stopAfter(2, model, settings);
      t.true(existsSync(join(journal, 'block-1.bin')));
      const stages: string[] = [];
      const resumed = await prune(model, {
        ...settings,
        resume: true,
        onProgress: ({ stage }) => stages.push(stage),
      });
      t.deepEqual(resumed.layers, whole.layers);
      t.deepEqual(hashesOf(settings.output), hashesOf(whole.output));
      // The journal had the prices.
      t.false(stages.includes('depth'));
    },
  );
}

test.serial('prices that a stopped run had measured are not measured again', async (t) => {
  const model = work.model('llama2');
  const more = without('1.attention', '0.ffn');
  const whole = await prune(model, options(more));
  const settings = options(more);
  const controller = new AbortController();
  await prune(model, {
    ...settings,
    signal: controller.signal,
    onProgress: ({ stage, message }) => {
      if (stage === 'depth' && message.startsWith('1 gone')) controller.abort(new Error('enough'));
    },
  }).catch(() => {});
  const file = join(`${settings.output}.struprune-journal`, 'depth.json');
  t.is(unsealed<{ rounds: unknown[] }>(readFileSync(file, 'utf8'))!.rounds.length, 1);
  const messages: string[] = [];
  await prune(model, {
    ...settings,
    resume: true,
    onProgress: ({ stage, message }) => {
      if (stage === 'depth') messages.push(message);
    },
  });
  t.false(messages.some((message) => message.startsWith('0 gone')));
  t.true(messages.some((message) => message.startsWith('2 gone')));
  t.deepEqual(hashesOf(settings.output), hashesOf(whole.output));
});

test.serial('GGUF: what llama.cpp cannot hold is not offered', async (t) => {
  const offered: string[][] = [];
  const allocation: PruneOptions['allocation'] = {
    allocate: (layers) => {
      const names = layers.filter(({ gone }) => gone !== undefined);
      offered.push(names.map(({ block, scope }) => `${block}.${scope}`));
      return layers.map(({ block, gone, groups }) =>
        gone !== undefined && block === 1 ? groups : 0,
      );
    },
  };
  const more = { ...AS_IS, depth: true, sparsity: 1e-6, allocation, format: 'gguf' } as const;
  const { kind, output } = await prune(work.model('llama2'), options(more));
  t.deepEqual(offered, [['1.attention', '2.attention'], ['1.ffn', '2.attention'], ['2.attention']]);
  t.is(kind, 'llama.cpp');
  t.is((await openCheckpoint(output)).architecture.blocks.length, 2);
});

test('prices are planned for, and refused where nothing weighs them against widths', async (t) => {
  const model = work.model('llama2');
  const { stages } = await plan(model, options({ depth: true, sparsity: 0.2 }));
  t.true(stages.find(({ stage }) => stage === 'depth')!.flops.single > 0);
  const refuses = (more: Partial<PruneOptions>, message: RegExp) =>
    t.throwsAsync(plan(model, options({ depth: true, sparsity: 0.2, ...more })), {
      code: 'ERR_ARGUMENT',
      message,
    });
  await refuses({ allocation: 'uniform' }, /allocation uniform .* depth: true out/);
  await refuses({ allocation: 'energy' }, /allocation energy .* depth: true out/);
  await refuses({ layerWeights: 'fisher' }, /priced by trial.*layerWeights probe/);
  await refuses({ method: 'flap', allocation: 'threshold' }, /priced by trial|no threshold/);
  await refuses({ apart: true }, /leave apart: true out/);
});
