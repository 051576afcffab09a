/** SmolLM2, dense and pruned: transformers and llama.cpp load what we write and compute what we compute. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { readWindows } from '../../lib/calibration/text';
import { parseGguf } from '../../lib/checkpoint/container';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { exportModel } from '../../lib/export-model';
import type { PruneOptions } from '../../lib/options';
import { prune } from '../../lib/prune';
import type { LayerResult, PruneResult } from '../../lib/pruning/result';
import { elements, safetensorsShapes } from '../e2e/files';
import { CALIBRATION, EVALUATION } from '../e2e/models';
import { isLong, long } from '../long';
import {
  type Distance,
  distance,
  type Logits,
  llamaLogits,
  ourLogits,
  quantiseByLlama,
  relativeDifference,
  transformersLogits,
} from './prune-oracles';

const MODEL = process.env.STRUPRUNE_MODEL!;
const PARAMETERS = 134_515_008;
const HIDDEN = 576;
const HEAD_DIM = 64;
const QUERIES_PER_KV = 3;
const POSITIONS = 256;

const work = mkdtempSync(join(tmpdir(), 'struprune-real-'));
test.after.always(() => rmSync(work, { recursive: true, force: true }));

const idsOf = async (file: string) => [
  ...(await readWindows(await openCheckpoint(MODEL), file, {
    window: POSITIONS,
    maxTokens: POSITIONS,
  })),
];

test.serial('SmolLM2: logits as by transformers from weights dequantised by gguf-py', async (t) => {
  const ids = await idsOf(EVALUATION);
  const { logits, answer } = transformersLogits({ how: 'gguf', model: MODEL, ids });
  t.is(answer.parameters, PARAMETERS);
  const difference = relativeDifference(await ourLogits(MODEL, ids), logits);
  t.log(`${difference} of the largest logit`);
  t.true(difference <= 1e-4, String(difference));
});

/** Issue A: nats, and the share of positions with another likeliest token. */
const NATS = 0.02;
const CHANGED = 0.02;

/** Every position within the bounds. */
function near(t: ExecutionContext, whose: string, found: Distance): void {
  const words = `to ${whose}: ${JSON.stringify(found)}`;
  t.log(words);
  t.true(found.largest <= NATS && found.changed <= CHANGED * found.positions, words);
}

/**
 * Our logits of a file whose weights are not float32. llama.cpp's own kernels round the activations, so that the mean
 * alone can be held to a bound; over BLAS it takes them as they are (docs/decisions/0003).
 */
function nearWithBlas(
  t: ExecutionContext,
  file: string,
  ids: readonly number[],
  ours: Logits,
  theirs: Logits,
): Distance {
  const { logits } = llamaLogits(file, ids, { blas: true });
  near(t, 'node-llama-cpp with BLAS', distance(ours, logits, ids));
  const rounded = distance(ours, theirs, ids);
  t.log(`to its own kernels: ${JSON.stringify(rounded)}`);
  t.true(Math.abs(rounded.mean) <= NATS, String(rounded.mean));
  return rounded;
}

test.serial('SmolLM2, Q4_1: next tokens as by llama.cpp', async (t) => {
  const ids = await idsOf(EVALUATION);
  const { logits, architecture } = llamaLogits(MODEL, ids);
  t.is(architecture, 'llama');
  nearWithBlas(t, MODEL, ids, await ourLogits(MODEL, ids), logits);
});

/** Weights of what a block lost, from its widths. */
function removedFrom(layer: LayerResult): number {
  const { ffnBefore, ffnAfter, kvHeadsBefore, kvHeadsAfter } = layer;
  // gate, up, down; rows of q, k, v and columns of o.
  const channel = 3 * HIDDEN;
  const head = (2 * QUERIES_PER_KV + 2) * HEAD_DIM * HIDDEN;
  return (ffnBefore - ffnAfter) * channel + (kvHeadsBefore - kvHeadsAfter) * head;
}

const OPTIONS = {
  calibration: CALIBRATION,
  // Few: what is asserted is that other programs compute with the files what we do.
  calibrationTokens: 1024,
  tuneTokens: 0,
  surveyTokens: 512,
  layerWeights: 'output',
  window: 512,
  ffnSolver: 'output',
  // So that Q8_0 can hold the widths too.
  multiple: 32,
  sparsity: 0.2,
} satisfies Partial<PruneOptions>;

const OWN = {
  allocation: 'threshold',
  scope: 'all',
  how: 'own',
  hf: 'own-modeling',
  gguf: 'deci',
  short: 'f16',
} as const;
const STOCK = {
  allocation: 'uniform',
  scope: 'ffn',
  how: 'stock',
  hf: 'stock',
  gguf: 'llama',
  short: 'q4_1',
} as const;

/** Most take half a minute: .ci/run has one case (families.test.ts has both, of small models), STRUPRUNE_LONG=1 all. */
const CASES = [OWN, ...long([STOCK])] as const;
const DTYPES = ['f32', 'f16', 'q8_0', 'q4_1', 'q5_0'] as const;

for (const { allocation, scope, how, hf, gguf, short } of CASES) {
  const output = join(work, allocation);
  let result: PruneResult;

  test.serial(
    `pruned at 20 %, ${allocation}, ${scope}: smaller by the weights removed`,
    async (t) => {
      result = await prune(MODEL, {
        ...OPTIONS,
        output,
        allocation,
        scope,
        dtype: 'f32',
        eval: EVALUATION,
        evalTokens: 2048,
      });
      t.is(result.kind, hf);
      const { sparsity, perplexityBefore, perplexityAfter } = result;
      t.log(`S ${sparsity}, perplexity ${perplexityBefore} to ${perplexityAfter}`);
      t.true(sparsity >= 0.2 && sparsity < 0.21);
      // Neither luck nor ruin.
      t.true(perplexityAfter! > perplexityBefore! && perplexityAfter! < 4 * perplexityBefore!);

      const removed = result.layers.reduce((sum, layer) => sum + removedFrom(layer), 0);
      t.is(result.parametersBefore, PARAMETERS);
      t.is(elements(safetensorsShapes(output)), PARAMETERS - removed);
      const bytes = readFileSync(join(output, 'model.safetensors')).subarray(0, 8);
      const header = 8 + Number(bytes.readBigUInt64LE());
      t.is(statSync(join(output, 'model.safetensors')).size, header + 4 * (PARAMETERS - removed));
    },
  );

  test.serial(
    `${allocation}, ${scope}: transformers loads the folder, logits as ours`,
    async (t) => {
      // A short text, whose ids by the folder's tokenizer are compared.
      const text = join(work, `${allocation}.txt`);
      writeFileSync(text, readFileSync(EVALUATION, 'utf8').slice(0, 3000));
      const ids = await idsOf(text);
      const { logits, answer } = transformersLogits({ how, model: output, ids, text });
      t.is(answer.class, how === 'stock' ? 'LlamaForCausalLM' : 'StrupruneLlamaForCausalLM');
      t.is(answer.module.startsWith('transformers.models.'), how === 'stock');
      t.is(answer.parameters, result.parametersAfter);
      t.deepEqual(answer.loose, []);
      t.deepEqual(answer.ids!.slice(0, POSITIONS), ids);
      const difference = relativeDifference(await ourLogits(output, ids), logits);
      t.log(`${difference} of the largest logit`);
      t.true(difference <= 1e-4, String(difference));
    },
  );

  const dtypes = isLong ? DTYPES : [short];
  for (const dtype of dtypes) {
    test.serial(
      `${allocation}, ${scope}: llama.cpp loads the ${dtype} file, as ours`,
      async (t) => {
        const file = join(work, `${allocation}-${dtype}.gguf`);
        // Nothing more is removed: the folder goes in, the file comes out, by a prune that reads it again or alone.
        const to = { output: file, format: 'gguf', dtype } as const;
        if (dtype === 'f32') {
          const written = await prune(output, {
            ...OPTIONS,
            ...to,
            calibrationTokens: POSITIONS,
            tuneTokens: 0,
            window: POSITIONS,
            method: 'magnitude-l2',
            allocation: 'uniform',
            sparsity: 0,
          });
          t.is(written.parametersAfter, result.parametersAfter);
        } else await exportModel(output, to);
        const ids = await idsOf(EVALUATION);
        const { logits, architecture } = llamaLogits(file, ids);
        t.is(architecture, gguf);
        const ours = await ourLogits(file, ids);
        if (dtype === 'f32') near(t, 'llama.cpp', distance(ours, logits, ids));
        else {
          const { meanSize, changed, positions } = nearWithBlas(t, file, ids, ours, logits);
          // To 16 bits, where the weights have them: that changes next to nothing.
          t.true(dtype !== 'f16' || (meanSize <= NATS && changed <= CHANGED * positions));
        }
        if (dtype.startsWith('q')) {
          // gguf-py's values of the same file, without rounded activations; it names llama's tensors only.
          if (gguf === 'llama') {
            const difference = relativeDifference(
              ours,
              transformersLogits({ how: 'gguf', model: file, ids }).logits,
            );
            t.true(difference <= 1e-4, String(difference));
          }
        }
        rmSync(file);
      },
    );
  }
}

(isLong ? test.serial : test.serial.skip)(
  'quantised by llama.cpp to Q4_K_M: what is not refitted stays as it is, and llama.cpp computes as we do',
  async (t) => {
    const fileOf = (name: string) => join(work, `${name}.gguf`);
    const [plain, source, output] = [fileOf('f16'), fileOf('q4_k_m'), fileOf('pruned')];
    await exportModel(MODEL, { output: plain, dtype: 'f16' });
    quantiseByLlama(plain, source, 15);
    rmSync(plain);
    const result = await prune(source, { ...OPTIONS, output, allocation: 'uniform', scope: 'ffn' });
    // Rows of 576 are no whole blocks of 256: llama.cpp takes other types for them.
    const typesOf = (file: string) =>
      new Map(parseGguf(file).tensors.map(({ name, dtype }) => [name, dtype]));
    const [before, after] = [typesOf(source), typesOf(output)];
    const downs = [...before].filter(([name]) => name.includes('ffn_down'));
    t.deepEqual([...new Set(downs.map(([, dtype]) => String(dtype)))].sort(), ['Q4_K', 'Q6_K']);
    for (const [name, dtype] of after) {
      const refitted = name.includes('ffn_down');
      t.is(String(dtype), refitted ? 'Q5_1' : before.get(name)!, name);
    }
    t.true(result.bytesAfter < 0.95 * result.bytesBefore);
    const ids = await idsOf(EVALUATION);
    const { logits, architecture } = llamaLogits(output, ids);
    t.is(architecture, 'llama');
    nearWithBlas(t, output, ids, await ourLogits(output, ids), logits);
    // Over BLAS too llama.cpp rounds activations in front of K types.
    for (const file of [source, output]) {
      const byTorch = transformersLogits({ how: 'gguf', model: file, ids });
      const difference = relativeDifference(await ourLogits(file, ids), byTorch.logits);
      t.log(`${difference} of the largest logit`);
      t.true(difference <= 1e-4, String(difference));
    }
  },
);
