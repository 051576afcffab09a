import test from 'ava';

import type { Architecture } from '../../lib/model/architecture';
import { sublayersOf } from '../../lib/model/blocks';
import { architectureFromConfig } from '../../lib/model/from-config';
import type { AttentionSpec } from '../../lib/model/sublayers';
import { fixtureConfig } from './fixture';

const architectureOf = (name: string) => architectureFromConfig(fixtureConfig(name), name);

const NO_BIAS = { qkv: false, o: false, ffnIn: false, down: false };
const ALL_BIASES = { qkv: true, o: true, ffnIn: true, down: true };
const LLAMA3 = { factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions: 256 };

const LLAMA2: Architecture = {
  family: 'llama',
  hidden: 64,
  vocab: 256,
  headDim: 16,
  blocks: new Array(3).fill({ ffn: 160, heads: 4, kvHeads: 4 }),
  maxPositions: 512,
  norm: { kind: 'rms', eps: 1e-5, placement: 'pre' },
  parallel: false,
  finalNorm: true,
  rope: { theta: 10000 },
  globalRope: null,
  positionOffset: null,
  slidingWindow: 0,
  qkNorm: null,
  queryScalar: null,
  scoreCap: null,
  sinks: false,
  activation: 'silu',
  gated: true,
  clampedGate: null,
  biases: NO_BIAS,
  embeddingScale: 1,
  outputScale: 1,
  logitScale: 1,
  logitCap: null,
  tiedEmbeddings: false,
  routing: null,
  convolution: null,
  delta: null,
  gatedAttention: false,
  embeddingProjection: null,
  bosTokenId: 1,
  eosTokenId: 2,
};
const GPT_NEOX: Architecture = {
  ...LLAMA2,
  family: 'gpt-neox',
  norm: { kind: 'layer', eps: 1e-5, placement: 'pre' },
  parallel: true,
  rope: { theta: 10000, dims: 4 },
  activation: 'gelu',
  gated: false,
  biases: ALL_BIASES,
};
const TWO_GQA = new Array(2).fill({ ffn: 160, heads: 4, kvHeads: 2 });
const OPT: Architecture = {
  ...LLAMA2,
  family: 'opt',
  blocks: new Array(2).fill({ ffn: 160, heads: 4, kvHeads: 4 }),
  maxPositions: 64,
  norm: { kind: 'layer', eps: 1e-5, placement: 'pre' },
  rope: null,
  positionOffset: 2,
  activation: 'relu',
  gated: false,
  biases: ALL_BIASES,
  tiedEmbeddings: true,
};

const GEMMA3: Architecture = {
  ...LLAMA2,
  family: 'gemma3',
  blocks: Array.from({ length: 6 }, (_, block) => ({
    ...{ ffn: 96, heads: 4, kvHeads: 2 },
    ...(block === 5 && { global: true as const }),
  })),
  norm: { kind: 'rms', eps: 1e-6, placement: 'sandwich' },
  globalRope: { theta: 1e6 },
  slidingWindow: 16,
  qkNorm: 'head',
  activation: 'gelu_pytorch_tanh',
  embeddingScale: 8,
  tiedEmbeddings: true,
};

const GEMMA2: Architecture = {
  ...GEMMA3,
  family: 'gemma2',
  blocks: Array.from({ length: 4 }, (_, block) => ({
    ...{ ffn: 96, heads: 4, kvHeads: 2 },
    ...(block % 2 === 1 && { global: true as const }),
  })),
  globalRope: null,
  qkNorm: null,
  scoreCap: 2,
  logitCap: 4,
};

const STARCODER2: Architecture = {
  ...LLAMA2,
  family: 'starcoder2',
  blocks: TWO_GQA,
  norm: { kind: 'layer', eps: 1e-5, placement: 'pre' },
  rope: { theta: 100000 },
  activation: 'gelu_pytorch_tanh',
  gated: false,
  biases: ALL_BIASES,
  tiedEmbeddings: true,
};

const EXPECTED: Record<string, Architecture> = {
  llama2: LLAMA2,
  llama3: {
    ...LLAMA2,
    hidden: 96,
    blocks: new Array(2).fill({ ffn: 192, heads: 6, kvHeads: 2 }),
    rope: { theta: 10000, llama3: LLAMA3 },
  },
  'llama3-tied': {
    ...LLAMA2,
    blocks: TWO_GQA,
    rope: { theta: 10000, llama3: LLAMA3 },
    tiedEmbeddings: true,
  },
  'llama-bias': {
    ...LLAMA2,
    blocks: TWO_GQA,
    rope: { theta: 10000, linearFactor: 2 },
    biases: ALL_BIASES,
  },
  mistral: { ...LLAMA2, family: 'mistral', blocks: TWO_GQA, headDim: 24, slidingWindow: 16 },
  qwen2: {
    ...LLAMA2,
    family: 'qwen2',
    blocks: TWO_GQA,
    norm: { kind: 'rms', eps: 1e-6, placement: 'pre' },
    rope: { theta: 1e6 },
    biases: { ...NO_BIAS, qkv: true },
    tiedEmbeddings: true,
  },
  qwen3: {
    ...LLAMA2,
    family: 'qwen3',
    blocks: TWO_GQA,
    headDim: 32,
    norm: { kind: 'rms', eps: 1e-6, placement: 'pre' },
    rope: { theta: 1e6 },
    qkNorm: 'head',
  },
  'qwen3-sliding': {
    ...LLAMA2,
    family: 'qwen3',
    blocks: TWO_GQA.map((block, i) => (i === 0 ? { ...block, global: true } : block)),
    norm: { kind: 'rms', eps: 1e-6, placement: 'pre' },
    rope: { theta: 10000 },
    slidingWindow: 16,
    qkNorm: 'head',
  },
  gemma3: GEMMA3,
  'gemma3-unlike': {
    ...GEMMA3,
    blocks: [
      { ffn: 96, heads: 4, kvHeads: 2, global: true },
      { ffn: 96, heads: 4, kvHeads: 2 },
    ],
    rope: { theta: 5000 },
    globalRope: { theta: 1e6, linearFactor: 8 },
    queryScalar: 24,
    biases: { ...NO_BIAS, qkv: true, o: true },
    tiedEmbeddings: false,
  },
  gemma2: GEMMA2,
  'gemma2-unlike': {
    ...GEMMA2,
    blocks: [
      { ffn: 96, heads: 4, kvHeads: 2, global: true },
      { ffn: 96, heads: 4, kvHeads: 2 },
    ],
    queryScalar: 24,
    biases: { ...NO_BIAS, qkv: true, o: true },
    tiedEmbeddings: false,
  },
  phi3: {
    ...LLAMA2,
    family: 'phi3',
    blocks: TWO_GQA,
    rope: {
      theta: 10000,
      dims: 12,
      longrope: {
        short: [1, 1, 1.1, 1.2, 1.5, 2],
        long: [1, 1.25, 1.7, 3.5, 9, 24],
        originalMaxPositions: 32,
        // √(1 + ln(512 ÷ 32) ÷ ln 32)
        attentionFactor: 1.3416408,
      },
    },
    tiedEmbeddings: true,
  },
  'phi3-plain': {
    ...LLAMA2,
    family: 'phi3',
    blocks: new Array(2).fill({ ffn: 160, heads: 4, kvHeads: 4 }),
    rope: { theta: 5000 },
    slidingWindow: 16,
  },
  gpt2: { ...OPT, family: 'gpt2', positionOffset: 0, activation: 'gelu_pytorch_tanh' },
  starcoder2: STARCODER2,
  'starcoder2-bare': {
    ...STARCODER2,
    rope: { theta: 10000, linearFactor: 2 },
    slidingWindow: 16,
    biases: NO_BIAS,
    tiedEmbeddings: false,
  },
  'gpt-neox': GPT_NEOX,
  'gpt-neox-tanh': { ...GPT_NEOX, activation: 'gelu_pytorch_tanh' },
  'gpt-neox-serial': {
    ...GPT_NEOX,
    parallel: false,
    rope: { theta: 10000 },
    activation: 'gelu_pytorch_tanh',
    biases: { qkv: false, o: false, ffnIn: true, down: true },
  },
  'opt-pre': OPT,
  'opt-post': {
    ...OPT,
    norm: { kind: 'layer', eps: 1e-5, placement: 'post' },
    finalNorm: false,
    embeddingProjection: 48,
  },
};

for (const [name, expected] of Object.entries(EXPECTED)) {
  test(`config.json of ${name}`, (t) => {
    t.deepEqual(architectureOf(name), expected);
  });
}

test("transformers 4's rope_theta and rope_scaling mean the same as 5's rope_parameters", (t) => {
  const { rope_parameters: _, ...config } = fixtureConfig('llama3');
  const old = {
    ...config,
    rope_theta: 10000,
    rope_scaling: {
      type: 'llama3',
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 256,
    },
  };
  t.deepEqual(architectureFromConfig(old, 'old'), architectureOf('llama3'));
});

test('longrope as Phi-3 came with it, and with a factor of its own', (t) => {
  const { rope_parameters, ...config } = fixtureConfig('phi3');
  const { short_factor, long_factor } = rope_parameters as Record<string, unknown>;
  const ropeOf = (scaling: object) =>
    architectureFromConfig(
      { ...config, rope_theta: 10000, rope_scaling: { short_factor, long_factor, ...scaling } },
      'phi3',
    ).rope;
  const { rope } = architectureOf('phi3');
  t.deepEqual(ropeOf({ type: 'longrope' }), rope);
  t.deepEqual(ropeOf({ type: 'su' }), rope);
  const longrope = { ...rope!.longrope!, attentionFactor: 1.25 };
  t.deepEqual(ropeOf({ type: 'longrope', attention_factor: 1.25 }), { ...rope, longrope });
});

test('Falcon 3 is a Llama, Mistral Small 3 a Mistral, with heads as wide as they say', (t) => {
  const falcon3 = {
    model_type: 'llama',
    activation: 'swiglu',
    attention_bias: false,
    head_dim: 256,
    hidden_act: 'silu',
    hidden_size: 2048,
    intermediate_size: 8192,
    max_position_embeddings: 8192,
    mlp_bias: false,
    num_attention_heads: 8,
    num_hidden_layers: 18,
    num_key_value_heads: 4,
    rms_norm_eps: 1e-6,
    rope_scaling: null,
    rope_theta: 1000042,
    tie_word_embeddings: false,
    vocab_size: 131072,
  };
  const falcon = architectureFromConfig(falcon3, 'Falcon3-1B');
  t.like(falcon, { family: 'llama', headDim: 256, rope: { theta: 1000042 } });
  t.deepEqual(falcon.blocks[17], { ffn: 8192, heads: 8, kvHeads: 4 });
  const small3 = {
    model_type: 'mistral',
    head_dim: 128,
    hidden_act: 'silu',
    hidden_size: 5120,
    intermediate_size: 32768,
    max_position_embeddings: 32768,
    num_attention_heads: 32,
    num_hidden_layers: 40,
    num_key_value_heads: 8,
    rms_norm_eps: 1e-5,
    rope_theta: 100000000,
    sliding_window: null,
    tie_word_embeddings: false,
    vocab_size: 131072,
  };
  const small = architectureFromConfig(small3, 'Mistral-Small-24B');
  t.like(small, { family: 'mistral', headDim: 128, hidden: 5120, slidingWindow: 0 });
  t.deepEqual(small.blocks[39], { ffn: 32768, heads: 32, kvHeads: 8 });
});

test('yarn has its attention factor by the stretch, or by what is stated', (t) => {
  const attention = (more: object) => {
    const rope_scaling = { rope_type: 'yarn', factor: 16, ...more };
    const config = { ...fixtureConfig('llama2'), rope_parameters: undefined, rope_scaling };
    return architectureFromConfig(config, 'yarn').rope!.yarn!.attentionFactor;
  };
  // 0.1 ln 16 + 1, of transformers 5.24.
  t.is(attention({}), 1.2772589);
  t.is(attention({ attention_factor: 1.5 }), 1.5);
  t.is(attention({ mscale: 0.5, mscale_all_dim: 1 }), 0.89146332);
});

test('nothing is made in the length of a head that a file states', (t) => {
  const rope_scaling = { rope_type: 'yarn', factor: 16 };
  const config = { ...fixtureConfig('llama2'), head_dim: 2 ** 28, rope_scaling };
  const architecture = architectureFromConfig({ ...config, rope_parameters: undefined }, 'yarn');
  t.is(architecture.headDim, 2 ** 28);
  const [attention] = sublayersOf(architecture, 0);
  t.is((attention!.mixer as AttentionSpec).rope, architecture.rope);
});

test('windows slide where the list of layer types, or the number of full layers, says so', (t) => {
  const blocksOf = (more: object) => {
    const { layer_types: _, ...config } = fixtureConfig('qwen2-sliding');
    return architectureFromConfig({ ...config, ...more }, 'qwen2');
  };
  const globals = (more: object) => blocksOf(more).blocks.map(({ global }) => global ?? false);
  t.deepEqual(globals({}), [true, false]);
  t.deepEqual(globals({ layer_types: ['sliding_attention', 'full_attention'] }), [false, true]);
  t.is(blocksOf({}).slidingWindow, 16);
  // Nothing slides: no window.
  for (const more of [{ use_sliding_window: false }, { max_window_layers: 2 }]) {
    t.is(blocksOf(more).slidingWindow, 0);
  }
  t.deepEqual(globals({ use_sliding_window: false }), [false, false]);
  // As the export writes it, which has no more to say.
  const full = { layer_types: ['full_attention', 'full_attention'] };
  t.deepEqual(blocksOf(full), blocksOf({ ...full, use_sliding_window: false }));
});

test('every second block of Qwen2-MoE slides from the first one on, where the list does not say', (t) => {
  const { layer_types, ...config } = fixtureConfig('qwen2-moe-sliding');
  const globals = (more: object) =>
    architectureFromConfig({ ...config, ...more }, 'qwen2-moe').blocks.map(
      ({ global }) => global ?? false,
    );
  t.deepEqual(globals({}), globals({ layer_types }));
  t.deepEqual(globals({}), [false, true, false, true]);
  t.deepEqual(globals({ max_window_layers: 2 }), [false, true, true, true]);
  const none = architectureFromConfig({ ...config, use_sliding_window: false }, 'qwen2-moe');
  t.is(none.slidingWindow, 0);
});

test('SmolLM3 has no rope in every fourth block, or where its list says so', (t) => {
  const unturned = (more: object) => {
    const { no_rope_layers: _, layer_types: __, ...config } = fixtureConfig('smollm3');
    const { blocks } = architectureFromConfig({ ...config, ...more }, 'smollm3');
    return blocks.map((block) => block.unturned ?? false);
  };
  t.deepEqual(unturned({}), [false, false, false, true]);
  t.deepEqual(unturned({ no_rope_layer_interval: 2 }), [false, true, false, true]);
  t.deepEqual(unturned({ no_rope_layers: [0, 1, 1, 1] }), [true, false, false, false]);
});

test("GPT-NeoX by transformers 4's keys, and by none: a quarter of each head turns", (t) => {
  const { rope_parameters: _, ...config } = fixtureConfig('gpt-neox');
  const ropeOf = (more: object) => architectureFromConfig({ ...config, ...more }, 'gpt-neox').rope;
  t.deepEqual(ropeOf({}), { theta: 10000, dims: 4 });
  t.deepEqual(ropeOf({ rotary_pct: 0.5, rotary_emb_base: 5000 }), { theta: 5000, dims: 8 });
  t.deepEqual(ropeOf({ rotary_pct: 1 }), { theta: 10000 });
});

test('GPT-2 whose FFN width is not stated has four channels for each of the hidden size', (t) => {
  const config = { ...fixtureConfig('gpt2'), n_inner: null };
  t.is(architectureFromConfig(config, 'gpt2').blocks[0]!.ffn, 256);
});

test('absent keys take the defaults of the configuration class', (t) => {
  const {
    num_key_value_heads: _a,
    head_dim: _b,
    sliding_window: _c,
    ...config
  } = fixtureConfig('mistral');
  const architecture = architectureFromConfig({ ...config, num_attention_heads: 8 }, 'mistral');
  t.is(architecture.slidingWindow, 4096);
  t.is(architecture.headDim, 8);
  t.deepEqual(architecture.blocks[0], { ffn: 160, heads: 8, kvHeads: 8 });
  const full = { ...fixtureConfig('mistral'), sliding_window: null };
  t.is(architectureFromConfig(full, 'mistral').slidingWindow, 0);
  const { head_dim: _d, ...qwen3 } = fixtureConfig('qwen3');
  t.is(architectureFromConfig(qwen3, 'qwen3').headDim, 128);
});

test('gpt-oss: what its configuration may leave out', (t) => {
  const { rope_parameters, layer_types, swiglu_limit, swiglu_alpha, ...rest } =
    fixtureConfig('gpt-oss');
  const { rope, blocks, clampedGate, sinks, biases } = architectureFromConfig(rest, 'gpt-oss');
  const yarn = { factor: 32, originalMaxPositions: 4096, betaFast: 32, betaSlow: 1 };
  const usual = { ...yarn, truncate: false, attentionFactor: 1.3465736 };
  t.deepEqual(rope, { theta: 150000, yarn: usual });
  t.deepEqual(
    blocks.map(({ global }) => global === true),
    [false, true, false],
  );
  t.deepEqual(clampedGate, { limit: 7, alpha: 1.702 });
  t.true(sinks);
  t.deepEqual(biases, ALL_BIASES);
});

test('LFM2: what its configuration calls otherwise, or leaves out', (t) => {
  const { layer_types, intermediate_size, ...rest } = fixtureConfig('lfm2');
  const read = (more: object) => architectureFromConfig({ ...rest, ...more }, 'lfm2');
  const channels = (more: object) => read(more).blocks[0]!.ffn;
  // As of LFM2-1.2B: two thirds of the width, which is a multiple already.
  t.is(channels({ block_ff_dim: 12288, block_multiple_of: 256 }), 8192);
  t.is(channels({ block_ff_dim: 140, intermediate_size: 7 }), 96);
  t.is(channels({ intermediate_size: 140, block_ffn_dim_multiplier: 1.5 }), 160);
  t.is(channels({ intermediate_size: 140, block_ffn_dim_multiplier: null }), 93);
  t.is(channels({ intermediate_size: 140, block_auto_adjust_ff_dim: false }), 140);
  const convolving = (more: object) =>
    read({ intermediate_size, ...more }).blocks.map(({ mixer, heads, kvHeads }) =>
      mixer ? heads + kvHeads : null,
    );
  t.deepEqual(convolving({ full_attn_idxs: [1, 3] }), [0, null, 0, null]);
  t.deepEqual(convolving({ full_attn_idxs: [1, 3], layer_types }), [0, null, 0, null]);
  t.deepEqual(convolving({ full_attn_idxs: null }), [null, null, null, null]);
  t.is(read({ intermediate_size }).convolution, null);
  t.true(read({ intermediate_size }).tiedEmbeddings);
  t.false(read({ intermediate_size, tie_embedding: false }).tiedEmbeddings);
  const { conv_L_cache, conv_bias, rope_parameters, ...bare } = rest;
  const usual = architectureFromConfig({ ...bare, intermediate_size, layer_types }, 'lfm2');
  t.deepEqual(usual.convolution, { kernel: 3, bias: false });
  t.deepEqual(usual.rope, { theta: 1e6 });
});

test('Qwen3.5: what its configuration may leave out', (t) => {
  const { layer_types, rope_parameters, ...rest } = fixtureConfig('qwen3.5');
  const mixers = (more: object) =>
    architectureFromConfig({ ...rest, ...more }, 'qwen3.5').blocks.map(({ mixer = null }) => mixer);
  t.deepEqual(mixers({}), ['delta', 'delta', 'delta', null]);
  t.deepEqual(mixers({ full_attention_interval: 2 }), ['delta', null, 'delta', null]);
  const { rope, gatedAttention } = architectureFromConfig(rest, 'qwen3.5');
  t.deepEqual(rope, { theta: 10000, dims: 8 });
  t.true(gatedAttention);
});

test('experts: in every so-many-th block, but for those that are named', (t) => {
  const config = { ...fixtureConfig('qwen3-moe'), num_hidden_layers: 6 };
  const counts = (more: object) =>
    architectureFromConfig({ ...config, ...more }, 'qwen3-moe').blocks.map(
      ({ experts, ffn }) => `${experts ?? 0}×${ffn}`,
    );
  const [dense, routed] = ['0×96', '8×24'];
  t.deepEqual(counts({ decoder_sparse_step: 2, mlp_only_layers: [3] }), [
    ...[dense, routed, dense],
    ...[dense, dense, routed],
  ]);
  const next = architectureFromConfig(fixtureConfig('qwen3-next-unlike'), 'qwen3-next');
  t.deepEqual(
    next.blocks.map(({ experts = 0, ffn, mixer = 'attention' }) => `${mixer} ${experts}×${ffn}`),
    ['attention 0×96', 'delta 6×32', 'attention 0×96'],
  );
  const lfm2 = fixtureConfig('lfm2-moe');
  const first = architectureFromConfig({ ...lfm2, num_dense_layers: 3 }, 'lfm2-moe');
  t.deepEqual(
    first.blocks.map(({ experts = 0 }) => experts),
    [0, 0, 0, 6],
  );
  t.like(first.routing, { sigmoid: true, choiceBias: true, renormalised: true });
  const plain = { ...lfm2, num_dense_layers: 4, tie_embedding: false };
  t.like(architectureFromConfig(plain, 'lfm2-moe'), { routing: null, tiedEmbeddings: false });
  // Its router always makes them sum to 1, and no block is dense, whatever a file says.
  const ignored = { norm_topk_prob: false, mlp_only_layers: [1] };
  const qwen = architectureFromConfig({ ...fixtureConfig('qwen3.5-moe'), ...ignored }, 'moe');
  t.is(qwen.routing!.renormalised, true);
  t.true(qwen.blocks.every(({ experts }) => experts === 6));
  const older = { num_local_experts: undefined, num_experts: 4, mlp_only_layers: null };
  t.deepEqual(counts(older), Array(6).fill('4×24'));
  t.is(architectureFromConfig(config, 'qwen3-moe').routing!.renormalised, true);
  const none = architectureFromConfig({ ...config, num_local_experts: 0 }, 'qwen3-moe');
  t.is(none.routing, null);
});

test('a list of end tokens gives the first', (t) => {
  const config = { ...fixtureConfig('llama2'), eos_token_id: [5, 6] };
  t.is(architectureFromConfig(config, 'llama2').eosTokenId, 5);
});

test('our own modeling code has widths per block and biases of its own', (t) => {
  const config = {
    ...fixtureConfig('mistral'),
    model_type: 'struprune_mistral',
    struprune: {
      intermediate_sizes: [96, 160],
      attention_heads: [2, 4],
      key_value_heads: [1, 2],
      head_dim: 24,
      biases: { ...NO_BIAS, down: true },
    },
  };
  t.deepEqual(architectureFromConfig(config, 'own'), {
    ...EXPECTED.mistral,
    blocks: [
      { ffn: 96, heads: 2, kvHeads: 1 },
      { ffn: 160, heads: 4, kvHeads: 2 },
    ],
    biases: { ...NO_BIAS, down: true },
  } as Architecture);
});

const OWN_LLAMA2 = {
  intermediate_sizes: [160, 160, 160],
  attention_heads: [4, 4, 4],
  key_value_heads: [4, 4, 4],
  head_dim: 16,
  biases: NO_BIAS,
};

/** Of our own modeling code, with this instead. */
const OWN = (change: object) => ({
  model_type: 'struprune_llama',
  struprune: Array.isArray(change) ? change : { ...OWN_LLAMA2, ...change },
});

const PARTIAL = (share: number) => ({
  rope_parameters: { rope_type: 'longrope', partial_rotary_factor: share },
});

const REFUSED: [string, string, Record<string, unknown>, string, RegExp][] = [
  ['unknown family', 'llama2', { model_type: 'mamba' }, 'ERR_UNSUPPORTED', /"mamba".*llama.*opt/],
  [
    'experts',
    'llama2',
    { num_local_experts: 8 },
    'ERR_UNSUPPORTED',
    /use a dense model of this family, or a mixture of experts of mixtral, qwen2-moe, .*gpt-oss$/,
  ],
  ['other experts', 'qwen3-moe', { n_routed_experts: 8 }, 'ERR_UNSUPPORTED', /n_routed_experts/],
  [
    'too few experts',
    'mixtral',
    { num_local_experts: 1 },
    'ERR_CHECKPOINT',
    /per_tok must be from 1 to 1/,
  ],
  [
    'countless experts',
    'olmoe',
    { num_experts: 5000 },
    'ERR_CHECKPOINT',
    /num_experts must be 4096/,
  ],
  ['no experts a token', 'olmoe', { num_experts_per_tok: 0 }, 'ERR_CHECKPOINT', /experts_per_tok/],
  ['clipped maps', 'olmoe', { clip_qkv: 8 }, 'ERR_UNSUPPORTED', /clip_qkv = 8/],
  ['quantised', 'llama2', { quantization_config: {} }, 'ERR_UNSUPPORTED', /quantization_config/],
  [
    'other FP8',
    'llama-fp8',
    { quantization_config: { quant_method: 'fp8', weight_block_size: null } },
    'ERR_UNSUPPORTED',
    /"quant_method":"fp8","weight_block_size":null.*one in FP8 \(E4M3\) with weight_block_size/,
  ],
  [
    'FP8 of another kind',
    'llama-fp8',
    { quantization_config: { quant_method: 'fp8', fmt: 'e5m2', weight_block_size: [128, 128] } },
    'ERR_UNSUPPORTED',
    /e5m2/,
  ],
  [
    'MXFP4 of other models',
    'llama2',
    { quantization_config: { quant_method: 'mxfp4' } },
    'ERR_UNSUPPORTED',
    /"mxfp4".*one in FP8 \(E4M3\) with weight_block_size$/,
  ],
  [
    'other quantised experts',
    'gpt-oss',
    { quantization_config: { quant_method: 'awq' } },
    'ERR_UNSUPPORTED',
    /"awq".*or in MXFP4/,
  ],
  [
    'gates that are none',
    'gpt-oss',
    { hidden_act: 'gelu' },
    'ERR_UNSUPPORTED',
    /gpt-oss with hidden_act = "gelu" is not supported; use a model that has it as "silu"$/,
  ],
  [
    'no limit',
    'gpt-oss',
    { swiglu_limit: 0 },
    'ERR_CHECKPOINT',
    /swiglu_limit must be a number above 0/,
  ],
  [
    'unknown rope',
    'llama2',
    { rope_scaling: { rope_type: 'ntk' } },
    'ERR_UNSUPPORTED',
    /"ntk".*default, linear, dynamic, yarn, llama3 or longrope/,
  ],
  [
    'yarn',
    'llama2',
    { rope_scaling: { rope_type: 'yarn' } },
    'ERR_CHECKPOINT',
    /factor is missing/,
  ],
  [
    'queries that grow by nothing that is said',
    'ministral3',
    { rope_parameters: { rope_type: 'yarn', factor: 8, original_max_position_embeddings: 64 } },
    'ERR_UNSUPPORTED',
    /ministral3 with rope type "yarn" and no llama_4_scaling_beta is not supported; use a model with/,
  ],
  [
    'queries that grow without yarn',
    'ministral3',
    { rope_parameters: { rope_type: 'linear', factor: 8, llama_4_scaling_beta: 0.1 } },
    'ERR_UNSUPPORTED',
    /ministral3 with rope type "linear" is not supported/,
  ],
  [
    'no window',
    'mistral',
    { sliding_window: 0 },
    'ERR_CHECKPOINT',
    /sliding_window must be above 0/,
  ],
  ['window', 'qwen2', { use_sliding_window: 1 }, 'ERR_CHECKPOINT', /use_sliding_window must be/],
  [
    'too few layer types',
    'qwen2-sliding',
    { layer_types: ['full_attention'] },
    'ERR_CHECKPOINT',
    /layer_types has 1 entries for 2 blocks/,
  ],
  [
    'too few layers with rope',
    'smollm3',
    { no_rope_layers: [1] },
    'ERR_CHECKPOINT',
    /no_rope_layers has 1 entries for 4 blocks/,
  ],
  [
    'no multiplier',
    'granite',
    { residual_multiplier: 0 },
    'ERR_CHECKPOINT',
    /residual_multiplier must be a number above 0/,
  ],
  [
    'layer types',
    'qwen3',
    { layer_types: ['chunked_attention'] },
    'ERR_UNSUPPORTED',
    /layer_types/,
  ],
  [
    'state spaces',
    'granite4',
    { layer_types: ['attention', 'mamba'] },
    'ERR_UNSUPPORTED',
    /layer_types with "mamba" .*use a granite4 model whose layers are of "full_attention" or "attention"$/,
  ],
  [
    'experts beside',
    'granite4',
    { num_local_experts: undefined },
    'ERR_UNSUPPORTED',
    /granite4 with num_local_experts left out is not supported; use a model that has it as 0$/,
  ],
  [
    'no positions',
    'granite4',
    { position_embedding_type: 'nope' },
    'ERR_UNSUPPORTED',
    /position_embedding_type = "nope"/,
  ],
  [
    'other layer types beside convolutions',
    'lfm2',
    { layer_types: ['conv', 'linear_attention', 'conv', 'conv'] },
    'ERR_UNSUPPORTED',
    /layer_types with "linear_attention"/,
  ],
  ['convolutions elsewhere', 'qwen3', { layer_types: ['conv'] }, 'ERR_UNSUPPORTED', /layer_types/],
  [
    'value heads that key heads do not divide',
    'qwen3.5',
    { linear_num_value_heads: 3 },
    'ERR_CHECKPOINT',
    /linear_num_value_heads must be a multiple of the key heads/,
  ],
  [
    'key heads that do not divide value heads, with experts',
    'qwen3-next',
    { linear_num_key_heads: 4 },
    'ERR_CHECKPOINT',
    /linear_num_value_heads must be a multiple of the key heads \(it is 6\)/,
  ],
  [
    'more experts for a token than there are, beside delta rules',
    'qwen3-next',
    { num_experts_per_tok: 7 },
    'ERR_CHECKPOINT',
    /num_experts_per_tok must be from 1 to 6, the experts \(it is 7\)/,
  ],
  [
    'a scale of what experts give',
    'lfm2-moe',
    { routed_scaling_factor: 2.5 },
    'ERR_UNSUPPORTED',
    /lfm2-moe with routed_scaling_factor = 2\.5/,
  ],
  [
    'blocks of which nothing says what they mix by',
    'lfm2-moe',
    { layer_types: undefined },
    'ERR_CHECKPOINT',
    /layer_types is missing/,
  ],
  [
    'a bias of experts that is no switch',
    'lfm2-moe',
    { use_expert_bias: 1 },
    'ERR_CHECKPOINT',
    /use_expert_bias must be true or false \(it is 1\)/,
  ],
  [
    'dense blocks that are no number',
    'lfm2-moe',
    { num_dense_layers: -1 },
    'ERR_CHECKPOINT',
    /num_dense_layers must be a whole number from 0/,
  ],
  ['another activation', 'qwen3-next', { hidden_act: 'gelu' }, 'ERR_UNSUPPORTED', /hidden_act/],
  [
    'attention without gates',
    'qwen3.5',
    { attn_output_gate: false },
    'ERR_UNSUPPORTED',
    /attn_output_gate = false .* has it as true or left out$/,
  ],
  ['no kernel', 'lfm2', { conv_L_cache: 0 }, 'ERR_CHECKPOINT', /conv_L_cache must be a whole/],
  ['partial rope', 'llama2', { partial_rotary_factor: 0.5 }, 'ERR_UNSUPPORTED', /partial_rotary/],
  ['odd partial rope', 'phi3', PARTIAL(0.7), 'ERR_UNSUPPORTED', /partial_rotary_factor 0.7/],
  ['more than whole rope', 'phi3', PARTIAL(2), 'ERR_UNSUPPORTED', /partial_rotary_factor 2 /],
  ['inner partial rope', 'qwen2', PARTIAL(0.5), 'ERR_UNSUPPORTED', /partial_rotary_factor 0.5/],
  [
    'yarn that tells no pairs apart',
    'qwen3-yarn',
    { rope_parameters: { rope_type: 'yarn', factor: 4, rope_theta: 1 } },
    'ERR_UNSUPPORTED',
    /yarn with a rope_theta of 1/,
  ],
  ['longrope of no lists', 'phi3', PARTIAL(0.75), 'ERR_CHECKPOINT', /short_factor is missing/],
  [
    'longrope of another length',
    'phi3',
    { rope_parameters: { rope_type: 'longrope', short_factor: [1, 2], long_factor: [1, 2] } },
    'ERR_CHECKPOINT',
    /rope_parameters.short_factor must have 6 entries, one a pair that turns \(it is \[1,2\]\)/,
  ],
  [
    'longrope that divides by 0',
    'phi3',
    { rope_parameters: { rope_type: 'longrope', short_factor: [0] } },
    'ERR_CHECKPOINT',
    /short_factor.0 must be a number above 0/,
  ],
  ['text for an FFN', 'gpt2', { n_inner: '160' }, 'ERR_CHECKPOINT', /n_inner must be/],
  ['cross attention', 'gpt2', { add_cross_attention: true }, 'ERR_UNSUPPORTED', /cross_attention/],
  [
    'scales by block',
    'gpt2',
    { scale_attn_by_inverse_layer_idx: true },
    'ERR_UNSUPPORTED',
    /scale_attn_by_inverse_layer_idx/,
  ],
  ['old OPT', 'opt-pre', { _remove_final_layer_norm: true }, 'ERR_UNSUPPORTED', /_remove_final/],
  ['bare norms', 'opt-pre', { layer_norm_elementwise_affine: false }, 'ERR_UNSUPPORTED', /affine/],
  ['activation', 'llama2', { hidden_act: 'quick_gelu' }, 'ERR_UNSUPPORTED', /"quick_gelu"/],
  ['no hidden size', 'llama2', { hidden_size: undefined }, 'ERR_CHECKPOINT', /hidden_size/],
  ['negative width', 'llama2', { intermediate_size: -4 }, 'ERR_CHECKPOINT', /intermediate_size/],
  ['huge width', 'llama2', { intermediate_size: 2 ** 40 }, 'ERR_CHECKPOINT', /intermediate_size/],
  ['odd heads', 'llama2', { num_key_value_heads: 3 }, 'ERR_CHECKPOINT', /num_attention_heads/],
  [
    'no head width',
    'llama2',
    { head_dim: null, num_attention_heads: 7, num_key_value_heads: 7 },
    'ERR_CHECKPOINT',
    /7 heads/,
  ],
  [
    'a word for rope',
    'llama2',
    { rope_scaling: 'linear' },
    'ERR_CHECKPOINT',
    /rope_scaling must be/,
  ],
  [
    'a number for rope',
    'llama2',
    { rope_scaling: 5 },
    'ERR_CHECKPOINT',
    /rope_scaling must be an obj/,
  ],
  [
    'a list for rope',
    'llama2',
    { rope_scaling: [] },
    'ERR_CHECKPOINT',
    /rope_scaling must be an obj/,
  ],
  [
    'rope by layer type',
    'llama2',
    { rope_parameters: { full_attention: { rope_type: 'linear', factor: 2 } } },
    'ERR_UNSUPPORTED',
    /rope_parameters by layer type/,
  ],
  [
    'linear rope without a factor',
    'llama2',
    { rope_scaling: { rope_type: 'linear' } },
    'ERR_CHECKPOINT',
    /rope_scaling.factor is missing/,
  ],
  [
    'true for a factor',
    'llama2',
    { rope_scaling: { rope_type: 'linear', factor: true } },
    'ERR_CHECKPOINT',
    /rope_scaling.factor must be a number above 0 \(it is true\)/,
  ],
  [
    'a number for a rule',
    'llama2',
    { rope_scaling: { type: 1 } },
    'ERR_CHECKPOINT',
    /type must be a/,
  ],
  [
    'text for theta',
    'llama2',
    { rope_theta: '1e4', rope_parameters: null },
    'ERR_CHECKPOINT',
    /theta/,
  ],
  [
    'true for an epsilon',
    'llama2',
    { rms_norm_eps: true },
    'ERR_CHECKPOINT',
    /rms_norm_eps must be/,
  ],
  [
    'an endless epsilon',
    'llama2',
    { rms_norm_eps: 1e300 },
    'ERR_CHECKPOINT',
    /rms_norm_eps must be/,
  ],
  [
    'a tiny epsilon',
    'llama2',
    { rms_norm_eps: 1e-300 },
    'ERR_CHECKPOINT',
    /rms_norm_eps must be a/,
  ],
  [
    'an inherited activation',
    'llama2',
    { hidden_act: 'constructor' },
    'ERR_UNSUPPORTED',
    /activation/,
  ],
  [
    'a number as activation',
    'llama2',
    { hidden_act: 5 },
    'ERR_CHECKPOINT',
    /hidden_act must be a str/,
  ],
  [
    'text for a width',
    'llama2',
    { hidden_size: '64' },
    'ERR_CHECKPOINT',
    /hidden_size must be a whole/,
  ],
  ['text for experts', 'llama2', { num_experts: 'many' }, 'ERR_CHECKPOINT', /num_experts must be/],
  [
    'a word as layer types',
    'llama2',
    { layer_types: 'all' },
    'ERR_CHECKPOINT',
    /layer_types must be a/,
  ],
  [
    'text for a token',
    'llama2',
    { eos_token_id: '2' },
    'ERR_CHECKPOINT',
    /eos_token_id must be a token/,
  ],
  [
    'yes for a switch',
    'llama2',
    { tie_word_embeddings: 'yes' },
    'ERR_CHECKPOINT',
    /tie_word_embeddin/,
  ],
  [
    'false quantisation',
    'llama2',
    { quantization_config: false },
    'ERR_UNSUPPORTED',
    /quantization/,
  ],
  [
    'a number as family',
    'llama2',
    { model_type: 5 },
    'ERR_CHECKPOINT',
    /model_type must be a string/,
  ],
  ['a list as own widths', 'llama2', OWN([]), 'ERR_CHECKPOINT', /struprune must be an object/],
  [
    'a number as own biases',
    'llama2',
    OWN({ biases: 5 }),
    'ERR_CHECKPOINT',
    /struprune.biases must be/,
  ],
  [
    'own widths of fewer blocks',
    'llama2',
    OWN({ attention_heads: [4] }),
    'ERR_CHECKPOINT',
    /struprune.attention_heads has 1 entries for 3 blocks/,
  ],
  [
    'own widths that are not numbers',
    'llama2',
    OWN({ intermediate_sizes: [160, '160', 160] }),
    'ERR_CHECKPOINT',
    /struprune.intermediate_sizes.1 must be a whole number/,
  ],
  [
    'own without widths',
    'llama2',
    { model_type: 'struprune_llama' },
    'ERR_CHECKPOINT',
    /struprune/,
  ],
];

test('blocks are at most as many as tensors, before anything is made for them', (t) => {
  const config = { ...fixtureConfig('llama2'), num_hidden_layers: 2 ** 28 };
  const message = /num_hidden_layers must be 30 at most, as many as there are tensors/;
  t.throws(() => architectureFromConfig(config, 'x', 30), { code: 'ERR_CHECKPOINT', message });
});

test('keys that no family reads are not looked at', (t) => {
  const config = { ...fixtureConfig('llama2'), sliding_window: 'none', preNorm: 5, kvHeads: 1 };
  t.deepEqual(architectureFromConfig(config, 'llama2'), LLAMA2);
});

for (const [what, name, change, code, message] of REFUSED) {
  test(`refuses: ${what}`, (t) => {
    const error = t.throws(() =>
      architectureFromConfig({ ...fixtureConfig(name), ...change }, `${name}/config.json`),
    );
    t.like(error, { name: 'StruPruneError', code });
    t.regex(error.message, message);
  });
}
