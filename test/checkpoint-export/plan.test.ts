import test from 'ava';

import {
  type ExportFormat,
  type ExportRequest,
  exportTable,
  type PlannedTensor,
  planExport,
  requireDtype,
  roundingFor,
} from '../../lib/checkpoint/export';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { architectureFromConfig } from '../../lib/model/from-config';
import { type BlockKeep, prunedArchitecture } from '../../lib/model/groups';
import type { BlockRole } from '../../lib/model/sublayers';
import { fixtureConfig } from '../model/fixture';

const first = (count: number) => Int32Array.from({ length: count }, (_, index) => index);

/** Of a block. */
const NOTHING = { ffn: 0, kv: 0 };

/** A plan for a fixture, whose blocks keep the given numbers of FFN channels and KV heads. */
function plan(
  name: string,
  keeps: { ffn?: number; kv?: number }[],
  request: Partial<ExportRequest> & { format: ExportFormat },
) {
  const architecture = architectureFromConfig(fixtureConfig(name), name);
  const kept = architecture.blocks.map((_, block): BlockKeep => {
    const { ffn, kv } = keeps[block % keeps.length]!;
    return {
      ...(ffn === undefined ? {} : { ffn: first(ffn) }),
      ...(kv === undefined ? {} : { attention: first(kv) }),
    };
  });
  const pruned = prunedArchitecture(architecture, kept);
  return planExport({ architecture, pruned, dtype: 'F32', ...request });
}

/** A plan for all of a fixture whose configuration says something else too. */
function planOther(name: string, more: object, format: ExportFormat) {
  const architecture = architectureFromConfig({ ...fixtureConfig(name), ...more }, name);
  return planExport({ architecture, pruned: architecture, dtype: 'F32', format });
}

/** What tensors are made of, with the name and type of the tensor. */
const partsOf = (tensors: readonly PlannedTensor[]) =>
  tensors.flatMap(({ name, dtype, block, parts }) =>
    parts.map((part) => ({ name, dtype, block, ...part })),
  );

/**
 * Rows: family, then for each scope and widths the holders hf/gguf without and with an added bias. Each
 * was tried in transformers 5.24 and llama.cpp (node-llama-cpp 3.22.1) with the models of the fixtures.
 */
const TABLE: Record<string, Record<string, [string, string]>> = {
  llama: {
    'ffn uniform': ['stock/llama.cpp', 'stock/llama.cpp'],
    'ffn per-block': ['own-modeling/deci', 'own-modeling/deci'],
    'attention uniform': ['stock/llama.cpp', 'stock/llama.cpp'],
    'attention per-block': ['own-modeling/deci', 'own-modeling/deci'],
    'all uniform': ['stock/llama.cpp', 'stock/llama.cpp'],
    'all per-block': ['own-modeling/deci', 'own-modeling/deci'],
  },
  mistral: {
    'ffn uniform': ['stock/llama.cpp', 'own-modeling/llama.cpp'],
    'ffn per-block': ['own-modeling/deci', 'own-modeling/deci'],
    'attention uniform': ['stock/llama.cpp', 'own-modeling/llama.cpp'],
    'attention per-block': ['own-modeling/deci', 'own-modeling/deci'],
    'all uniform': ['stock/llama.cpp', 'own-modeling/llama.cpp'],
    'all per-block': ['own-modeling/deci', 'own-modeling/deci'],
  },
  ministral: {
    'ffn uniform': ['stock/llama.cpp', 'own-modeling/llama.cpp'],
    'ffn per-block': ['own-modeling/deci', 'own-modeling/deci'],
    'attention uniform': ['stock/llama.cpp', 'own-modeling/llama.cpp'],
    'attention per-block': ['own-modeling/deci', 'own-modeling/deci'],
    'all uniform': ['stock/llama.cpp', 'own-modeling/llama.cpp'],
    'all per-block': ['own-modeling/deci', 'own-modeling/deci'],
  },
  ministral3: {
    'ffn uniform': ['stock/llama.cpp', 'own-modeling/llama.cpp'],
    'ffn per-block': ['own-modeling/null', 'own-modeling/null'],
    'attention uniform': ['stock/llama.cpp', 'own-modeling/llama.cpp'],
    'attention per-block': ['own-modeling/null', 'own-modeling/null'],
    'all uniform': ['stock/llama.cpp', 'own-modeling/llama.cpp'],
    'all per-block': ['own-modeling/null', 'own-modeling/null'],
  },
  qwen2: {
    'ffn uniform': ['stock/llama.cpp', 'own-modeling/deci'],
    'ffn per-block': ['own-modeling/deci', 'own-modeling/deci'],
    'attention uniform': ['stock/deci', 'own-modeling/deci'],
    'attention per-block': ['own-modeling/deci', 'own-modeling/deci'],
    'all uniform': ['stock/deci', 'own-modeling/deci'],
    'all per-block': ['own-modeling/deci', 'own-modeling/deci'],
  },
  qwen3: {
    'ffn uniform': ['stock/llama.cpp', 'own-modeling/null'],
    'ffn per-block': ['own-modeling/openelm', 'own-modeling/null'],
    'attention uniform': ['stock/llama.cpp', 'stock/null'],
    'attention per-block': ['own-modeling/openelm', 'own-modeling/null'],
    'all uniform': ['stock/llama.cpp', 'own-modeling/null'],
    'all per-block': ['own-modeling/openelm', 'own-modeling/null'],
  },
  gemma2: {
    'ffn uniform': ['stock/llama.cpp', 'own-modeling/null'],
    'ffn per-block': ['own-modeling/null', 'own-modeling/null'],
    'attention uniform': ['stock/llama.cpp', 'stock/null'],
    'attention per-block': ['own-modeling/null', 'own-modeling/null'],
    'all uniform': ['stock/llama.cpp', 'own-modeling/null'],
    'all per-block': ['own-modeling/null', 'own-modeling/null'],
  },
  'qwen3.5': {
    'ffn uniform': ['stock/llama.cpp', 'own-modeling/null'],
    'ffn per-block': ['own-modeling/null', 'own-modeling/null'],
    'attention uniform': ['stock/llama.cpp', 'stock/null'],
    'attention per-block': ['own-modeling/null', 'own-modeling/null'],
    'all uniform': ['stock/llama.cpp', 'own-modeling/null'],
    'all per-block': ['own-modeling/null', 'own-modeling/null'],
  },
  gemma3: {
    'ffn uniform': ['stock/llama.cpp', 'own-modeling/null'],
    'ffn per-block': ['own-modeling/null', 'own-modeling/null'],
    'attention uniform': ['stock/llama.cpp', 'stock/null'],
    'attention per-block': ['own-modeling/null', 'own-modeling/null'],
    'all uniform': ['stock/llama.cpp', 'own-modeling/null'],
    'all per-block': ['own-modeling/null', 'own-modeling/null'],
  },
  olmo2: {
    'ffn uniform': ['stock/llama.cpp', 'own-modeling/null'],
    'ffn per-block': ['own-modeling/null', 'own-modeling/null'],
    'attention uniform': ['stock/llama.cpp', 'stock/null'],
    'attention per-block': ['own-modeling/null', 'own-modeling/null'],
    'all uniform': ['stock/llama.cpp', 'own-modeling/null'],
    'all per-block': ['own-modeling/null', 'own-modeling/null'],
  },
  olmo3: {
    'ffn uniform': ['stock/llama.cpp', 'own-modeling/null'],
    'ffn per-block': ['own-modeling/null', 'own-modeling/null'],
    'attention uniform': ['stock/llama.cpp', 'stock/null'],
    'attention per-block': ['own-modeling/null', 'own-modeling/null'],
    'all uniform': ['stock/llama.cpp', 'own-modeling/null'],
    'all per-block': ['own-modeling/null', 'own-modeling/null'],
  },
  'seed-oss': {
    'ffn uniform': ['stock/llama.cpp', 'stock/deci'],
    'ffn per-block': ['own-modeling/deci', 'own-modeling/deci'],
    'attention uniform': ['stock/llama.cpp', 'stock/deci'],
    'attention per-block': ['own-modeling/deci', 'own-modeling/deci'],
    'all uniform': ['stock/llama.cpp', 'stock/deci'],
    'all per-block': ['own-modeling/deci', 'own-modeling/deci'],
  },
  'ernie4.5': {
    'ffn uniform': ['stock/llama.cpp', 'stock/deci'],
    'ffn per-block': ['own-modeling/deci', 'own-modeling/deci'],
    'attention uniform': ['stock/llama.cpp', 'stock/deci'],
    'attention per-block': ['own-modeling/deci', 'own-modeling/deci'],
    'all uniform': ['stock/llama.cpp', 'stock/deci'],
    'all per-block': ['own-modeling/deci', 'own-modeling/deci'],
  },
  granite4: {
    'ffn uniform': ['stock/llama.cpp', 'own-modeling/null'],
    'ffn per-block': ['own-modeling/null', 'own-modeling/null'],
    'attention uniform': ['stock/llama.cpp', 'stock/llama.cpp'],
    'attention per-block': ['own-modeling/null', 'own-modeling/null'],
    'all uniform': ['stock/llama.cpp', 'own-modeling/null'],
    'all per-block': ['own-modeling/null', 'own-modeling/null'],
  },
  smollm3: {
    'ffn uniform': ['stock/llama.cpp', 'stock/null'],
    'ffn per-block': ['own-modeling/null', 'own-modeling/null'],
    'attention uniform': ['stock/llama.cpp', 'stock/null'],
    'attention per-block': ['own-modeling/null', 'own-modeling/null'],
    'all uniform': ['stock/llama.cpp', 'stock/null'],
    'all per-block': ['own-modeling/null', 'own-modeling/null'],
  },
  granite: {
    'ffn uniform': ['stock/llama.cpp', 'stock/llama.cpp'],
    'ffn per-block': ['own-modeling/null', 'own-modeling/null'],
    'attention uniform': ['stock/llama.cpp', 'stock/llama.cpp'],
    'attention per-block': ['own-modeling/null', 'own-modeling/null'],
    'all uniform': ['stock/llama.cpp', 'stock/llama.cpp'],
    'all per-block': ['own-modeling/null', 'own-modeling/null'],
  },
  phi3: {
    'ffn uniform': ['stock/llama.cpp', 'own-modeling/deci'],
    'ffn per-block': ['own-modeling/deci', 'own-modeling/deci'],
    'attention uniform': ['stock/deci', 'own-modeling/deci'],
    'attention per-block': ['own-modeling/deci', 'own-modeling/deci'],
    'all uniform': ['stock/deci', 'own-modeling/deci'],
    'all per-block': ['own-modeling/deci', 'own-modeling/deci'],
  },
  gpt2: {
    'ffn uniform': ['stock/llama.cpp', 'stock/llama.cpp'],
    'ffn per-block': ['own-modeling/null', 'own-modeling/null'],
    'attention uniform': ['own-modeling/null', 'own-modeling/null'],
    'attention per-block': ['own-modeling/null', 'own-modeling/null'],
    'all uniform': ['own-modeling/null', 'own-modeling/null'],
    'all per-block': ['own-modeling/null', 'own-modeling/null'],
  },
  'gpt-neox': {
    'ffn uniform': ['stock/llama.cpp', 'stock/llama.cpp'],
    'ffn per-block': ['own-modeling/null', 'own-modeling/null'],
    'attention uniform': ['own-modeling/null', 'own-modeling/null'],
    'attention per-block': ['own-modeling/null', 'own-modeling/null'],
    'all uniform': ['own-modeling/null', 'own-modeling/null'],
    'all per-block': ['own-modeling/null', 'own-modeling/null'],
  },
  starcoder2: {
    'ffn uniform': ['stock/llama.cpp', 'stock/llama.cpp'],
    'ffn per-block': ['own-modeling/null', 'own-modeling/null'],
    'attention uniform': ['stock/null', 'stock/null'],
    'attention per-block': ['own-modeling/null', 'own-modeling/null'],
    'all uniform': ['stock/null', 'stock/null'],
    'all per-block': ['own-modeling/null', 'own-modeling/null'],
  },
  lfm2: {
    'ffn uniform': ['stock/llama.cpp', 'own-modeling/null'],
    'ffn per-block': ['own-modeling/null', 'own-modeling/null'],
    'attention uniform': ['stock/null', 'own-modeling/null'],
    'attention per-block': ['own-modeling/null', 'own-modeling/null'],
    'all uniform': ['stock/null', 'own-modeling/null'],
    'all per-block': ['own-modeling/null', 'own-modeling/null'],
  },
  mixtral: {
    'attention uniform': ['stock/llama.cpp', 'own-modeling/null'],
    'attention per-block': ['own-modeling/null', 'own-modeling/null'],
    'experts uniform': ['stock/llama.cpp', ''],
    'experts per-block': ['own-modeling/null', ''],
    'expert-channels uniform': ['stock/llama.cpp', ''],
    'moe uniform': ['stock/llama.cpp', ''],
    'moe per-block': ['own-modeling/null', ''],
  },
  'qwen2-moe': {
    'attention uniform': ['stock/null', 'own-modeling/null'],
    'attention per-block': ['own-modeling/null', 'own-modeling/null'],
    'experts uniform': ['stock/llama.cpp', ''],
    'experts per-block': ['own-modeling/null', ''],
    'expert-channels uniform': ['stock/llama.cpp', ''],
    'moe uniform': ['stock/llama.cpp', ''],
    'moe per-block': ['own-modeling/null', ''],
  },
  'qwen3-moe': {
    'attention uniform': ['stock/llama.cpp', 'stock/null'],
    'attention per-block': ['own-modeling/null', 'own-modeling/null'],
    'experts uniform': ['stock/llama.cpp', ''],
    'experts per-block': ['own-modeling/null', ''],
    'expert-channels uniform': ['stock/llama.cpp', ''],
    'moe uniform': ['stock/llama.cpp', ''],
    'moe per-block': ['own-modeling/null', ''],
  },
  'qwen3-next': {
    'attention uniform': ['stock/llama.cpp', 'stock/null'],
    'attention per-block': ['own-modeling/null', 'own-modeling/null'],
    'experts uniform': ['stock/llama.cpp', ''],
    'experts per-block': ['own-modeling/null', ''],
    'expert-channels uniform': ['stock/llama.cpp', ''],
    'moe uniform': ['stock/llama.cpp', ''],
    'moe per-block': ['own-modeling/null', ''],
  },
  'qwen3.5-moe': {
    'attention uniform': ['stock/llama.cpp', 'stock/null'],
    'attention per-block': ['own-modeling/null', 'own-modeling/null'],
    'experts uniform': ['stock/llama.cpp', ''],
    'experts per-block': ['own-modeling/null', ''],
    'expert-channels uniform': ['stock/llama.cpp', ''],
    'moe uniform': ['stock/llama.cpp', ''],
    'moe per-block': ['own-modeling/null', ''],
  },
  'lfm2-moe': {
    'attention uniform': ['stock/null', 'own-modeling/null'],
    'attention per-block': ['own-modeling/null', 'own-modeling/null'],
    'experts uniform': ['stock/llama.cpp', ''],
    'experts per-block': ['own-modeling/null', ''],
    'expert-channels uniform': ['stock/llama.cpp', ''],
    'moe uniform': ['stock/llama.cpp', ''],
    'moe per-block': ['own-modeling/null', ''],
  },
  'granite-moe-shared': {
    'attention uniform': ['stock/llama.cpp', 'stock/llama.cpp'],
    'attention per-block': ['own-modeling/null', 'own-modeling/null'],
    'experts uniform': ['stock/llama.cpp', ''],
    'experts per-block': ['own-modeling/null', ''],
    'expert-channels uniform': ['stock/llama.cpp', ''],
    'moe uniform': ['stock/llama.cpp', ''],
    'moe per-block': ['own-modeling/null', ''],
  },
  olmoe: {
    'attention uniform': ['stock/llama.cpp', 'stock/null'],
    'attention per-block': ['own-modeling/null', 'own-modeling/null'],
    'experts uniform': ['stock/llama.cpp', ''],
    'experts per-block': ['own-modeling/null', ''],
    'expert-channels uniform': ['stock/llama.cpp', ''],
    'moe uniform': ['stock/llama.cpp', ''],
    'moe per-block': ['own-modeling/null', ''],
  },
  'granite-moe': {
    'attention uniform': ['stock/llama.cpp', 'stock/llama.cpp'],
    'attention per-block': ['own-modeling/null', 'own-modeling/null'],
    'experts uniform': ['stock/llama.cpp', ''],
    'experts per-block': ['own-modeling/null', ''],
    'expert-channels uniform': ['stock/llama.cpp', ''],
    'moe uniform': ['stock/llama.cpp', ''],
    'moe per-block': ['own-modeling/null', ''],
  },
  'gpt-oss': {
    'attention uniform': ['stock/llama.cpp', 'stock/llama.cpp'],
    'attention per-block': ['own-modeling/null', 'own-modeling/null'],
    'experts uniform': ['stock/llama.cpp', ''],
    'experts per-block': ['own-modeling/null', ''],
    'expert-channels uniform': ['stock/llama.cpp', ''],
    'moe uniform': ['stock/llama.cpp', ''],
    'moe per-block': ['own-modeling/null', ''],
  },
  opt: {
    'ffn uniform': ['stock/null', 'stock/null'],
    'ffn per-block': ['own-modeling/null', 'own-modeling/null'],
    'attention uniform': ['own-modeling/null', 'own-modeling/null'],
    'attention per-block': ['own-modeling/null', 'own-modeling/null'],
    'all uniform': ['own-modeling/null', 'own-modeling/null'],
    'all per-block': ['own-modeling/null', 'own-modeling/null'],
  },
};

test('the table of what holds what', (t) => {
  const found: typeof TABLE = {};
  for (const { family, scope, widths, addedBias, hf, gguf } of exportTable()) {
    found[family] ??= {};
    const row = `${scope} ${widths}`;
    found[family][row] ??= ['', ''];
    found[family][row][addedBias ? 1 : 0] = `${hf}/${gguf}`;
  }
  t.deepEqual(found, TABLE);
});

test('uniform Llama: the stock configuration, head_dim stated', (t) => {
  const { config, kind, tensors, files } = plan('llama3', [{ ffn: 128, kv: 1 }], {
    format: 'hf',
    dtype: 'BF16',
    sourceConfig: { ...fixtureConfig('llama3'), eos_token_id: [2, 7], initializer_range: 0.5 },
  });
  t.is(kind, 'stock');
  t.like(config, {
    model_type: 'llama',
    architectures: ['LlamaForCausalLM'],
    intermediate_size: 128,
    num_attention_heads: 3,
    num_key_value_heads: 1,
    head_dim: 16,
    attention_bias: false,
    mlp_bias: false,
    torch_dtype: 'bfloat16',
    eos_token_id: [2, 7],
    initializer_range: 0.5,
    rope_theta: 10000,
  });
  t.deepEqual(config!.rope_scaling, {
    rope_type: 'llama3',
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 256,
  });
  t.deepEqual(
    files.map(({ name }) => name),
    ['generation_config.json'],
  );
  t.true(tensors.every(({ dtype }) => dtype === 'BF16'));
  t.true(partsOf(tensors).every(({ fill }) => fill === 'source'));
  const shapes = Object.fromEntries(tensors.map(({ name, shape }) => [name, shape]));
  t.deepEqual(shapes['model.layers.1.self_attn.q_proj.weight'], [48, 96]);
  t.deepEqual(shapes['model.layers.1.self_attn.o_proj.weight'], [96, 48]);
  t.deepEqual(shapes['model.layers.0.mlp.down_proj.weight'], [96, 128]);
  t.deepEqual(shapes['lm_head.weight'], [256, 96]);
  t.is(tensors[0]!.parts[0]!.role, 'embedding');
  t.is(tensors.at(-1)!.parts[0]!.role, 'head');
});

test('stock Llama cannot state heads that do not divide the hidden size', (t) => {
  const architecture = architectureFromConfig(
    { ...fixtureConfig('llama2'), num_attention_heads: 8, num_key_value_heads: 8, head_dim: 8 },
    'llama',
  );
  const keeps = (kv: number) => architecture.blocks.map(() => ({ attention: first(kv) }));
  const kindOf = (kv: number) =>
    planExport({
      architecture,
      pruned: prunedArchitecture(architecture, keeps(kv)),
      format: 'hf',
      dtype: 'F32',
    }).kind;
  t.is(kindOf(4), 'stock');
  t.is(kindOf(5), 'own-modeling');
});

test('an added bias: the switch of the stock class, zeros for what comes with it', (t) => {
  const { kind, config, tensors } = plan('llama2', [{ ffn: 96 }], {
    format: 'hf',
    addedBias: { down: true },
  });
  t.is(kind, 'stock');
  t.like(config, { mlp_bias: true, attention_bias: false });
  const fills = partsOf(tensors)
    .filter(({ role }) => role.endsWith('Bias'))
    .map(({ role, fill }) => [role, fill]);
  t.deepEqual(fills.slice(0, 3), [
    ['ffn.gateBias', 'zeros'],
    ['ffn.upBias', 'zeros'],
    ['ffn.outBias', 'added'],
  ]);
  t.is(fills.length, 9);
});

test('a bias that the model has already is its own, not an added one', (t) => {
  const { tensors } = plan('opt-pre', [{ ffn: 96 }], { format: 'hf', addedBias: { down: true } });
  t.true(partsOf(tensors).every(({ fill }) => fill === 'source'));
});

test('widths that differ: our modeling code travels along', (t) => {
  const { kind, config, files } = plan(
    'opt-post',
    [
      { ffn: 96, kv: 3 },
      { ffn: 160, kv: 4 },
    ],
    {
      format: 'hf',
    },
  );
  t.is(kind, 'own-modeling');
  t.like(config, {
    model_type: 'struprune_opt',
    architectures: ['StrupruneOPTForCausalLM'],
    auto_map: {
      AutoConfig: 'configuration_struprune.StrupruneOPTConfig',
      AutoModel: 'modeling_struprune.StrupruneOPTModel',
      AutoModelForCausalLM: 'modeling_struprune.StrupruneOPTForCausalLM',
    },
    num_attention_heads: 4,
    do_layer_norm_before: false,
    word_embed_proj_dim: 48,
    head_dim: 16,
    per_layer_config: {
      0: { ffn_dim: 96, num_attention_heads: 3 },
      1: { ffn_dim: 160, num_attention_heads: 4 },
    },
  });
  t.deepEqual(config!.struprune, {
    intermediate_sizes: [96, 160],
    attention_heads: [3, 4],
    key_value_heads: [3, 4],
    head_dim: 16,
    biases: { qkv: true, o: true, ffnIn: true, down: true },
  });
  const code = Object.fromEntries(files.map(({ name, text }) => [name, text]));
  t.regex(code['modeling_struprune.py']!, /class StrupruneOPTForCausalLM/);
  t.regex(code['configuration_struprune.py']!, /class StrupruneOPTConfig/);
  t.regex(code['configuration_struprune.py']!, /model_type = "struprune_opt"/);
  // Another family's classes may be missing in the reader's transformers.
  t.notRegex(Object.values(code).join(), /llama|qwen|mistral/i);
});

test("vLLM's class for unlike blocks of Llama's kind is named where it holds the model", (t) => {
  const named = (name: string, keeps: { ffn?: number; kv?: number }[], more = {}) => {
    const request = { format: 'hf', ...more } as const;
    return plan(name, keeps, request).notes.some((note) => note.includes('DeciLMForCausalLM'));
  };
  const unlike = [{ ffn: 64 }, { ffn: 80 }];
  t.true(named('llama3', unlike));
  t.true(named('llama3', [{}, { kv: 0 }]));
  t.true(named('llama3', [{}, { ffn: 0 }]));
  // A stock class, other heads, no attention in front, a bias, and other blocks.
  t.false(named('llama3', [{ ffn: 128 }]));
  t.false(named('llama3', [{ kv: 1 }, {}]));
  t.false(named('llama3', [{ kv: 0 }, {}]));
  t.false(named('llama3', unlike, { addedBias: { down: true } }));
  for (const other of ['llama-bias', 'qwen2', 'qwen3', 'ernie4.5', 'smollm3', 'phi3', 'granite']) {
    t.false(named(other, unlike), other);
  }
});

test('GPT-NeoX: maps head by head, rope under the keys of transformers 4 too', (t) => {
  for (const [name, share, parallel] of [
    ['gpt-neox', 0.25, true],
    ['gpt-neox-serial', 1, false],
  ] as const) {
    const { tensors, config } = plan(name, [{ ffn: 96 }], { format: 'hf' });
    t.like(config, { rotary_pct: share, rotary_emb_base: 10000, use_parallel_residual: parallel });
    t.like(config!.rope_parameters as object, { partial_rotary_factor: share, rope_theta: 10000 });
    const qkv = tensors.find(({ name }) => name.endsWith('1.attention.query_key_value.weight'))!;
    t.deepEqual([qkv.shape, qkv.turns, qkv.parts.length], [[192, 64], 4, 3]);
  }
  const { tensors, metadata } = plan('gpt-neox-tanh', [{ ffn: 96 }], { format: 'gguf' });
  t.deepEqual(metadata!['gptneox.use_parallel_residual'], { type: 'bool', value: true });
  t.is(tensors.find(({ name }) => name === 'blk.1.attn_qkv.weight')!.turns, 0);
});

test('every HF plan reads back as the architecture that it was made for', (t) => {
  const names = ['llama3', 'llama-bias', 'mistral', 'qwen2', 'qwen3', 'opt-pre', 'opt-post'];
  const more = ['gemma3', 'gemma3-unlike', 'phi3', 'phi3-plain', 'gpt2', 'starcoder2'];
  const parallel = ['gpt-neox', 'gpt-neox-serial'];
  const capped = ['gemma2', 'gemma2-unlike'];
  const windows = ['ministral', 'ministral-plain', 'ministral3', 'qwen2-sliding', 'qwen3-sliding'];
  const unlike = [
    'olmo2',
    'olmo3',
    'seed-oss',
    'seed-oss-biases',
    'granite4',
    'ernie4.5',
    'ernie4.5-biases',
    'smollm3',
    'granite',
    'qwen3-yarn',
    ...windows,
  ];
  const hybrid = ['lfm2', 'lfm2-unlike', 'qwen3.5', 'qwen3.5-unlike'];
  for (const name of [...names, ...more, ...parallel, ...capped, ...unlike, ...hybrid]) {
    const architecture = architectureFromConfig(fixtureConfig(name), name);
    for (const widths of [
      [64, 64],
      [64, 96],
    ]) {
      const keeps = architecture.blocks.map(
        ({ mixer }, block): BlockKeep => ({
          ffn: first(widths[block] ?? 64),
          ...(!mixer && { attention: first(1) }),
        }),
      );
      const pruned = prunedArchitecture(architecture, keeps);
      const { config, biases } = planExport({
        architecture,
        pruned,
        format: 'hf',
        dtype: 'F16',
        addedBias: { o: true },
        sourceConfig: fixtureConfig(name),
      });
      t.deepEqual(architectureFromConfig(config!, name), { ...pruned, biases }, name);
    }
  }
});

test('LFM2: older keys are not carried over, and the width is the one that is meant', (t) => {
  const { layer_types, intermediate_size, ...rest } = fixtureConfig('lfm2');
  const older = { block_ff_dim: 140, tie_embedding: true, full_attn_idxs: [1, 3] };
  const sourceConfig = { ...rest, ...older, conv_use_xavier_init: true };
  const architecture = architectureFromConfig(sourceConfig, 'lfm2');
  t.deepEqual(architecture, architectureFromConfig(fixtureConfig('lfm2'), 'lfm2'));
  const made = planExport({
    ...{ architecture, pruned: architecture, format: 'hf', dtype: 'F16', sourceConfig },
  });
  t.is(made.kind, 'stock');
  t.like(made.config, { layer_types, intermediate_size: 96, conv_use_xavier_init: true });
  for (const key of Object.keys(older)) t.false(key in made.config!, key);
  t.deepEqual(architectureFromConfig(made.config!, 'made'), architecture);
  const kernel = made.tensors.find(({ name }) => name === 'model.layers.2.conv.conv.weight')!;
  t.deepEqual(kernel.shape, [64, 1, 3]);
});

test('LFM2 in GGUF: KV heads of every block, none where it convolves', (t) => {
  const architecture = architectureFromConfig(fixtureConfig('lfm2'), 'lfm2');
  const { kind, metadata, tensors } = planExport({
    ...{ architecture, pruned: architecture, format: 'gguf', dtype: 'F16' },
  });
  t.is(kind, 'llama.cpp');
  const value = (key: string) => metadata![`lfm2.${key}`]!.value;
  t.is(value('attention.head_count'), 4);
  t.deepEqual(value('attention.head_count_kv'), [0, 2, 0, 2]);
  t.is(value('shortconv.l_cache'), 3);
  const kernel = tensors.find(({ name }) => name === 'blk.2.shortconv.conv.weight')!;
  t.like(kernel, { shape: [64, 3], dtype: 'F32' });
});

test('Granite: the experts of a block are one tensor, if there is one of them left', (t) => {
  const sourceConfig = { ...fixtureConfig('granite-moe'), num_experts_per_tok: 1 };
  const architecture = architectureFromConfig(sourceConfig, 'granite-moe');
  for (const count of [1, 3]) {
    const keeps = architecture.blocks.map((): BlockKeep => ({ experts: first(count) }));
    const pruned = prunedArchitecture(architecture, keeps);
    const made = planExport({ architecture, pruned, format: 'hf', dtype: 'F16', sourceConfig });
    t.is(made.kind, 'stock');
    t.like(made.config, { num_local_experts: count, num_experts_per_tok: 1, logits_scaling: 4 });
    const shapes = Object.fromEntries(made.tensors.map(({ name, shape }) => [name, shape]));
    const moe = 'model.layers.1.block_sparse_moe';
    t.deepEqual(shapes[`${moe}.input_linear.weight`], [count, 48, 64]);
    t.deepEqual(shapes[`${moe}.output_linear.weight`], [count, 64, 24]);
    t.deepEqual(shapes[`${moe}.router.layer.weight`], [count, 64]);
    t.deepEqual(architectureFromConfig(made.config!, 'made'), pruned);
  }
});

test('experts beside other mixers: a folder reads back as what it was made for', (t) => {
  for (const name of [
    ...['qwen3-next', 'qwen3-next-unlike', 'qwen3-next-plain', 'qwen3.5-moe'],
    ...['lfm2-moe', 'lfm2-moe-unlike', 'granite-moe-shared'],
  ]) {
    const sourceConfig = fixtureConfig(name);
    const architecture = architectureFromConfig(sourceConfig, name);
    for (const dense of [64, 96]) {
      const keeps = architecture.blocks.map(
        ({ mixer, experts }): BlockKeep => ({
          ...(experts ? { experts: first(4) } : { ffn: first(dense) }),
          ...(!mixer && { attention: first(1) }),
        }),
      );
      const pruned = prunedArchitecture(architecture, keeps);
      const made = planExport({ architecture, pruned, format: 'hf', dtype: 'F16', sourceConfig });
      t.is(made.kind, 'stock');
      t.deepEqual(architectureFromConfig(made.config!, name), pruned, name);
      const asGguf = () => planExport({ architecture, pruned, format: 'gguf', dtype: 'F16' });
      if (['granite-moe-shared', 'qwen3.5-moe', 'qwen3-next-plain'].includes(name)) {
        t.is(asGguf().kind, 'llama.cpp');
        continue;
      }
      const message =
        {
          'lfm2-moe': /a lfm2-moe model with fewer heads/,
          'lfm2-moe-unlike':
            /do not have biases of short convolutions|probabilities|without biases/,
        }[name] ?? /do not have blocks without experts/;
      t.throws(asGguf, { code: 'ERR_UNSUPPORTED', message });
    }
  }
});

test('experts: each by itself in the file, in the stock class where all blocks have as many', (t) => {
  const architecture = architectureFromConfig(fixtureConfig('qwen3-moe'), 'qwen3-moe');
  const withExperts = (counts: number[]) =>
    prunedArchitecture(
      architecture,
      architecture.blocks.map(
        ({ experts }, block): BlockKeep => (experts ? { experts: first(counts[block]!) } : {}),
      ),
    );
  const sourceConfig = fixtureConfig('qwen3-moe');
  const pruned = withExperts([5, 0, 5]);
  const made = planExport({ architecture, pruned, format: 'hf', dtype: 'F16', sourceConfig });
  t.is(made.kind, 'stock');
  t.like(made.config, {
    num_experts: 5,
    num_experts_per_tok: 3,
    moe_intermediate_size: 24,
    intermediate_size: 96,
    norm_topk_prob: true,
    mlp_only_layers: [1],
  });
  t.is(made.config!.num_local_experts, undefined);
  t.deepEqual(architectureFromConfig(made.config!, 'qwen3-moe'), pruned);
  const inBlock = (block: number) => made.tensors.filter((tensor) => tensor.block === block);
  const shapes = Object.fromEntries(inBlock(2).map(({ name, shape }) => [name, shape]));
  t.deepEqual(shapes['model.layers.2.mlp.gate.weight'], [5, 64]);
  t.deepEqual(shapes['model.layers.2.mlp.experts.4.down_proj.weight'], [64, 24]);
  t.false('model.layers.2.mlp.experts.5.down_proj.weight' in shapes);
  t.is(
    inBlock(1).find(({ name }) => name.includes('experts')),
    undefined,
  );
  const unlike = withExperts([5, 0, 4]);
  const own = planExport({ architecture, pruned: unlike, format: 'hf', dtype: 'F16' });
  t.is(own.kind, 'own-modeling');
  t.like(own.config!.struprune, {
    experts: [5, 0, 4],
    expert_keys: ['num_experts', 'moe_intermediate_size'],
  });
  t.deepEqual(architectureFromConfig(own.config!, 'qwen3-moe'), unlike);
});

test('GGUF: llama stays llama where blocks are alike, q and k interleaved, vectors in F32', (t) => {
  const { kind, metadata, tensors } = plan('llama3-tied', [{ ffn: 96 }], {
    format: 'gguf',
    dtype: 'F16',
  });
  t.is(kind, 'llama.cpp');
  t.deepEqual(metadata!['general.architecture'], { type: 'string', value: 'llama' });
  t.deepEqual(metadata!['llama.feed_forward_length'], { type: 'uint32', value: 96 });
  t.deepEqual(metadata!['llama.attention.key_length'], { type: 'uint32', value: 16 });
  const named = Object.fromEntries(partsOf(tensors).map((part) => [part.name, part]));
  t.like(named['blk.0.attn_q.weight'], { dtype: 'F16', ropeHeads: 4 });
  t.like(named['blk.0.attn_k.weight'], { ropeHeads: 2 });
  t.is(named['blk.0.attn_v.weight']!.ropeHeads, undefined);
  t.is(named['blk.0.attn_norm.weight']!.dtype, 'F32');
  t.is(named['output.weight'], undefined);
  const factors = named['rope_freqs.weight']!;
  t.like(factors, { dtype: 'F32', shape: [8], fill: 'values', block: null });
  // Wave lengths of theta 10000 and head width 16 against 256 / 4 and 256: three stay, one is between.
  t.deepEqual(
    [...factors.values!].map((value) => value === 1),
    [true, true, true, false, false, false, false, false],
  );
  t.is(factors.values![7], 8);
});

test("GGUF: a table of Llama 3's rule that cannot be read back is refused before any work", (t) => {
  // So close to the low factor that no wave length lies between: none is interpolated.
  const config = fixtureConfig('llama3-tied');
  const rope_parameters = { ...(config.rope_parameters as object), high_freq_factor: 1.001 };
  const architecture = architectureFromConfig({ ...config, rope_parameters }, 'odd');
  const request = { architecture, pruned: architecture, dtype: 'F32' } as const;
  t.throws(() => planExport({ ...request, format: 'gguf' }), {
    code: 'ERR_UNSUPPORTED',
    message: /rope scaling/,
  });
  t.is(planExport({ ...request, format: 'hf' }).kind, 'stock');
});

test('GGUF: deci states every block, and interleaves what its source did not', (t) => {
  const { kind, metadata, tensors } = plan('qwen2', [{ ffn: 96, kv: 1 }, {}], { format: 'gguf' });
  t.is(kind, 'deci');
  t.deepEqual(metadata!['deci.feed_forward_length'], { type: 'array:int32', value: [96, 160] });
  t.deepEqual(metadata!['deci.attention.head_count'], { type: 'array:int32', value: [2, 4] });
  t.deepEqual(metadata!['deci.attention.head_count_kv'], { type: 'array:int32', value: [1, 2] });
  const rotated = partsOf(tensors).filter(({ ropeHeads }) => ropeHeads !== undefined);
  t.deepEqual(
    rotated.map(({ name, ropeHeads }) => [name, ropeHeads]),
    [
      ['blk.0.attn_q.weight', 2],
      ['blk.0.attn_q.bias', 2],
      ['blk.0.attn_k.weight', 1],
      ['blk.0.attn_k.bias', 1],
      ['blk.1.attn_q.weight', 4],
      ['blk.1.attn_q.bias', 4],
      ['blk.1.attn_k.weight', 2],
      ['blk.1.attn_k.bias', 2],
    ],
  );
  t.true(
    partsOf(plan('qwen2', [{ ffn: 96 }], { format: 'gguf' }).tensors).every(
      ({ ropeHeads }) => ropeHeads === undefined,
    ),
  );
});

test('GGUF: openelm has Qwen3 of unlike widths, queries, keys and values in one tensor', (t) => {
  const widths = [{ ffn: 96, kv: 1 }, {}];
  const { kind, metadata, tensors } = plan('qwen3-yarn', widths, { format: 'gguf' });
  t.is(kind, 'openelm');
  t.deepEqual(metadata!['openelm.feed_forward_length'], { type: 'array:int32', value: [96, 160] });
  t.deepEqual(metadata!['openelm.attention.head_count'], { type: 'array:int32', value: [2, 4] });
  t.deepEqual(metadata!['openelm.attention.head_count_kv'], { type: 'array:int32', value: [1, 2] });
  const joined = tensors.filter(({ parts }) => parts.length > 1);
  t.deepEqual(
    joined.map(({ name, shape }) => [name, shape]),
    [
      ['blk.0.attn_qkv.weight', [64, 64]],
      ['blk.1.attn_qkv.weight', [128, 64]],
    ],
  );
  t.false(tensors.some(({ name }) => name === 'output.weight'));
});

test('GGUF: openelm has no head apart from the embedding, no bias, no block without attention', (t) => {
  const refused = (model: string, widths: Parameters<typeof plan>[1], why: RegExp) =>
    t.throws(() => plan(model, widths, { format: 'gguf' }), {
      code: 'ERR_UNSUPPORTED',
      message: why,
    });
  refused('qwen3', [{ ffn: 96 }, {}], /differ between blocks and a head apart from its embedding/);
  refused('qwen3-yarn', [{ ffn: 96 }, { kv: 0 }], /widths that differ between blocks/);
  const added = { format: 'gguf', addedBias: { down: true } } as const;
  t.throws(() => plan('qwen3-yarn', [{ ffn: 96 }, {}], added), { code: 'ERR_UNSUPPORTED' });
});

test('GGUF: openelm joins no maps of unlike types', async (t) => {
  const source = await openCheckpoint('test/fixtures/models/qwen3-yarn/model.gguf');
  const roles: BlockRole[] = ['attention.q', 'attention.k', 'attention.v'];
  const asQ4KM = source.blocks.map((refs) => ({
    ...refs,
    'attention.v': { ...refs['attention.v']!, dtype: 'Q6_K' as const },
  }));
  const written = (blocks: typeof asQ4KM, ffn: number) => {
    const takenOver = { source: { ...source, blocks }, roles };
    return plan('qwen3-yarn', [{ ffn }, {}], { format: 'gguf', takenOver }).kind;
  };
  t.is(written(source.blocks as typeof asQ4KM, 96), 'openelm');
  t.throws(() => written(asQ4KM, 96), {
    code: 'ERR_UNSUPPORTED',
    message: /block 0 has F16 and Q6_K/,
  });
  t.is(written(asQ4KM, 160), 'llama.cpp');
});

test('GGUF: a sliding window becomes the context length, and a note says so', (t) => {
  const { metadata, notes } = plan('mistral', [{ ffn: 96 }], { format: 'gguf' });
  t.deepEqual(metadata!['llama.context_length'], { type: 'uint32', value: 16 });
  t.is(notes.length, 1);
  t.regex(notes[0]!, /sliding window/);
});

test('blocks with a rope of their own keep it without a window', (t) => {
  const { config } = planOther('gemma3', { sliding_window: null }, 'hf');
  t.deepEqual(config!.layer_types, fixtureConfig('gemma3').layer_types);
  const { rope, globalRope, blocks } = architectureFromConfig(config!, 'gemma3');
  t.deepEqual([rope, globalRope], [{ theta: 1e4 }, { theta: 1e6 }]);
  t.deepEqual(
    blocks.map(({ global }) => global ?? false),
    [false, false, false, false, false, true],
  );
});

test('GGUF: Gemma 3 slides there too, and its norms are not stored less 1', (t) => {
  const { metadata, notes, tensors } = plan('gemma3', [{ ffn: 64 }], { format: 'gguf' });
  t.deepEqual(metadata!['gemma3.attention.sliding_window'], { type: 'uint32', value: 16 });
  t.deepEqual(metadata!['gemma3.context_length'], { type: 'uint32', value: 512 });
  t.deepEqual(metadata!['gemma3.rope.freq_base'], { type: 'float32', value: 1e6 });
  t.deepEqual(notes, []);
  t.true(tensors.some(({ name }) => name === 'blk.0.post_ffw_norm.weight'));
});

test('GGUF: Gemma 2 states its caps', (t) => {
  const { metadata } = plan('gemma2', [{ ffn: 64 }], { format: 'gguf' });
  t.deepEqual(metadata!['gemma2.attn_logit_softcapping'], { type: 'float32', value: 2 });
  t.deepEqual(metadata!['gemma2.final_logit_softcapping'], { type: 'float32', value: 4 });
});

test('Phi-3: fused maps are joined again in both formats, apart in deci', (t) => {
  const fused = (format: ExportFormat) =>
    plan('phi3-plain', [{ ffn: 96 }], { format })
      .tensors.filter(({ block, parts }) => block === 0 && parts.length > 1)
      .map(({ name, shape, parts }) => [name, shape, parts.map(({ role }) => role)]);
  const qkv = ['attention.q', 'attention.k', 'attention.v'];
  t.deepEqual(fused('hf'), [
    ['model.layers.0.self_attn.qkv_proj.weight', [192, 64], qkv],
    ['model.layers.0.mlp.gate_up_proj.weight', [192, 64], ['ffn.gate', 'ffn.up']],
  ]);
  t.deepEqual(fused('gguf'), [
    ['blk.0.attn_qkv.weight', [192, 64], qkv],
    ['blk.0.ffn_up.weight', [192, 64], ['ffn.gate', 'ffn.up']],
  ]);
  const { kind, tensors } = plan('phi3-plain', [{ ffn: 96 }, {}], { format: 'gguf' });
  t.is(kind, 'deci');
  t.true(tensors.every(({ parts }) => parts.length === 1));
  t.true(tensors.some(({ name, parts }) => name === 'blk.0.attn_q.weight' && parts[0]!.ropeHeads));
});

test('Phi-3: longrope beside head counts of its own is not of the stock class', (t) => {
  t.is(plan('phi3-plain', [{ kv: 2 }], { format: 'hf' }).kind, 'stock');
  const { kind, config } = plan('phi3', [{ kv: 1 }], { format: 'hf' });
  t.is(kind, 'own-modeling');
  // What its configuration divides the hidden size by.
  t.like(config, { num_attention_heads: 4, original_max_position_embeddings: 32 });
  t.is(plan('phi3', [{ ffn: 96 }], { format: 'hf' }).kind, 'stock');
});

test('GPT-2: maps are stored [in, out] in a folder, [out, in] in GGUF', (t) => {
  const shapes = (format: ExportFormat) =>
    Object.fromEntries(
      plan('gpt2', [{ ffn: 96 }], { format }).tensors.map(({ name, shape }) => [name, shape]),
    );
  const folder = shapes('hf');
  t.deepEqual(folder['transformer.h.1.attn.c_attn.weight'], [64, 192]);
  t.deepEqual(folder['transformer.h.1.attn.c_attn.bias'], [192]);
  t.deepEqual(folder['transformer.h.1.mlp.c_proj.weight'], [96, 64]);
  t.deepEqual(folder['transformer.wpe.weight'], [64, 64]);
  const gguf = shapes('gguf');
  t.deepEqual(gguf['blk.1.attn_qkv.weight'], [192, 64]);
  t.deepEqual(gguf['blk.1.ffn_down.weight'], [64, 96]);
  t.deepEqual(gguf['position_embd.weight'], [64, 64]);
});

test('StarCoder2 without biases: llama.cpp wants them, and has zeros', (t) => {
  const { tensors, biases } = plan('starcoder2-bare', [{ ffn: 96 }], { format: 'gguf' });
  t.deepEqual(biases, { qkv: true, o: true, ffnIn: true, down: true });
  const added = partsOf(tensors).filter(({ fill }) => fill === 'zeros');
  t.is(added.length, 2 * 6);
  t.true(added.every(({ name }) => /\.bias$/.test(name)));
  const folder = plan('starcoder2-bare', [{ ffn: 96 }], { format: 'hf' });
  t.true(partsOf(folder.tensors).every(({ fill }) => fill === 'source'));
});

test('GGUF: Granite states its multipliers, SmolLM3 turns rope as it is there', (t) => {
  const { metadata } = plan('granite', [{ ffn: 96 }], { format: 'gguf' });
  const stated = ['embedding_scale', 'residual_scale', 'logit_scale', 'attention.scale'].map(
    (key) => metadata![`granite.${key}`]!.value,
  );
  t.deepEqual(
    stated.map((value) => Math.fround(Number(value))),
    [6, 0.3, 4, 0.15].map(Math.fround),
  );
  t.is(plan('smollm3', [{ ffn: 64 }], { format: 'gguf' }).kind, 'llama.cpp');
  const { metadata: yarn } = plan('qwen3-yarn', [{ ffn: 96 }], { format: 'gguf' });
  t.deepEqual(yarn!['qwen3.rope.scaling.type'], { type: 'string', value: 'yarn' });
  t.deepEqual(yarn!['qwen3.rope.scaling.factor'], { type: 'float32', value: 16 });
});

test('GGUF: windows of some layers and dynamic rope end at the window', (t) => {
  const { metadata, notes } = plan('qwen2-sliding', [{ ffn: 96 }], { format: 'gguf' });
  t.deepEqual(metadata!['qwen2.context_length'], { type: 'uint32', value: 16 });
  t.is(metadata!['qwen2.rope.scaling.type'], undefined);
  t.regex(notes.join(), /sliding window.*dynamic rope scaling/);
});

const REFUSED: [string, () => unknown, RegExp][] = [
  [
    'yarn with turns of its own in GGUF',
    () => plan('ministral', [{}], { format: 'gguf' }),
    /ministral models do not have yarn with turns or an attention factor/,
  ],
  [
    'OLMo 2 with a tied head in GGUF',
    () => planOther('olmo2', { tie_word_embeddings: true }, 'gguf'),
    /olmo2 models do not have a head that is tied/,
  ],
  [
    'SmolLM3 without rope in other blocks in GGUF',
    () => planOther('smollm3', { no_rope_layers: [0, 1, 1, 1] }, 'gguf'),
    /blocks without rope other than every 4th/,
  ],
  [
    'Granite, widths per block, in GGUF',
    () => plan('granite', [{ ffn: 96 }, {}], { format: 'gguf' }),
    /granite model with widths that differ between blocks/,
  ],
  [
    'Gemma 3 with another scale in GGUF',
    () => plan('gemma3-unlike', [{}], { format: 'gguf' }),
    /gemma3 models do not have an attention scale/,
  ],
  [
    'Gemma 3 with other global blocks in GGUF',
    () => planOther('gemma3', { layer_types: new Array(6).fill('full_attention') }, 'gguf'),
    /global blocks other than every 6th/,
  ],
  [
    'Gemma 3 with yarn of its own in its global blocks in GGUF',
    () => {
      const rope_parameters = {
        full_attention: { rope_type: 'yarn', rope_theta: 1e6, factor: 4, beta_fast: 16 },
        sliding_attention: { rope_type: 'default', rope_theta: 1e4 },
      };
      return planOther('gemma3', { rope_parameters }, 'gguf');
    },
    /gemma3 models do not have yarn with turns or an attention factor/,
  ],
  [
    'Gemma 2 without a cap in GGUF',
    () => planOther('gemma2', { attn_logit_softcapping: null }, 'gguf'),
    /gemma2 models do not have scores or logits without a cap/,
  ],
  [
    'gpt-oss with another limit in GGUF',
    () => planOther('gpt-oss-mxfp4', { swiglu_limit: 5 }, 'gguf'),
    /gpt-oss models do not have gates with another limit/,
  ],
  [
    'gpt-oss as OpenAI has it in GGUF',
    () => {
      const { rope_parameters } = fixtureConfig('gpt-oss');
      return planOther('gpt-oss-mxfp4', { rope_parameters }, 'gguf');
    },
    /gpt-oss models do not have yarn whose ends are not rounded to whole pairs/,
  ],
  [
    'Phi-3 with partial rope, widths per block, in GGUF',
    () => plan('phi3', [{ ffn: 96 }, {}], { format: 'gguf' }),
    /phi3 model with widths that differ between blocks; .*allocation uniform/,
  ],
  [
    'GPT-NeoX with GELU by the error function in GGUF',
    () => plan('gpt-neox', [{ ffn: 96 }], { format: 'gguf' }),
    /llama\.cpp's gpt-neox models do not have the activation gelu/,
  ],
  [
    'GPT-2 without heads in GGUF',
    () => plan('gpt2', [{ kv: 2 }], { format: 'gguf' }),
    /no architecture of llama.cpp holds a gpt2 model/,
  ],
  [
    'OPT in GGUF',
    () => plan('opt-pre', [{}], { format: 'gguf' }),
    /opt.*a path that does not end in \.gguf/,
  ],
  [
    'Qwen3, widths per block, in GGUF',
    () => plan('qwen3', [{ ffn: 96 }, {}], { format: 'gguf' }),
    /with allocation uniform/,
  ],
  [
    'Qwen3 with an added bias in GGUF',
    () => plan('qwen3', [{ ffn: 96 }], { format: 'gguf', addedBias: { down: true } }),
    /without bias compensation/,
  ],
  [
    'Q8_0 in a folder',
    () => plan('llama2', [{}], { format: 'hf', dtype: 'Q8_0' }),
    /or format gguf/,
  ],
  [
    'Q8_0 rows of 40',
    () => plan('llama2', [{ ffn: 40 }], { format: 'gguf', dtype: 'Q8_0' }),
    /ffn_down.* 40 .*32/,
  ],
  [
    'Q4_0 in a folder',
    () => plan('llama2', [{}], { format: 'hf', dtype: 'Q4_0' }),
    /holds no Q4_0 .*or format gguf/,
  ],
  [
    'Q8_0 heads of 16',
    () => plan('llama2', [{ kv: 1 }], { format: 'gguf', dtype: 'Q8_0' }),
    /attn_output.* 16 /,
  ],
  ['no FFN at all', () => plan('llama2', [{ ffn: 0 }], { format: 'hf' }), /keep its FFN/],
  ['no attention at all', () => plan('llama2', [{ kv: 0 }], { format: 'hf' }), /its attention/],
  ['nothing at all', () => plan('llama2', [NOTHING], { format: 'gguf' }), /keep its attention/],
  [
    'attention alone in GGUF, which llama.cpp leaves out',
    () => plan('llama2', [{}, { ffn: 0 }, {}], { format: 'gguf' }),
    /attention alone.*folder/,
  ],
  [
    'a first block without attention in GGUF, of which llama.cpp takes the width of heads',
    () => plan('llama2', [{ kv: 0 }, {}, {}], { format: 'gguf' }),
    /no first block without it/,
  ],
  [
    'Qwen3 with a block without attention in GGUF',
    () => plan('qwen3', [{}, { kv: 0 }], { format: 'gguf' }),
    /no architecture of llama.cpp/,
  ],
];

for (const [what, make, message] of REFUSED) {
  test(`refuses: ${what}`, (t) => {
    t.throws(make, { code: 'ERR_UNSUPPORTED', message });
  });
}

test('who holds which model without some of its sublayers', (t) => {
  const kinds = (keeps: Parameters<typeof plan>[1], name = 'llama2') =>
    (['hf', 'gguf'] as const).map((format) => plan(name, keeps, { format }).kind);
  t.deepEqual(kinds([{}, NOTHING, {}]), ['stock', 'llama.cpp']);
  t.deepEqual(kinds([NOTHING, {}, {}]), ['stock', 'llama.cpp']);
  t.deepEqual(kinds([{}, { kv: 0 }, {}]), ['own-modeling', 'deci']);
  t.deepEqual(kinds([{}, { kv: 0 }, NOTHING]), ['own-modeling', 'deci']);
  t.deepEqual(kinds([{}, NOTHING], 'qwen3'), ['stock', 'llama.cpp']);
  t.is(plan('llama2', [{ ffn: 0 }, { kv: 0 }, {}], { format: 'hf' }).kind, 'own-modeling');
});

test('blocks behind one that left the file move up, and keep their place in the source', (t) => {
  const { tensors, config } = plan('llama2', [{}, NOTHING, {}], { format: 'hf' });
  t.is(config!.num_hidden_layers, 2);
  const places = tensors
    .filter(({ parts: [part] }) => part!.role === 'ffn.out')
    .map(({ name, block }) => [name, block]);
  t.deepEqual(places, [
    ['model.layers.0.mlp.down_proj.weight', 0],
    ['model.layers.1.mlp.down_proj.weight', 2],
  ]);
  const { metadata } = plan('llama2', [{}, { kv: 0 }, NOTHING], { format: 'gguf' });
  t.like(metadata, {
    'deci.block_count': { value: 2 },
    'deci.attention.head_count': { value: [4, 0] },
    'deci.feed_forward_length': { value: [160, 160] },
  });
});

test('widths that a dtype needs', (t) => {
  t.deepEqual(roundingFor('BF16'), { ffn: 8, attention: 1 });
  t.deepEqual(roundingFor('F16'), { ffn: 8, attention: 1 });
  t.deepEqual(roundingFor('Q8_0'), { ffn: 32, attention: 32 });
  t.deepEqual(roundingFor('MXFP4'), { ffn: 32, attention: 32 });
  t.throws(() => requireDtype('hf', 'Q8_0'), { code: 'ERR_UNSUPPORTED' });
});
