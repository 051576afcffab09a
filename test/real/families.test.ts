/**
 * Every family, pruned: transformers and llama.cpp load what we write and compute what we compute. Small models
 * with random weights; SmolLM2 is in prune.test.ts.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { parseGguf } from '../../lib/checkpoint/container';
import type { PruneOptions } from '../../lib/options';
import { prune } from '../../lib/prune';
import type { PruneResult } from '../../lib/pruning/result';
import { packedGguf } from '../e2e/mixed-gguf';
import { CALIBRATION, EVALUATION, workspace } from '../e2e/models';
import { asInLlamaCpp, asInTransformers, loadedByTransformers } from './as-ours';
import { distance, llamaLogits, ourLogits, type TransformersResult } from './prune-oracles';

const work = workspace();
test.after.always(() => work.remove());

const WINDOW = 48;
/** Of the Mistral model: a GGUF file looks back without limit. */
const SLIDING = 16;
/** The tokenizer of the models gives a text its own bytes as ids. */
const IDS = [...readFileSync(EVALUATION).subarray(0, WINDOW)];

const OPTIONS = {
  calibration: CALIBRATION,
  calibrationTokens: 20 * WINDOW,
  tuneTokens: 0,
  surveyTokens: 10 * WINDOW,
  window: WINDOW,
  sparsity: 0.2,
  dtype: 'f32',
  threads: 1,
} satisfies Partial<PruneOptions>;

type Shape = Partial<PruneOptions> & { scope: NonNullable<PruneOptions['scope']> };
const uniform = (scope: Shape['scope']): Shape => ({ scope, allocation: 'uniform' });
const perBlock = (scope: Shape['scope']): Shape => ({ scope, allocation: 'threshold' });
/** A KV head of every block: half of them, in the models that have two. */
const heads: Shape = { ...uniform('attention'), sparsity: 0.05 };
/** One of all blocks' KV heads. */
const someHeads: Shape = { ...perBlock('attention'), sparsity: 0.05 };
/** Whole experts of every block. */
const experts: Shape = { scope: 'experts', sparsity: 0.2 };
/** Channels inside every one. */
const channels: Shape = { scope: 'expert-channels', sparsity: 0.2 };
/** Whole experts, and channels inside those that stay: one of both would not suffice. */
const both = (sparsity: number): Shape => ({ scope: 'moe', maxLayerSparsity: 0.4, sparsity });
/** So many of each block as trials say. */
const apiece = (sparsity: number): Shape => ({ ...both(sparsity), allocation: 'threshold' });
/** Channels go by 32 of 64. */
const halves = { maxLayerSparsity: 0.5, dtype: undefined };
/** Output maps get a bias that makes up for the mean of what is removed. */
const withBias: Shape = { ...uniform('ffn'), method: 'flap' };

const FOLDERS: [model: string, shape: Shape, loadedAs: string][] = [
  ['opt-pre', uniform('ffn'), 'OPTForCausalLM'],
  ['opt-pre', heads, 'StrupruneOPTForCausalLM'],
  ['opt-pre', perBlock('all'), 'StrupruneOPTForCausalLM'],
  ['opt-post', uniform('ffn'), 'OPTForCausalLM'],
  ['opt-post', heads, 'StrupruneOPTForCausalLM'],
  ['opt-post', perBlock('all'), 'StrupruneOPTForCausalLM'],
  ['mistral', uniform('ffn'), 'MistralForCausalLM'],
  ['mistral', heads, 'MistralForCausalLM'],
  ['mistral', perBlock('all'), 'StrupruneMistralForCausalLM'],
  ['mistral', withBias, 'StrupruneMistralForCausalLM'],
  ['qwen2', heads, 'Qwen2ForCausalLM'],
  ['qwen2', perBlock('all'), 'StrupruneQwen2ForCausalLM'],
  ['qwen3', uniform('ffn'), 'Qwen3ForCausalLM'],
  ['qwen3', heads, 'Qwen3ForCausalLM'],
  ['qwen3', perBlock('all'), 'StrupruneQwen3ForCausalLM'],
  ['gemma3', uniform('ffn'), 'Gemma3ForCausalLM'],
  ['gemma3', heads, 'Gemma3ForCausalLM'],
  ['gemma3', perBlock('all'), 'StrupruneGemma3ForCausalLM'],
  ['gemma3-unlike', perBlock('all'), 'StrupruneGemma3ForCausalLM'],
  ['gemma3-unlike', withBias, 'StrupruneGemma3ForCausalLM'],
  ['gemma2', uniform('ffn'), 'Gemma2ForCausalLM'],
  ['gemma2', heads, 'Gemma2ForCausalLM'],
  ['gemma2', perBlock('all'), 'StrupruneGemma2ForCausalLM'],
  ['gemma2-unlike', { ...perBlock('all'), tuneTokens: 4 * WINDOW }, 'StrupruneGemma2ForCausalLM'],
  ['phi3', uniform('ffn'), 'Phi3ForCausalLM'],
  ['phi3', heads, 'StruprunePhi3ForCausalLM'],
  ['phi3', perBlock('all'), 'StruprunePhi3ForCausalLM'],
  ['phi3-plain', heads, 'Phi3ForCausalLM'],
  ['phi3-plain', perBlock('all'), 'StruprunePhi3ForCausalLM'],
  ['phi3-plain', withBias, 'StruprunePhi3ForCausalLM'],
  ['gpt2', uniform('ffn'), 'GPT2LMHeadModel'],
  ['gpt2', heads, 'StrupruneGPT2LMHeadModel'],
  ['gpt2', perBlock('all'), 'StrupruneGPT2LMHeadModel'],
  ['gpt-neox', uniform('ffn'), 'GPTNeoXForCausalLM'],
  ['gpt-neox', heads, 'StrupruneGPTNeoXForCausalLM'],
  ['gpt-neox', { ...perBlock('all'), tuneTokens: 4 * WINDOW }, 'StrupruneGPTNeoXForCausalLM'],
  ['gpt-neox-tanh', perBlock('all'), 'StrupruneGPTNeoXForCausalLM'],
  ['gpt-neox-serial', uniform('ffn'), 'GPTNeoXForCausalLM'],
  ['gpt-neox-serial', perBlock('all'), 'StrupruneGPTNeoXForCausalLM'],
  ['starcoder2', uniform('ffn'), 'Starcoder2ForCausalLM'],
  ['starcoder2', heads, 'Starcoder2ForCausalLM'],
  ['starcoder2', perBlock('all'), 'StrupruneStarcoder2ForCausalLM'],
  ['starcoder2-bare', perBlock('all'), 'StrupruneStarcoder2ForCausalLM'],
  ['olmo2', uniform('ffn'), 'Olmo2ForCausalLM'],
  ['olmo2', perBlock('all'), 'StrupruneOlmo2ForCausalLM'],
  ['olmo3', uniform('ffn'), 'Olmo3ForCausalLM'],
  ['olmo3', perBlock('all'), 'StrupruneOlmo3ForCausalLM'],
  ['seed-oss', heads, 'SeedOssForCausalLM'],
  ['seed-oss', perBlock('all'), 'StrupruneSeedOssForCausalLM'],
  ['seed-oss-biases', perBlock('all'), 'StrupruneSeedOssForCausalLM'],
  ['smollm3', heads, 'SmolLM3ForCausalLM'],
  ['smollm3', perBlock('all'), 'StrupruneSmolLM3ForCausalLM'],
  ['granite', heads, 'GraniteForCausalLM'],
  ['granite', { ...perBlock('all'), sparsity: 0.4 }, 'StrupruneGraniteForCausalLM'],
  ['granite4', heads, 'GraniteMoeHybridForCausalLM'],
  ['granite4', perBlock('all'), 'StrupruneGraniteMoeHybridForCausalLM'],
  ['ernie4.5', heads, 'Ernie4_5ForCausalLM'],
  ['ernie4.5', perBlock('all'), 'StrupruneErnie4_5ForCausalLM'],
  ['ernie4.5-biases', perBlock('all'), 'StrupruneErnie4_5ForCausalLM'],
  ['qwen2-sliding', heads, 'Qwen2ForCausalLM'],
  ['mixtral', heads, 'MixtralForCausalLM'],
  ['mixtral', experts, 'MixtralForCausalLM'],
  ['mixtral', channels, 'MixtralForCausalLM'],
  ['mixtral', someHeads, 'StrupruneMixtralForCausalLM'],
  ['qwen2-moe', heads, 'Qwen2MoeForCausalLM'],
  ['qwen2-moe', experts, 'Qwen2MoeForCausalLM'],
  ['qwen2-moe', channels, 'Qwen2MoeForCausalLM'],
  ['qwen2-moe', someHeads, 'StrupruneQwen2MoeForCausalLM'],
  ['qwen2-moe-sliding', experts, 'Qwen2MoeForCausalLM'],
  ['qwen2-moe-sliding', someHeads, 'StrupruneQwen2MoeForCausalLM'],
  ['ministral-plain', uniform('ffn'), 'MinistralForCausalLM'],
  ['ministral3', heads, 'Ministral3ForCausalLM'],
  ['ministral3', perBlock('all'), 'StrupruneMinistral3ForCausalLM'],
  ['qwen3-moe', heads, 'Qwen3MoeForCausalLM'],
  ['qwen3-moe', { ...experts, method: 'reap' }, 'Qwen3MoeForCausalLM'],
  ['qwen3-moe', channels, 'Qwen3MoeForCausalLM'],
  ['qwen3-moe', { ...channels, method: 'wanda-sp' }, 'Qwen3MoeForCausalLM'],
  ['olmoe', experts, 'OlmoeForCausalLM'],
  ['olmoe', channels, 'OlmoeForCausalLM'],
  ['granite-moe', heads, 'GraniteMoeForCausalLM'],
  ['granite-moe', experts, 'GraniteMoeForCausalLM'],
  ['granite-moe', channels, 'GraniteMoeForCausalLM'],
  ['granite-moe', someHeads, 'StrupruneGraniteMoeForCausalLM'],
  ['qwen3-moe', someHeads, 'StrupruneQwen3MoeForCausalLM'],
  ['gpt-oss', heads, 'GptOssForCausalLM'],
  ['gpt-oss', experts, 'GptOssForCausalLM'],
  ['gpt-oss', channels, 'GptOssForCausalLM'],
  ['gpt-oss', someHeads, 'StrupruneGptOssForCausalLM'],
  ['gpt-oss-mxfp4', experts, 'GptOssForCausalLM'],
  ['gpt-oss-mxfp4', channels, 'GptOssForCausalLM'],
  // In MXFP4 again.
  ['gpt-oss-mxfp4', { ...experts, dtype: undefined }, 'GptOssForCausalLM'],
  ['gpt-oss-mxfp4', { ...channels, dtype: undefined }, 'GptOssForCausalLM'],
  ['gpt-oss-mxfp4', { ...both(0.5), ...halves }, 'GptOssForCausalLM'],
  ['gpt-oss-mxfp4', { ...apiece(0.4), ...halves }, 'StrupruneGptOssForCausalLM'],
  ['gpt-oss-mxfp4', { ...heads, dtype: undefined }, 'GptOssForCausalLM'],
  [
    'gpt-oss-mxfp4',
    { ...someHeads, sparsity: 0.04, dtype: undefined },
    'StrupruneGptOssForCausalLM',
  ],
  ['gpt-oss-mxfp4', { ...experts, refit: false, dtype: undefined }, 'GptOssForCausalLM'],
  ['qwen3-moe', { ...heads, maxShardBytes: 100_000 }, 'Qwen3MoeForCausalLM'],
  ['qwen3-sliding', perBlock('all'), 'StrupruneQwen3ForCausalLM'],
  ['qwen3.5', uniform('ffn'), 'Qwen3_5ForCausalLM'],
  ['qwen3.5', { ...heads, sparsity: 0.02 }, 'Qwen3_5ForCausalLM'],
  ['qwen3.5', perBlock('all'), 'StrupruneQwen3_5ForCausalLM'],
  ['qwen3.5-unlike', heads, 'Qwen3_5ForCausalLM'],
  ['qwen3.5-unlike', perBlock('all'), 'StrupruneQwen3_5ForCausalLM'],
  ['qwen3-next', { ...heads, sparsity: 0.01 }, 'Qwen3NextForCausalLM'],
  ['qwen3-next', { ...experts, sparsity: 0.15, maxShardBytes: 100_000 }, 'Qwen3NextForCausalLM'],
  ['qwen3-next', channels, 'Qwen3NextForCausalLM'],
  ['qwen3-next-unlike', heads, 'Qwen3NextForCausalLM'],
  ['qwen3-next-unlike', { ...experts, sparsity: 0.1, method: 'reap' }, 'Qwen3NextForCausalLM'],
  ['qwen3-next-unlike', someHeads, 'StrupruneQwen3NextForCausalLM'],
  ['qwen3.5-moe', { ...heads, sparsity: 0.01 }, 'Qwen3_5MoeForCausalLM'],
  ['qwen3.5-moe', { ...experts, sparsity: 0.15 }, 'Qwen3_5MoeForCausalLM'],
  ['qwen3.5-moe', channels, 'Qwen3_5MoeForCausalLM'],
  ['lfm2-moe', { ...heads, sparsity: 0.02 }, 'Lfm2MoeForCausalLM'],
  // Channels of the one block whose FFN is dense.
  ['lfm2-moe', { ...uniform('ffn'), sparsity: 0.03 }, 'Lfm2MoeForCausalLM'],
  ['qwen3-next', { ...uniform('ffn'), sparsity: 0.03 }, 'Qwen3NextForCausalLM'],
  ['lfm2-moe', experts, 'Lfm2MoeForCausalLM'],
  ['lfm2-moe', channels, 'Lfm2MoeForCausalLM'],
  ['lfm2-moe-unlike', { ...experts, sparsity: 0.1, method: 'reap' }, 'Lfm2MoeForCausalLM'],
  ['lfm2-moe-unlike', someHeads, 'StrupruneLfm2MoeForCausalLM'],
  ['granite-moe-shared', heads, 'GraniteMoeSharedForCausalLM'],
  ['granite-moe-shared', experts, 'GraniteMoeSharedForCausalLM'],
  ['granite-moe-shared', channels, 'GraniteMoeSharedForCausalLM'],
  ['granite-moe-shared', someHeads, 'StrupruneGraniteMoeSharedForCausalLM'],
  ['mixtral', both(0.3), 'MixtralForCausalLM'],
  ['qwen2-moe', both(0.28), 'Qwen2MoeForCausalLM'],
  ['qwen3-moe', both(0.28), 'Qwen3MoeForCausalLM'],
  ['olmoe', both(0.35), 'OlmoeForCausalLM'],
  ['granite-moe', both(0.28), 'GraniteMoeForCausalLM'],
  ['gpt-oss', both(0.35), 'GptOssForCausalLM'],
  ['qwen3-next', both(0.2), 'Qwen3NextForCausalLM'],
  ['qwen3.5-moe', both(0.23), 'Qwen3_5MoeForCausalLM'],
  ['lfm2-moe', both(0.24), 'Lfm2MoeForCausalLM'],
  ['granite-moe-shared', both(0.25), 'GraniteMoeSharedForCausalLM'],
  ['mixtral', apiece(0.15), 'StrupruneMixtralForCausalLM'],
  ['qwen2-moe', apiece(0.25), 'StrupruneQwen2MoeForCausalLM'],
  ['qwen3-moe', apiece(0.15), 'StrupruneQwen3MoeForCausalLM'],
  ['olmoe', apiece(0.25), 'StrupruneOlmoeForCausalLM'],
  ['granite-moe', apiece(0.06), 'StrupruneGraniteMoeForCausalLM'],
  ['gpt-oss', apiece(0.15), 'StrupruneGptOssForCausalLM'],
  ['qwen3-next', apiece(0.1), 'StrupruneQwen3NextForCausalLM'],
  ['qwen3.5-moe', apiece(0.1), 'StrupruneQwen3_5MoeForCausalLM'],
  ['lfm2-moe', apiece(0.1), 'StrupruneLfm2MoeForCausalLM'],
  ['granite-moe-shared', apiece(0.06), 'StrupruneGraniteMoeSharedForCausalLM'],
  ['lfm2', uniform('ffn'), 'Lfm2ForCausalLM'],
  ['lfm2', heads, 'Lfm2ForCausalLM'],
  ['lfm2', perBlock('all'), 'StrupruneLfm2ForCausalLM'],
  ['lfm2-unlike', heads, 'Lfm2ForCausalLM'],
  ['lfm2-unlike', perBlock('all'), 'StrupruneLfm2ForCausalLM'],
  ['lfm2-unlike', withBias, 'StrupruneLfm2ForCausalLM'],
  ['llama-bias', uniform('ffn'), 'LlamaForCausalLM'],
  ['llama-bias', heads, 'LlamaForCausalLM'],
  ['llama-bias', perBlock('all'), 'StrupruneLlamaForCausalLM'],
  ['llama3', { ...uniform('ffn'), maxShardBytes: 100_000 }, 'LlamaForCausalLM'],
  ['llama-fp8', uniform('ffn'), 'LlamaForCausalLM'],
  ['qwen3-moe-fp8', both(0.2), 'Qwen3MoeForCausalLM'],
  ['llama3-tied', { ...perBlock('all'), maxShardBytes: 100_000 }, 'StrupruneLlamaForCausalLM'],
];

/** `npm run test:long`: no trait that the others have not. */
const LONG: typeof FOLDERS = [
  ['ministral', heads, 'MinistralForCausalLM'],
  ['ministral', perBlock('all'), 'StrupruneMinistralForCausalLM'],
];
if (process.env.STRUPRUNE_LONG) FOLDERS.push(...LONG);

const FILES: [model: string, shape: Shape, architecture: string][] = [
  ['mistral', { ...uniform('ffn'), window: SLIDING }, 'llama'],
  ['mistral', { ...heads, window: SLIDING }, 'llama'],
  ['mistral', { ...perBlock('all'), window: SLIDING }, 'deci'],
  ['mistral', { ...withBias, window: SLIDING }, 'llama'],
  ['qwen2', uniform('ffn'), 'qwen2'],
  ['qwen2', heads, 'deci'],
  ['qwen2', perBlock('all'), 'deci'],
  ['qwen3', uniform('ffn'), 'qwen3'],
  ['qwen3', heads, 'qwen3'],
  ['gemma3', uniform('ffn'), 'gemma3'],
  ['gemma3', heads, 'gemma3'],
  ['gemma2', uniform('ffn'), 'gemma2'],
  ['gemma2', heads, 'gemma2'],
  ['phi3', uniform('ffn'), 'phi3'],
  ['phi3-plain', { ...uniform('ffn'), window: SLIDING }, 'phi3'],
  ['phi3-plain', { ...heads, window: SLIDING }, 'deci'],
  ['phi3-plain', { ...perBlock('all'), window: SLIDING }, 'deci'],
  ['gpt2', uniform('ffn'), 'gpt2'],
  ['gpt-neox-tanh', uniform('ffn'), 'gptneox'],
  // As Pythia is, with the other GELU.
  ['gpt-neox', uniform('ffn'), 'gptneox'],
  ['gpt-neox-serial', uniform('ffn'), 'gptneox'],
  ['starcoder2', uniform('ffn'), 'starcoder2'],
  ['starcoder2-bare', { ...uniform('ffn'), window: SLIDING }, 'starcoder2'],
  ['olmo2', uniform('ffn'), 'olmo2'],
  ['olmo3', uniform('ffn'), 'olmo2'],
  ['seed-oss', heads, 'seed_oss'],
  ['smollm3', heads, 'smollm3'],
  ['granite', heads, 'granite'],
  ['granite4', heads, 'granite'],
  ['ernie4.5', heads, 'ernie4_5'],
  ['ernie4.5', perBlock('all'), 'deci'],
  ['qwen2-sliding', { ...uniform('ffn'), window: SLIDING }, 'qwen2'],
  ['qwen2-moe-sliding', { ...experts, window: SLIDING }, 'qwen2moe'],
  ['ministral-plain', { ...uniform('ffn'), window: SLIDING }, 'llama'],
  ['ministral-plain', { ...perBlock('all'), window: SLIDING }, 'deci'],
  ['ministral3', uniform('ffn'), 'mistral3'],
  ['ministral3', heads, 'mistral3'],
  ['qwen3-sliding', { ...uniform('ffn'), window: SLIDING }, 'qwen3'],
  ['qwen3-yarn', heads, 'qwen3'],
  ['qwen3-yarn', perBlock('all'), 'openelm'],
  ['mixtral', { ...heads, window: SLIDING }, 'llama'],
  ['mixtral', { ...experts, window: SLIDING }, 'llama'],
  ['mixtral', { ...channels, window: SLIDING }, 'llama'],
  ['qwen2-moe', experts, 'qwen2moe'],
  ['qwen2-moe', channels, 'qwen2moe'],
  ['qwen3-moe-even', heads, 'qwen3moe'],
  ['qwen3-moe-even', experts, 'qwen3moe'],
  ['qwen3-moe-even', channels, 'qwen3moe'],
  ['olmoe-alike', experts, 'olmoe'],
  ['olmoe-alike', channels, 'olmoe'],
  ['granite-moe', heads, 'granitemoe'],
  ['granite-moe', experts, 'granitemoe'],
  ['granite-moe', channels, 'granitemoe'],
  ['gpt-oss-mxfp4', heads, 'gpt-oss'],
  ['gpt-oss-mxfp4', experts, 'gpt-oss'],
  ['gpt-oss-mxfp4', channels, 'gpt-oss'],
  ['mixtral', { ...both(0.3), window: SLIDING }, 'llama'],
  ['qwen2-moe', both(0.28), 'qwen2moe'],
  ['qwen3-moe-even', both(0.3), 'qwen3moe'],
  ['qwen3-moe-fp8', channels, 'qwen3moe'],
  ['granite-moe', both(0.28), 'granitemoe'],
  ['gpt-oss-mxfp4', both(0.35), 'gpt-oss'],
  ['granite-moe-shared', heads, 'granitemoe'],
  ['granite-moe-shared', experts, 'granitemoe'],
  ['granite-moe-shared', both(0.25), 'granitemoe'],
  ['lfm2-moe', { ...uniform('ffn'), sparsity: 0.03 }, 'lfm2moe'],
  ['lfm2-moe', experts, 'lfm2moe'],
  ['lfm2-moe', channels, 'lfm2moe'],
  ['lfm2', uniform('ffn'), 'lfm2'],
  ['qwen3.5', uniform('ffn'), 'qwen35'],
  ['qwen3.5', { ...heads, sparsity: 0.02 }, 'qwen35'],
  ['qwen3.5-moe', { ...heads, sparsity: 0.01 }, 'qwen35moe'],
  ['qwen3.5-moe', both(0.23), 'qwen35moe'],
  ['qwen3-next-plain', { ...heads, sparsity: 0.01 }, 'qwen3next'],
  ['qwen3-next-plain', both(0.23), 'qwen3next'],
  ['llama-bias', uniform('ffn'), 'llama'],
  ['llama-bias', heads, 'llama'],
  ['llama-bias', perBlock('all'), 'deci'],
  ['llama3', uniform('ffn'), 'llama'],
  ['llama-fp8', heads, 'llama'],
  ['llama3-tied', perBlock('all'), 'deci'],
];

/** Not by the models' own names: where one has phi3, llama.cpp wants tokens of that family's vocabulary. */
const pruned = (model: string, shape: Shape, format: 'hf' | 'gguf') =>
  prunedAt(work.model(model, 'model'), shape, format);

const prunedAt = (folder: string, shape: Shape, format: 'hf' | 'gguf') =>
  prune(folder, {
    ...OPTIONS,
    ...shape,
    format,
    output: work.path(format === 'hf' ? 'out' : 'out.gguf'),
  });

/** A uniform share takes something of every block. */
const isPruned = ({ scope, allocation, layers, sparsity }: PruneResult) =>
  sparsity > 0 &&
  (allocation !== 'uniform' ||
    layers.every(({ ffnBefore, ffnAfter, kvHeadsBefore, kvHeadsAfter, ...layer }) => {
      const ofExperts = {
        experts: layer.expertsAfter < layer.expertsBefore,
        'expert-channels': ffnAfter < ffnBefore,
        moe: layer.expertsAfter < layer.expertsBefore && ffnAfter < ffnBefore,
      }[scope];
      if (ofExperts !== undefined) return !layer.expertsBefore || ofExperts;
      return scope === 'ffn'
        ? layer.expertsBefore || ffnAfter < ffnBefore
        : !kvHeadsBefore || kvHeadsAfter < kvHeadsBefore;
    }));

const inWords = (
  model: string,
  { scope, allocation, method, refit, maxShardBytes, ...more }: Shape,
) =>
  [
    ...[model, method, allocation, scope, refit === false && 'no refit'],
    ...[maxShardBytes && 'shards', 'dtype' in more && 'in its own types'],
  ]
    .filter(Boolean)
    .join(', ');

let results: PruneResult[];
let theirs: TransformersResult[];
test.before(async () => {
  results = [];
  for (const [model, shape] of FOLDERS) results.push(await pruned(model, shape, 'hf'));
  theirs = loadedByTransformers(results, IDS);
});

for (const [index, [model, shape, loadedAs]] of FOLDERS.entries()) {
  test.serial(`${inWords(model, shape)}: transformers`, async (t) => {
    const result = results[index]!;
    t.true(isPruned(result));
    const shards = readdirSync(result.output).filter((name) => name.endsWith('.safetensors'));
    t.is(shards.length > 1, shape.maxShardBytes !== undefined);
    await asInTransformers(t, result, theirs[index]!, loadedAs, IDS);
  });
}

for (const [model, shape, wanted] of FILES) {
  test.serial(`${inWords(model, shape)}: llama.cpp`, async (t) => {
    const result = await pruned(model, shape, 'gguf');
    t.true(isPruned(result));
    t.is(await asInLlamaCpp(t, result, IDS.slice(0, shape.window)), wanted);
  });
}

test.serial('experts in MXFP4 in and out, gpt-oss: llama.cpp', async (t) => {
  const folder = work.model('gpt-oss-mxfp4', 'model');
  const source = await packedGguf(work.path('packed.gguf'), folder);
  const result = await prunedAt(source, { ...heads, dtype: undefined }, 'gguf');
  t.true(isPruned(result));
  const types = parseGguf(result.output).tensors.filter(({ name }) => /exps.weight/.test(name));
  t.true(types.every(({ dtype }) => dtype === 'MXFP4'));
  // It rounds what experts in few bits read: means are compared (docs/decisions/0003).
  const { logits, architecture } = llamaLogits(result.output, IDS);
  t.is(architecture, 'gpt-oss');
  const { mean } = distance(await ourLogits(result.output, IDS), logits, IDS);
  t.true(Math.abs(mean) <= 0.02, String(mean));
});

test.serial(
  "gpt-oss with the ends of yarn's ramp between pairs, as OpenAI has it: llama.cpp",
  async (t) => {
    const folder = work.model('gpt-oss-mxfp4', 'model');
    const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));
    config.rope_parameters.truncate = false;
    writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
    const result = await prunedAt(folder, heads, 'gguf');
    t.true(isPruned(result));
    t.is(await asInLlamaCpp(t, result, IDS), 'gpt-oss');
  },
);

test.serial('longrope of whole heads, threshold, all: llama.cpp (deci)', async (t) => {
  const folder = work.model('phi3-plain', 'model');
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));
  const rope_parameters = {
    rope_type: 'longrope',
    rope_theta: 5000,
    short_factor: [1, 1, 1, 1, 1, 1, 1, 1],
    long_factor: [1, 1.2, 1.5, 2, 3, 5, 9, 16],
  };
  // Shorter than the texts, so that the long factors count, in llama.cpp too.
  const stretched = { ...config, rope_parameters, original_max_position_embeddings: 8 };
  writeFileSync(join(folder, 'config.json'), JSON.stringify(stretched));
  const shape = { ...perBlock('all'), window: SLIDING };
  const result = await prunedAt(folder, shape, 'gguf');
  t.true(isPruned(result));
  t.is(await asInLlamaCpp(t, result, IDS.slice(0, SLIDING)), 'deci');
});
