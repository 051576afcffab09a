/** Models with other mixers beside attention: what is pruned of them, what stays, and what is not done since gradients do not go through. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { parseGguf } from '../../lib/checkpoint/container';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { exportModel } from '../../lib/export-model';
import type { PruneOptions } from '../../lib/options';
import { plan } from '../../lib/plan';
import { prune } from '../../lib/prune';
import { ourLogits } from '../real/prune-oracles';
import { safetensors, safetensorsBytes } from './files';
import { CALIBRATION_IDS, workspace } from './models';

const work = workspace();
test.after.always(() => work.remove());

const WINDOW = 48;
/** The tokenizer of the models gives a text its own bytes as ids. */
const IDS = CALIBRATION_IDS.subarray(0, 24 * WINDOW);
const options = (more: Partial<PruneOptions>): PruneOptions => ({
  output: join(work.emptyFolder(), more.format === 'gguf' ? 'out.gguf' : 'out'),
  calibration: CALIBRATION_IDS,
  calibrationTokens: 20 * WINDOW,
  surveyTokens: 10 * WINDOW,
  window: WINDOW,
  sparsity: 0.2,
  threads: 1,
  ...more,
});

const REFUSED: [Partial<PruneOptions>, RegExp][] = [
  [
    { layerWeights: 'fisher' },
    /some blocks of this model have short convolutions: Fisher metrics need gradients/,
  ],
  [{ tuneTokens: 4 * WINDOW }, /short convolutions: tuning needs gradients/],
  [{ method: 'gisp' }, /short convolutions: importances need gradients/],
  [{ scope: 'experts' }, /this model has no experts/],
];
for (const [more, message] of REFUSED) {
  test(`refused: ${JSON.stringify(more)}`, async (t) => {
    const output = join(work.emptyFolder(), 'out');
    for (const call of [prune, plan]) {
      await t.throwsAsync(call(work.model('lfm2'), options({ ...more, output })), {
        code: 'ERR_UNSUPPORTED',
        message,
      });
    }
    t.deepEqual(readdirSync(join(output, '..')), []);
  });
}

test('that nothing is tuned is said by the plan and by the run, once, where it would be', async (t) => {
  const note =
    'nothing is tuned: some blocks of this model have short convolutions, and gradients do not go through them';
  const said = (notes: readonly string[]) => notes.filter((text) => text.startsWith('nothing is'));
  const usual = options({});
  t.deepEqual(said((await plan(work.model('lfm2'), usual)).notes), [note]);
  const { notes, tuning } = await prune(work.model('lfm2'), usual);
  t.deepEqual(said(notes), [note]);
  t.is(tuning, null);
  for (const [model, more] of [
    ['lfm2', { tuneTokens: 0 }],
    ['llama2', {}],
  ] as const) {
    t.deepEqual(said((await plan(work.model(model), options(more))).notes), [], model);
  }
});

test('convolutions stay byte for byte, whatever goes beside them', async (t) => {
  for (const more of [{ scope: 'all' }, { depth: true, sparsity: 0.3 }] as const) {
    const model = work.model('lfm2-unlike');
    const { output, layers } = await prune(model, options({ ...more, tuneTokens: 0 }));
    const [before, after] = [safetensors(model), safetensors(output)];
    const names = Object.keys(before).filter((name) => name.includes('.conv.'));
    t.is(names.length, 6);
    for (const name of names) t.deepEqual(after[name], before[name], name);
    t.deepEqual([layers[1]!.kvHeadsBefore, layers[1]!.kvHeadsAfter], [0, 0]);
    t.true(layers.some(({ ffnAfter, ffnBefore }) => ffnAfter < ffnBefore));
    const { architecture } = await openCheckpoint(output);
    t.deepEqual(architecture.convolution, { kernel: 4, bias: true });
    t.deepEqual(
      architecture.blocks.map(({ mixer }) => mixer === 'convolution'),
      [false, true, false],
    );
  }
});

test('a delta rule stays byte for byte; its norm is stored as it is, others less 1', async (t) => {
  const model = work.model('qwen3.5-unlike');
  const { output, notes, tuning } = await prune(model, options({ scope: 'all' }));
  const [before, after] = [safetensors(model), safetensors(output)];
  const stays = (name: string) => /linear_attn|norm/.test(name);
  const names = Object.keys(before).filter(stays);
  t.is(names.filter((name) => name.includes('linear_attn')).length, 9);
  for (const name of names) t.deepEqual(after[name], before[name], name);
  t.is(tuning, null);
  t.true(notes.some((note) => /^nothing is tuned: .*gated delta rules/.test(note)));
  const { architecture } = await openCheckpoint(output);
  t.like(architecture, { gatedAttention: true, rope: { theta: 1e6, dims: 16 } });
  t.deepEqual(architecture.delta, {
    ...{ keyHeads: 2, valueHeads: 2, tiled: false, keyDim: 8, valueDim: 16, kernel: 5 },
  });
});

test('a delta rule whose maps lie key head by key head stays byte for byte beside experts', async (t) => {
  const model = work.model('qwen3-next');
  const { output } = await prune(model, options({ scope: 'experts', sparsity: 0.15 }));
  const [before, after] = [safetensors(model), safetensors(output)];
  const names = Object.keys(before).filter((name) => /linear_attn|norm|shared/.test(name));
  t.is(names.filter((name) => name.includes('linear_attn')).length, 3 * 7);
  for (const name of names) t.deepEqual(after[name], before[name], name);
  t.is(after['model.layers.0.mlp.gate.weight']!.shape[0], 4);
});

test('what the stock class does not load is left out, which is said', async (t) => {
  for (const name of ['qwen3.5-unlike', 'qwen3.5-vision']) {
    const model = work.model(name);
    const before = safetensors(model);
    const twice = (own: string) =>
      own.endsWith('o_proj.weight') ? [own, 'mtp.layers.0.o'] : [own];
    writeFileSync(join(model, 'model.safetensors'), safetensorsBytes(model, twice));
    const { parameters, unloaded } = await openCheckpoint(model);
    t.is(parameters, (await openCheckpoint(work.model(name))).parameters);
    t.deepEqual(unloaded, ['mtp.layers.0.o']);
    const { output, notes } = await prune(model, options({ scope: 'ffn', allocation: 'uniform' }));
    t.deepEqual(Object.keys(safetensors(output)).sort(), Object.keys(before).sort());
    t.is(notes.filter((note) => /^1 tensors as mtp.layers.0.o are left out/.test(note)).length, 1);
  }
});

for (const name of ['qwen3.5', 'qwen3.5-moe', 'qwen3-next-plain']) {
  test(`${name}: a GGUF of others and a folder are the same model, either way`, async (t) => {
    const folder = work.model(name);
    // Written by gguf-py, heads as llama.cpp has them.
    const theirs = join(__dirname, '../fixtures/models', name, 'model.gguf');
    const file = join(work.emptyFolder(), 'ours.gguf');
    await exportModel(folder, { output: file, format: 'gguf', dtype: 'f16' });
    const [found, wanted] = [file, theirs].map((path) => {
      const { tensors } = parseGguf(path);
      const bytes = readFileSync(path);
      return tensors
        .map(({ name, dtype, shape, offset, bytes: length }) => ({
          ...{ name, dtype, shape },
          bytes: bytes.toString('hex', offset, offset + length),
        }))
        .sort((a, b) => (a.name < b.name ? -1 : 1));
    });
    // Rates are powers, of which the last bit is the machine's.
    const isRate = ({ name }: { name: string }) => name.endsWith('.ssm_a');
    t.deepEqual(
      found!.filter((tensor) => !isRate(tensor)),
      wanted!.filter((tensor) => !isRate(tensor)),
    );
    const back = join(work.emptyFolder(), 'back');
    const small = join(work.emptyFolder(), 'back.gguf');
    const heads = { scope: 'attention', allocation: 'uniform', sparsity: 0.01 } as const;
    const given = options({ ...heads, calibration: IDS, refit: false, bias: 'keep' });
    await prune(folder, { ...given, output: back, format: 'hf' });
    await prune(file, { ...given, output: small, format: 'gguf' });
    const ids = Array.from(IDS.subarray(0, WINDOW));
    const [dense, same, pruned, alike] = [
      await ourLogits(folder, ids),
      await ourLogits(theirs, ids),
      await ourLogits(back, ids),
      await ourLogits(small, ids),
    ].map(({ values }) => values);
    const near = (one: Float32Array, other: Float32Array) =>
      one.every((value, i) => Math.abs(value - other[i]!) < 1e-4);
    t.true(near(dense!, same!));
    t.true(near(pruned!, alike!));
    t.false(near(dense!, pruned!));
    const again = join(work.emptyFolder(), 'again');
    await exportModel(file, { output: again, format: 'hf', dtype: 'f16' });
    const [before, after] = [safetensors(folder), safetensors(again)];
    for (const [own, tensor] of Object.entries(before)) {
      if (!own.endsWith('A_log')) t.deepEqual(after[own], tensor, own);
    }
  });
}

test('a KV head of gated attention takes its gates along', async (t) => {
  const model = work.model('qwen3.5');
  const asked = {
    scope: 'attention',
    allocation: 'uniform',
    sparsity: 0.02,
    refit: false,
  } as const;
  const { output, layers } = await prune(model, options(asked));
  t.deepEqual(
    layers.map(({ kvHeadsAfter }) => kvHeadsAfter),
    [0, 0, 0, 1],
  );
  const name = 'model.layers.3.self_attn.q_proj.weight';
  const [before, after] = [safetensors(model)[name]!, safetensors(output)[name]!];
  // Of four heads of 32 with as many gates two stay, those of one KV head.
  t.deepEqual(
    [before.shape, after.shape],
    [
      [256, 64],
      [128, 64],
    ],
  );
  const half = before.bytes.length / 2;
  const halves = [before.bytes.subarray(0, half), before.bytes.subarray(half)];
  t.true(halves.some((bytes) => bytes.equals(after.bytes)));
});

test('a KV head in scope is one of an attention', async (t) => {
  const { layers } = await prune(
    work.model('lfm2'),
    options({ scope: 'attention', allocation: 'uniform', sparsity: 0.04, tuneTokens: 0 }),
  );
  t.deepEqual(
    layers.map(({ kvHeadsBefore, kvHeadsAfter }) => [kvHeadsBefore, kvHeadsAfter]),
    [
      [0, 0],
      [2, 1],
      [0, 0],
      [2, 1],
    ],
  );
});

test('GGUF in and out: kernels are F32 whatever the other matrices are', async (t) => {
  const more = { format: 'gguf', scope: 'ffn', allocation: 'uniform' } as const;
  const source = work.path('lfm2.gguf');
  await exportModel(work.model('lfm2'), { output: source, dtype: 'q8_0' });
  const { output } = await prune(source, options({ ...more, sparsity: 0.1 }));
  const { tensors } = parseGguf(output);
  const typeOf = (name: string) => tensors.find((tensor) => tensor.name === name)?.dtype;
  t.is(typeOf('blk.0.shortconv.conv.weight'), 'F32');
  t.is(typeOf('blk.0.shortconv.in_proj.weight'), 'Q8_0');
  t.is(typeOf('blk.1.attn_q.weight'), 'Q8_0');
  const before = await openCheckpoint(source);
  const { architecture } = await openCheckpoint(output);
  t.deepEqual(
    architecture.blocks.map(({ ffn }) => ffn),
    [64, 64, 64, 64],
  );
  t.deepEqual({ ...architecture, blocks: before.architecture.blocks }, before.architecture);
});

test('biases of short convolutions are no part of a GGUF file: refused before work', async (t) => {
  const asked = options({ format: 'gguf', scope: 'ffn', allocation: 'uniform' });
  await t.throwsAsync(prune(work.model('lfm2-unlike'), asked), {
    code: 'ERR_UNSUPPORTED',
    message: /lfm2 models do not have biases of short convolutions/,
  });
});
