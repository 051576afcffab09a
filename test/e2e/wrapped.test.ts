/** Models of text and images: the text model is pruned, all else goes into the output as it is. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { exportModel, type PruneOptions, plan, prune } from '../../lib';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { howToLoad } from '../../lib/cli/output/how-to-load';
import { elements, safetensors, safetensorsShapes, turnExperts } from './files';
import { CALIBRATION_IDS, workspace } from './models';

const work = workspace();
test.after.always(() => work.remove());

const WINDOW = 32;
const options = (more: Partial<PruneOptions>): PruneOptions => ({
  output: work.path(more.format === 'gguf' ? 'out.gguf' : 'out'),
  calibration: CALIBRATION_IDS,
  calibrationTokens: 10 * WINDOW,
  surveyTokens: 5 * WINDOW,
  tuneTokens: 0,
  window: WINDOW,
  sparsity: 0.2,
  threads: 1,
  ...more,
});
const json = (...path: string[]) => JSON.parse(readFileSync(join(...path), 'utf8'));

/** Names of the text model's tensors. */
const IS_TEXT = /language_model|text_model|^model\.(layers|embed_tokens|norm)|^lm_head/;
const IN_BLOCKS = /\.layers\./;
const MODELS = [
  'gemma3-vision',
  'mistral3-vision',
  'qwen2-vision',
  'qwen2.5-vision',
  'qwen3-vision',
  'qwen3.5-vision',
  'idefics3',
  'smolvlm',
  'llava',
  'lfm2-vision',
];

test.serial('experts that lie in one tensor go there too, all else is copied', async (t) => {
  const source = work.model('qwen3.5-moe-vision');
  const result = await prune(source, options({ scope: 'experts', sparsity: 0.15 }));
  t.is(result.kind, 'stock');
  const [old, now] = [safetensors(source), safetensors(result.output)];
  const stays = Object.keys(old).filter((name) => !/\.mlp\.(experts|gate)\b/.test(name));
  t.true(stays.some((name) => name.startsWith('model.visual.')));
  for (const name of stays) t.deepEqual(now[name], old[name], name);
  const { text_config } = json(result.output, 'config.json');
  t.is(text_config.num_experts, 4);
  const { architecture } = await openCheckpoint(result.output);
  t.true(architecture.blocks.every(({ experts }) => experts === 4));
});

test.serial(
  'experts of one tensor, transposed or not, are the same model and stay as they lie',
  async (t) => {
    const [plain, turned] = ['plain', 'turned'].map((as) => work.model('qwen3-moe-vision', as));
    turnExperts(turned!);
    const asked = options({ scope: 'experts', sparsity: 0.1 });
    const [one, other] = [
      await prune(plain!, asked),
      await prune(turned!, { ...asked, output: work.path('out') }),
    ];
    t.is(other.verification.actual, one.verification.actual);
    t.deepEqual(other.layers, one.layers);
    const name = 'model.language_model.layers.1.mlp.experts.gate_up_proj';
    const [left, right] = [one, other].map(({ output }) => safetensors(output)[name]!.shape);
    t.deepEqual(
      [left, right],
      [
        [4, 48, 64],
        [4, 64, 48],
      ],
    );
    turnExperts(other.output);
    t.deepEqual(safetensors(other.output), safetensors(one.output));
    const { text_config } = json(other.output, 'config.json');
    t.like(text_config, { num_local_experts: 4, num_experts: undefined });
  },
);

for (const model of MODELS) {
  test.serial(
    `${model}: all but the blocks is copied, widths alone change in config.json`,
    async (t) => {
      const source = work.model(model);
      const before = await openCheckpoint(source);
      const result = await prune(source, options({ scope: 'ffn', allocation: 'uniform' }));
      t.is(result.kind, 'stock');
      t.regex(howToLoad(result), / AutoModelForImageTextToText\.from_pretrained/);
      t.true(result.sparsity >= 0.2);

      const [old, now] = [safetensors(source), safetensors(result.output)];
      t.deepEqual(Object.keys(now).sort(), Object.keys(old).sort());
      const outside = Object.keys(old).filter(
        (name) => !IS_TEXT.test(name) || !IN_BLOCKS.test(name),
      );
      t.true(outside.some((name) => !IS_TEXT.test(name)));
      for (const name of outside) t.deepEqual(now[name], old[name], name);
      t.is(elements(safetensorsShapes(source)), result.parametersBefore);
      t.is(elements(safetensorsShapes(result.output)), result.parametersAfter);

      const { torch_dtype, text_config, ...config } = json(result.output, 'config.json');
      const {
        dtype,
        text_config: text,
        transformers_version,
        ...own
      } = json(source, 'config.json');
      t.is(torch_dtype, dtype);
      t.deepEqual(config, { ...own, tie_word_embeddings: before.architecture.tiedEmbeddings });
      const changed = Object.keys(text).filter((key) => text[key] !== text_config[key]);
      t.true(changed.includes('intermediate_size'));
      t.true(text_config.intermediate_size < text.intermediate_size);

      const { architecture, parameters } = await openCheckpoint(result.output);
      const { ffn } = architecture.blocks[0]!;
      t.is(text_config.intermediate_size, ffn);
      t.deepEqual({ ...architecture, blocks: [] }, { ...before.architecture, blocks: [] });
      t.is(parameters, result.parametersAfter);
      t.regex(
        readFileSync(join(result.output, 'README.md'), 'utf8'),
        /AutoModelForImageTextToText/,
      );
    },
  );
}

test.serial('keys of the text model that stand outside too change with it', async (t) => {
  const source = work.model('qwen2.5-vision');
  const { text_config, ...config } = json(source, 'config.json');
  const { intermediate_size, num_hidden_layers } = text_config;
  const twice = { ...config, intermediate_size, num_hidden_layers, text_config };
  writeFileSync(join(source, 'config.json'), JSON.stringify(twice));
  const { output } = await prune(source, options({ scope: 'ffn', allocation: 'uniform' }));
  const { text_config: text, ...written } = json(output, 'config.json');
  t.true(text.intermediate_size < intermediate_size);
  t.is(written.intermediate_size, text.intermediate_size);
  t.is(written.num_hidden_layers, num_hidden_layers);
  t.is(written.num_attention_heads, undefined);
});

test.serial('widths that differ, and go in again', async (t) => {
  const first = await prune(
    work.model('llava'),
    options({ allocation: 'threshold', sparsity: 0.1 }),
  );
  t.is(first.kind, 'own-modeling');
  const config = json(first.output, 'config.json');
  t.is(config.model_type, 'struprune_llava');
  t.true(existsSync(join(first.output, 'wrapped_struprune.py')));
  // Our own class has the names of transformers 5, whatever the source's were.
  t.true(Object.keys(safetensors(first.output)).every((name) => /^(model\.|lm_head)/.test(name)));
  t.deepEqual(
    config.struprune.intermediate_sizes,
    first.layers.map(({ ffnAfter }) => ffnAfter),
  );
  const second = await prune(first.output, options({ allocation: 'threshold', sparsity: 0.1 }));
  const { architecture } = await openCheckpoint(second.output);
  t.deepEqual(
    architecture.blocks.map(({ ffn, kvHeads }) => [ffn, kvHeads]),
    second.layers.map(({ ffnAfter, kvHeadsAfter }) => [ffnAfter, kvHeadsAfter]),
  );
  t.is(elements(safetensorsShapes(second.output)), second.parametersAfter);
});

test.serial(
  'a target counts the whole file, or the text model where a GGUF file has that alone',
  async (t) => {
    const source = work.model('mistral3-vision');
    const { parameters } = await openCheckpoint(source);
    const aim = { scope: 'ffn', allocation: 'uniform', sparsity: undefined } as const;
    const keep = Math.floor(0.85 * parameters);
    const folder = await prune(source, options({ ...aim, targetParams: keep }));
    t.true(folder.parametersAfter <= keep && folder.parametersAfter > 0.95 * keep);
    const others = elements(
      Object.fromEntries(
        Object.entries(safetensorsShapes(source)).filter(([name]) => !IS_TEXT.test(name)),
      ),
    );
    const file = await prune(
      source,
      options({ ...aim, targetParams: keep - others, format: 'gguf' }),
    );
    t.is(file.parametersBefore, parameters - others);
    t.true(file.parametersAfter <= keep - others && file.parametersAfter > 0.95 * (keep - others));
    t.true(file.notes.some((note) => /the text model alone/.test(note)));
  },
);

test.serial('a processor goes with it, without the code that it names', async (t) => {
  const source = work.model('smolvlm');
  const auto_map = { AutoProcessor: 'evil.Processor' };
  const put = (name: string, value: object) =>
    writeFileSync(join(source, name), JSON.stringify(value));
  put('preprocessor_config.json', { size: 28, auto_map });
  put('processor_config.json', { processor_class: 'SmolVLMProcessor' });
  put('video_preprocessor_config.json', { fps: 2 });
  put('chat_template.json', { chat_template: '{{ messages }}' });
  put('config.json', { ...json(source, 'config.json'), auto_map });
  const { output, notes } = await exportModel(source, { output: work.path('out') });
  t.deepEqual(json(output, 'preprocessor_config.json'), { size: 28 });
  t.deepEqual(json(output, 'processor_config.json'), { processor_class: 'SmolVLMProcessor' });
  t.deepEqual(json(output, 'video_preprocessor_config.json'), { fps: 2 });
  t.deepEqual(json(output, 'chat_template.json'), { chat_template: '{{ messages }}' });
  t.is(json(output, 'config.json').auto_map, undefined);
  t.true(notes.some((note) => /auto_map of preprocessor_config\.json/.test(note)));
});

test.serial(
  'a whole block stays where what is seen is added behind blocks by number',
  async (t) => {
    const { output } = options({});
    const source = await openCheckpoint(work.model('qwen3-vision'));
    const blocks = source.architecture.blocks.map((block, i) =>
      i === 0 ? { ...block, ffn: 0, heads: 0, kvHeads: 0 } : block,
    );
    const { architecture, wrapped } = source;
    const { planExport } = await import('../../lib/checkpoint/export');
    const request = {
      architecture,
      pruned: { ...architecture, blocks },
      wrapped,
      dtype: 'BF16',
    } as const;
    t.throws(() => planExport({ ...request, format: 'hf', sourceConfig: source.config }), {
      code: 'ERR_UNSUPPORTED',
      message: /behind blocks by their number/,
    });
    t.is(planExport({ ...request, format: 'gguf' }).kind, 'llama.cpp', output);
  },
);

test.serial('plan counts what is copied', async (t) => {
  const source = work.model('gemma3-vision');
  const { sparsity, output, ...rest } = options({ scope: 'ffn', allocation: 'uniform' });
  const [folder, file] = [
    await plan(source, rest),
    await plan(source, { ...rest, format: 'gguf' }),
  ];
  const others = Object.entries(safetensors(source)).filter(([name]) => !IS_TEXT.test(name));
  t.is(
    folder.disk - file.disk,
    others.reduce((sum, [, { bytes }]) => sum + bytes.length, 0),
  );
  t.is(folder.parameters, (await openCheckpoint(source)).parameters);
});
