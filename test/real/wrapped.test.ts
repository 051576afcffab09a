/**
 * Text models inside of models of text and images, pruned: transformers loads the whole, has on text the logits that we have,
 * and sees images. Small models with random weights.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { exportModel } from '../../lib/export-model';
import type { PruneOptions } from '../../lib/options';
import { prune } from '../../lib/prune';
import type { PruneResult } from '../../lib/pruning/result';
import { turnExperts } from '../e2e/files';
import { CALIBRATION, EVALUATION, workspace } from '../e2e/models';
import { asInLlamaCpp } from './as-ours';
import { type Logits, ourLogits, relativeDifference } from './prune-oracles';

const work = workspace();
test.after.always(() => work.remove());

const WINDOW = 48;
/** The tokenizer of the models gives a text its own bytes as ids. */
const IDS = [...readFileSync(EVALUATION).subarray(0, WINDOW)];

const OPTIONS = {
  calibration: CALIBRATION,
  calibrationTokens: 20 * WINDOW,
  tuneTokens: 0,
  surveyTokens: 10 * WINDOW,
  window: WINDOW,
  sparsity: 0.2,
  threads: 1,
} satisfies Partial<PruneOptions>;

type Shape = Partial<PruneOptions>;
const channels: Shape = { scope: 'ffn', allocation: 'uniform' };
/** One of two KV heads of every block. */
const heads: Shape = { scope: 'attention', allocation: 'uniform', sparsity: 0.05 };
const unlike: Shape = { scope: 'all', allocation: 'threshold' };
const experts: Shape = { scope: 'experts', sparsity: 0.15 };
const someExperts: Shape = { ...experts, allocation: 'threshold', sparsity: 0.1 };

const FOLDERS: [model: string, shape: Shape, loadedAs: string][] = [
  ['gemma3-vision', channels, 'Gemma3ForConditionalGeneration'],
  ['gemma3-vision', heads, 'Gemma3ForConditionalGeneration'],
  ['gemma3-vision', unlike, 'StrupruneGemma3ForConditionalGeneration'],
  [
    'gemma3-vision',
    { ...unlike, tuneTokens: 4 * WINDOW },
    'StrupruneGemma3ForConditionalGeneration',
  ],
  ['old', channels, 'Gemma3ForConditionalGeneration'],
  ['old', unlike, 'StrupruneGemma3ForConditionalGeneration'],
  ['mistral3-vision', heads, 'Mistral3ForConditionalGeneration'],
  ['mistral3-vision', unlike, 'StrupruneMistral3ForConditionalGeneration'],
  ['qwen2-vision', channels, 'Qwen2VLForConditionalGeneration'],
  ['qwen2-vision', unlike, 'StrupruneQwen2VLForConditionalGeneration'],
  ['qwen2.5-vision', channels, 'Qwen2_5_VLForConditionalGeneration'],
  ['qwen2.5-vision', heads, 'StrupruneQwen2_5_VLForConditionalGeneration'],
  ['qwen2.5-vision', unlike, 'StrupruneQwen2_5_VLForConditionalGeneration'],
  ['flat', channels, 'Qwen2_5_VLForConditionalGeneration'],
  ['flat', unlike, 'StrupruneQwen2_5_VLForConditionalGeneration'],
  ['qwen3-vision', heads, 'Qwen3VLForConditionalGeneration'],
  ['qwen3-vision', unlike, 'StrupruneQwen3VLForConditionalGeneration'],
  ['qwen3.5-vision', { ...heads, sparsity: 0.02 }, 'Qwen3_5ForConditionalGeneration'],
  ['qwen3.5-vision', unlike, 'StrupruneQwen3_5ForConditionalGeneration'],
  ['qwen3.5-moe-vision', { ...heads, sparsity: 0.02 }, 'Qwen3_5MoeForConditionalGeneration'],
  ['qwen3.5-moe-vision', experts, 'Qwen3_5MoeForConditionalGeneration'],
  ['qwen3-moe-vision', heads, 'Qwen3VLMoeForConditionalGeneration'],
  ['qwen3-moe-vision', experts, 'Qwen3VLMoeForConditionalGeneration'],
  ['qwen3-moe-vision', someExperts, 'StrupruneQwen3VLMoeForConditionalGeneration'],
  ['turned', experts, 'Qwen3VLMoeForConditionalGeneration'],
  ['idefics3', heads, 'Idefics3ForConditionalGeneration'],
  ['idefics3', unlike, 'StrupruneIdefics3ForConditionalGeneration'],
  ['smolvlm', heads, 'SmolVLMForConditionalGeneration'],
  ['smolvlm', unlike, 'StrupruneSmolVLMForConditionalGeneration'],
  ['llava', { ...heads, maxShardBytes: 100_000 }, 'LlavaForConditionalGeneration'],
  ['llava', unlike, 'StrupruneLlavaForConditionalGeneration'],
  ['lfm2-vision', heads, 'Lfm2VlForConditionalGeneration'],
  ['lfm2-vision', unlike, 'StrupruneLfm2VlForConditionalGeneration'],
];
const MODELS = [...new Set(FOLDERS.map(([model]) => model))];

const FILES: [model: string, shape: Shape, architecture: string][] = [
  ['gemma3-vision', heads, 'gemma3'],
  ['mistral3-vision', unlike, 'deci'],
  ['qwen2.5-vision', channels, 'qwen2'],
  ['lfm2-vision', channels, 'lfm2'],
];

/** Models as folders on the hub have them. */
const AS_ON_HUB: Record<string, { of: string; change: (config: Config) => object; turns?: true }> =
  {
    // Matrices of experts are transposed.
    turned: { of: 'qwen3-moe-vision', change: (config) => config, turns: true },
    // The text model's keys stand beside the others.
    flat: {
      of: 'qwen2.5-vision',
      change: ({ text_config, ...config }) => {
        const { model_type, rope_parameters, ...text } = text_config;
        const { rope_theta, mrope_section } = rope_parameters as Record<string, unknown>;
        const rope_scaling = { type: 'mrope', mrope_section };
        return { ...text, ...config, rope_theta, rope_scaling };
      },
    },
    // Defaults are left out, and one of two blocks is global.
    old: {
      of: 'gemma3-vision',
      change: ({ text_config, tie_word_embeddings, ...config }) => {
        const { rope_parameters, layer_types, vocab_size, ...text } = text_config;
        const { _sliding_window_pattern, tie_word_embeddings: _, ...rest } = text;
        const rope_scaling = { factor: 8, rope_type: 'linear' };
        const more = { vocab_size, rope_scaling, sliding_window_pattern: 2 };
        return { ...config, text_config: { ...rest, ...more } };
      },
    },
  };
type Config = Record<string, unknown> & { text_config: Record<string, unknown> };

/** A model, or one of those. */
function modelOf(name: string, as?: string): string {
  const { of, change, turns } = AS_ON_HUB[name] ?? {};
  const folder = work.model(of ?? name, as);
  if (turns) turnExperts(folder);
  if (!change) return folder;
  const path = join(folder, 'config.json');
  const config = JSON.stringify(change(JSON.parse(readFileSync(path, 'utf8'))));
  writeFileSync(path, config.replace('"factor":8', '"factor":8.0'));
  return folder;
}

interface Answer {
  class: string;
  module: string;
  parameters: number;
  loose: string[];
  seen: number;
}
interface Loaded {
  answer: Answer;
  text: Logits;
  image: Logits;
}

/** All in one process: torch takes seconds to start. */
function loaded(folders: readonly { model: string; trusted: boolean }[]): Loaded[] {
  const folder = work.emptyFolder();
  const [jobs, home] = [join(folder, 'jobs.json'), join(folder, 'home')];
  mkdirSync(home);
  const at = (index: number, what: string) => join(folder, `${index}-${what}.f32`);
  const given = folders.map((job, i) => {
    return { ...job, ids: IDS, text: at(i, 'text'), image: at(i, 'image') };
  });
  writeFileSync(jobs, JSON.stringify(given));
  const printed = execFileSync('python3', [join(__dirname, 'wrapped_logits.py'), jobs], {
    env: { ...process.env, PYTHONPATH: process.env.STRUPRUNE_ORACLES, HF_HOME: home },
    encoding: 'utf8',
    stdio: 'pipe',
  });
  const answers: Answer[] = JSON.parse(printed.trimEnd().split('\n').at(-1)!);
  const read = (path: string): Logits => {
    const { buffer, byteOffset, byteLength } = readFileSync(path);
    const values = new Float32Array(buffer, byteOffset, byteLength / 4);
    return { values, rows: WINDOW, vocab: values.length / WINDOW };
  };
  return answers.map((answer, i) => ({
    answer,
    text: read(at(i, 'text')),
    image: read(at(i, 'image')),
  }));
}

const inWords = (model: string, { scope, allocation, tuneTokens }: Shape) =>
  [model, allocation, scope, tuneTokens && 'tuned'].filter(Boolean).join(', ');

let results: PruneResult[];
let pruned: Loaded[];
let whole: Loaded[];
let copies: Loaded[];
test.before(async () => {
  results = [];
  for (const [model, shape] of FOLDERS) {
    const output = work.path('out');
    results.push(await prune(modelOf(model), { ...OPTIONS, ...shape, output }));
  }
  const sources = MODELS.map((model) => modelOf(model));
  const written = [];
  for (const source of sources)
    written.push(await exportModel(source, { output: work.path('out') }));
  const all = loaded([
    ...results.map(({ output, kind }) => ({ model: output, trusted: kind === 'own-modeling' })),
    ...sources.map((model) => ({ model, trusted: false })),
    ...written.map(({ output }) => ({ model: output, trusted: false })),
  ]);
  pruned = all.slice(0, results.length);
  whole = all.slice(results.length, -MODELS.length);
  copies = all.slice(-MODELS.length);
});

for (const [index, [model, shape, loadedAs]] of FOLDERS.entries()) {
  test.serial(`${inWords(model, shape)}: transformers`, async (t) => {
    const { kind, output, sparsity, parametersAfter } = results[index]!;
    const { answer, text } = pruned[index]!;
    t.true(sparsity > 0);
    const shards = readdirSync(output).filter((name) => name.endsWith('.safetensors'));
    t.is(shards.length > 1, shape.maxShardBytes !== undefined);
    t.is(answer.class, loadedAs);
    t.is(answer.module.startsWith('transformers.models.'), kind === 'stock');
    t.deepEqual(answer.loose, []);
    t.is(answer.parameters, parametersAfter);
    t.true(answer.seen > 1e-3, String(answer.seen));
    const difference = relativeDifference(await ourLogits(output, IDS), text);
    t.true(difference <= 1e-4, String(difference));
  });
}

for (const [index, model] of MODELS.entries()) {
  test.serial(
    `${model}: with nothing removed transformers has what the source gives, with an image too`,
    (t) => {
      const [source, copy] = [whole[index]!, copies[index]!];
      t.deepEqual(copy.answer, source.answer);
      t.is(relativeDifference(copy.text, source.text), 0);
      t.is(relativeDifference(copy.image, source.image), 0);
      t.true(relativeDifference(copy.image, copy.text) > 1e-3);
    },
  );
}

test.serial('transformers finds the processor beside either class', async (t) => {
  const source = modelOf('llava');
  const put = (name: string, value: object) =>
    writeFileSync(join(source, name), JSON.stringify(value));
  const processor_class = 'LlavaProcessor';
  put('tokenizer_config.json', { tokenizer_class: 'PreTrainedTokenizerFast', image_token: '~' });
  put('preprocessor_config.json', { image_processor_type: 'CLIPImageProcessor', processor_class });
  put('processor_config.json', { processor_class, patch_size: 14, image_token: '~' });
  const outputs = [];
  for (const shape of [channels, unlike]) {
    const output = work.path('out');
    outputs.push((await prune(source, { ...OPTIONS, ...shape, output })).output);
  }
  const { STRUPRUNE_ORACLES, STRUPRUNE_GRAPH_ORACLES } = process.env;
  const script = [
    'import sys',
    'from transformers import AutoProcessor',
    'for folder in sys.argv[1:]:',
    '    found = AutoProcessor.from_pretrained(folder, trust_remote_code=True)',
    '    print(type(found).__name__, type(found.image_processor).__name__)',
  ].join('\n');
  const printed = execFileSync('python3', ['-c', script, ...outputs], {
    // Pillow and torchvision are with the oracles of graphs.
    env: {
      ...process.env,
      PYTHONPATH: `${STRUPRUNE_GRAPH_ORACLES}:${STRUPRUNE_ORACLES}`,
      HF_HOME: work.emptyFolder(),
    },
    encoding: 'utf8',
    stdio: 'pipe',
  });
  const found = 'LlavaProcessor CLIPImageProcessor';
  t.deepEqual(printed.trimEnd().split('\n').slice(-2), [found, found]);
});

for (const [model, shape, wanted] of FILES) {
  test.serial(`${inWords(model, shape)}: the text model in llama.cpp`, async (t) => {
    const output = work.path('out.gguf');
    const more = { ...OPTIONS, ...shape, format: 'gguf', dtype: 'f32', output } as const;
    const result = await prune(modelOf(model, 'model'), more);
    t.is(await asInLlamaCpp(t, result, IDS), wanted);
    t.true(result.notes.some((note) => /the text model alone/.test(note)));
  });
}
