/** Models without some of their sublayers: transformers and llama.cpp load what we write and compute what we compute. */
import { readFileSync } from 'node:fs';
import test from 'ava';
import { prune } from '../../lib/prune';
import type { PruneResult } from '../../lib/pruning/result';
import { CALIBRATION, EVALUATION, workspace } from '../e2e/models';
import { without } from '../e2e/without';
import { asInLlamaCpp, asInTransformers, loadedByTransformers } from './as-ours';
import type { TransformersResult } from './prune-oracles';

const work = workspace();
test.after.always(() => work.remove());

const WINDOW = 48;
/** The tokenizer of the models gives a text its own bytes as ids. */
const IDS = [...readFileSync(EVALUATION).subarray(0, WINDOW)];

const pruned = (model: string, gone: string, format: 'hf' | 'gguf') =>
  prune(work.model(model), {
    ...without(...gone.split(' ')),
    format,
    output: work.path(format === 'hf' ? 'out' : 'out.gguf'),
    calibration: CALIBRATION,
    calibrationTokens: 20 * WINDOW,
    tuneTokens: 0,
    surveyTokens: 10 * WINDOW,
    window: WINDOW,
    dtype: 'f32',
    threads: 1,
  });

const FOLDERS: [model: string, gone: string, loadedAs: string][] = [
  ['llama2', '0.attention', 'StrupruneLlamaForCausalLM'],
  ['llama2', '0.ffn 1.attention 1.ffn', 'StrupruneLlamaForCausalLM'],
  ['llama2', '1.attention 1.ffn', 'LlamaForCausalLM'],
  ['llama2', '0.attention 0.ffn 2.attention 2.ffn', 'LlamaForCausalLM'],
  ['mistral', '1.attention', 'StrupruneMistralForCausalLM'],
  ['qwen3', '0.ffn', 'StrupruneQwen3ForCausalLM'],
  ['gemma3', '0.attention 2.ffn', 'StrupruneGemma3ForCausalLM'],
  ['gemma3', '1.attention 1.ffn', 'Gemma3ForCausalLM'],
  ['gemma2', '0.attention 2.ffn', 'StrupruneGemma2ForCausalLM'],
  ['gemma2', '0.attention 0.ffn 1.attention 1.ffn', 'Gemma2ForCausalLM'],
  ['granite-moe', '0.attention', 'StrupruneGraniteMoeForCausalLM'],
  ['lfm2', '1.attention 2.ffn', 'StrupruneLfm2ForCausalLM'],
  ['lfm2', '0.ffn', 'StrupruneLfm2ForCausalLM'],
  ['qwen3.5', '1.ffn', 'StrupruneQwen3_5ForCausalLM'],
  ['qwen3.5-unlike', '0.attention 1.ffn', 'StrupruneQwen3_5ForCausalLM'],
  ['qwen3-next', '1.ffn', 'StrupruneQwen3NextForCausalLM'],
  ['lfm2-moe', '0.ffn', 'StrupruneLfm2MoeForCausalLM'],
  ['granite-moe-shared', '0.attention', 'StrupruneGraniteMoeSharedForCausalLM'],
  ['gpt2', '0.attention 1.ffn', 'StrupruneGPT2LMHeadModel'],
  ['gpt2', '1.attention 1.ffn', 'GPT2LMHeadModel'],
  ['gpt-neox', '0.attention 1.ffn', 'StrupruneGPTNeoXForCausalLM'],
  ['gpt-neox', '1.attention 1.ffn', 'GPTNeoXForCausalLM'],
  ['phi3', '0.ffn', 'StruprunePhi3ForCausalLM'],
  ['phi3', '1.attention', 'StruprunePhi3ForCausalLM'],
  ['opt-pre', '0.attention 1.ffn', 'StrupruneOPTForCausalLM'],
  ['opt-post', '0.ffn', 'StrupruneOPTForCausalLM'],
  ['opt-post', '1.attention', 'StrupruneOPTForCausalLM'],
  ['opt-post', '0.attention 0.ffn', 'OPTForCausalLM'],
];

const FILES: [model: string, gone: string, architecture: string][] = [
  ['llama2', '1.attention', 'deci'],
  ['llama2', '1.attention 2.attention 2.ffn', 'deci'],
  ['llama2', '1.attention 1.ffn', 'llama'],
  ['qwen2', '1.attention', 'deci'],
];

let results: PruneResult[];
let theirs: TransformersResult[];
test.before(async () => {
  results = [];
  for (const [model, gone] of FOLDERS) results.push(await pruned(model, gone, 'hf'));
  theirs = loadedByTransformers(results, IDS);
});

for (const [index, [model, gone, loadedAs]] of FOLDERS.entries()) {
  test.serial(`${model} without ${gone}: transformers`, async (t) => {
    await asInTransformers(t, results[index]!, theirs[index]!, loadedAs, IDS);
  });
}

for (const [model, gone, wanted] of FILES) {
  test.serial(`${model} without ${gone}: llama.cpp`, async (t) => {
    t.is(await asInLlamaCpp(t, await pruned(model, gone, 'gguf'), IDS), wanted);
  });
}
