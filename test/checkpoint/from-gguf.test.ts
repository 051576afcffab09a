import test from 'ava';
import { architectureFromGguf, type GgufTensors } from '../../lib/checkpoint/from-gguf';
import { llama3Factors } from '../../lib/checkpoint/rope-tables';
import { blockTensors } from '../../lib/model/axes';
import { sitesOf } from '../../lib/model/blocks';

const SMOL: Record<string, unknown> = {
  'general.architecture': 'llama',
  'llama.embedding_length': 576,
  'llama.block_count': 2,
  'llama.feed_forward_length': 1536,
  'llama.attention.head_count': 9,
  'llama.attention.head_count_kv': 3,
  'llama.context_length': 2048,
  'llama.attention.layer_norm_rms_epsilon': Math.fround(1e-5),
  'llama.rope.freq_base': Math.fround(100000),
  'llama.rope.dimension_count': 64,
  'tokenizer.ggml.bos_token_id': 1,
  'tokenizer.ggml.eos_token_id': 2,
};

const DECI = Object.fromEntries(
  Object.entries(SMOL).map(([key, value]) => [key.replace(/^llama\./, 'deci.'), value]),
);

function tensorsOf(extra: Record<string, number[]> = {}, vector?: Float32Array): GgufTensors {
  const shapes: Record<string, number[]> = { 'token_embd.weight': [49152, 576], ...extra };
  return {
    count: 100,
    has: (name) => name in shapes,
    shape: (name) => shapes[name],
    vector: () => vector!,
  };
}

test('SmolLM2: llama, tied, float32 metadata read as the decimals that were meant', (t) => {
  const { architecture, family } = architectureFromGguf(SMOL, tensorsOf(), 'smol.gguf');
  t.is(family.name, 'llama');
  t.like(architecture, {
    hidden: 576,
    vocab: 49152,
    headDim: 64,
    maxPositions: 2048,
    rope: { theta: 100000 },
    tiedEmbeddings: true,
    bosTokenId: 1,
    eosTokenId: 2,
  });
  t.is(architecture.norm.eps, 1e-5);
  t.deepEqual(architecture.blocks, new Array(2).fill({ ffn: 1536, heads: 9, kvHeads: 3 }));
  t.deepEqual(architecture.biases, { qkv: false, o: false, ffnIn: false, down: false });
});

test('keys that a family does not read change nothing', (t) => {
  const more = { 'llama.attention.sliding_window_pattern': 2, 'llama.residual_scale': 0.5 };
  const read = (metadata: object) =>
    architectureFromGguf({ ...SMOL, ...metadata }, tensorsOf(), 'smol.gguf').architecture;
  t.deepEqual(read(more), read({}));
});

test('deci: widths per block, biases by the tensors that are there', (t) => {
  const { architecture } = architectureFromGguf(
    {
      ...DECI,
      'general.architecture': 'deci',
      'deci.feed_forward_length': [1024, 1536],
      'deci.attention.head_count': [9, 6],
      'deci.attention.head_count_kv': [3, 2],
      'deci.attention.key_length': 64,
      'deci.attention.value_length': 64,
    },
    tensorsOf({ 'output.weight': [49152, 576], 'blk.0.ffn_down.bias': [576] }),
    'pruned.gguf',
  );
  t.is(architecture.family, 'llama');
  t.deepEqual(architecture.blocks, [
    { ffn: 1024, heads: 9, kvHeads: 3 },
    { ffn: 1536, heads: 6, kvHeads: 2 },
  ]);
  t.false(architecture.tiedEmbeddings);
  t.deepEqual(architecture.biases, { qkv: false, o: false, ffnIn: false, down: true });
});

test('deci: blocks without attention, and without both', (t) => {
  const { architecture } = architectureFromGguf(
    {
      ...DECI,
      'general.architecture': 'deci',
      'deci.block_count': 3,
      'deci.feed_forward_length': [1536, 0, 1024],
      'deci.attention.head_count': [0, 0, 9],
      'deci.attention.head_count_kv': [0, 0, 3],
    },
    tensorsOf({ 'blk.2.attn_q.bias': [576] }),
    'deci.gguf',
  );
  const sites = architecture.blocks.map((_, block) => sitesOf(architecture, block));
  t.deepEqual(sites, [['ffn'], [], ['attention', 'ffn']]);
  t.deepEqual(
    architecture.blocks.map((_, block) => blockTensors(architecture, block).length),
    [4, 0, 12],
  );
  t.true(architecture.biases.qkv);
  t.is(architecture.headDim, 64);
});

test('deci: an attention without an FFN, which llama.cpp leaves out, is refused', (t) => {
  const deci = {
    ...DECI,
    'general.architecture': 'deci',
    'deci.feed_forward_length': [1536, 0],
  };
  const error = t.throws(() => architectureFromGguf(deci, tensorsOf(), 'deci.gguf'));
  t.regex(error.message, /a block with attention and without FFN/);
});

test("Llama 3's stretch comes from the table of divisors", (t) => {
  const rope = { factor: 32, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions: 8192 };
  const tensors = tensorsOf({ 'rope_freqs.weight': [32] }, llama3Factors(rope, 100000, 64));
  t.deepEqual(architectureFromGguf(SMOL, tensors, 'x').architecture.rope, {
    theta: 100000,
    llama3: rope,
  });
  const odd = tensorsOf({ 'rope_freqs.weight': [32] }, new Float32Array(32).fill(1).fill(3, 9, 11));
  t.throws(() => architectureFromGguf(SMOL, odd, 'x'), { code: 'ERR_UNSUPPORTED' });
});

test('linear rope scaling, as llama.cpp reads it', (t) => {
  const ropeOf = (change: Record<string, unknown>) =>
    architectureFromGguf({ ...SMOL, ...change }, tensorsOf(), 'x').architecture.rope;
  const stretched = { theta: 100000, linearFactor: 4 };
  const factor = { 'llama.rope.scaling.factor': 4 };
  t.deepEqual(ropeOf({ ...factor, 'llama.rope.scaling.type': 'linear' }), stretched);
  t.deepEqual(ropeOf(factor), stretched);
  t.deepEqual(ropeOf({ 'llama.rope.scale_linear': 4 }), stretched);
  t.deepEqual(ropeOf({ 'llama.rope.scaling.factor': 0 }), { theta: 100000 });
  t.deepEqual(ropeOf({ ...factor, 'llama.rope.scaling.type': 'none' }), { theta: 100000 });
});

const PHI3 = {
  ...Object.fromEntries(
    Object.entries(SMOL).map(([key, value]) => [key.replace(/^llama\./, 'phi3.'), value]),
  ),
  'general.architecture': 'phi3',
  'phi3.rope.dimension_count': 48,
  'phi3.rope.scaling.original_context_length': 512,
  'phi3.rope.scaling.attn_factor': Math.fround(1.19),
};
const FACTORS = { 'rope_factors_short.weight': [24], 'rope_factors_long.weight': [24] };

test('Phi-3: a part of every head turns, by longrope where there are factors', (t) => {
  const ropeOf = (tensors: GgufTensors) =>
    architectureFromGguf(PHI3, tensors, 'x').architecture.rope;
  t.deepEqual(ropeOf(tensorsOf()), { theta: 100000, dims: 48 });
  const list = new Array<number>(24).fill(1.1);
  t.deepEqual(ropeOf(tensorsOf(FACTORS, Float32Array.from(list))), {
    theta: 100000,
    dims: 48,
    longrope: { short: list, long: list, originalMaxPositions: 512, attentionFactor: 1.19 },
  });
});

for (const [what, factors] of [
  ['short by one', new Float32Array(23).fill(1)],
  ['of nothing', new Float32Array(24)],
  ['without end', new Float32Array(24).fill(Number.POSITIVE_INFINITY)],
] as const) {
  test(`refuses: factors of longrope ${what}`, (t) => {
    t.throws(() => architectureFromGguf(PHI3, tensorsOf(FACTORS, factors), 'x'), {
      code: 'ERR_CHECKPOINT',
      message: /rope_factors_short.weight must have 24 numbers above 0/,
    });
  });
}

const EPSILON = (value: unknown) => ({ 'llama.attention.layer_norm_rms_epsilon': value });
const LONG_HEAD = { 'llama.attention.key_length': 2 ** 28, 'llama.rope.dimension_count': 2 ** 28 };
const ROPE = tensorsOf({ 'rope_freqs.weight': [32] }, new Float32Array(32).fill(8));

const REFUSED: [string, Record<string, unknown>, string, RegExp, GgufTensors?][] = [
  ['unknown architecture', { 'general.architecture': 'bloom' }, 'ERR_UNSUPPORTED', /"bloom".*deci/],
  ['no architecture', { 'general.architecture': undefined }, 'ERR_CHECKPOINT', /general.arch/],
  [
    'experts that no token passes',
    { 'llama.expert_count': 8 },
    'ERR_CHECKPOINT',
    /used_count is missing/,
  ],
  ['unknown rope', { 'llama.rope.scaling.type': 'ntk' }, 'ERR_UNSUPPORTED', /"ntk".*yarn/],
  [
    'yarn with an attention factor of its own',
    { 'llama.rope.scaling.type': 'yarn', 'llama.rope.scaling.attn_factor': 2 },
    'ERR_UNSUPPORTED',
    /yarn with an attn_factor of 2/,
  ],
  [
    'yarn that tells no pairs apart',
    { 'llama.rope.scaling.type': 'yarn', 'llama.rope.freq_base': 1 },
    'ERR_UNSUPPORTED',
    /yarn with a freq_base of 1/,
  ],
  ['short list', { 'llama.feed_forward_length': [1536] }, 'ERR_CHECKPOINT', /1 entries for 2/],
  ['empty block', { 'llama.feed_forward_length': [0, 1536] }, 'ERR_UNSUPPORTED', /without/],
  ['odd heads', { 'llama.attention.head_count_kv': 4 }, 'ERR_CHECKPOINT', /head_count_kv/],
  [
    'more blocks than tensors',
    { 'llama.block_count': 101 },
    'ERR_CHECKPOINT',
    /block_count must be 100/,
  ],
  ['blocks without end', { 'llama.block_count': 2 ** 28 }, 'ERR_CHECKPOINT', /must be 100 at most/],
  ['a head as long as memory', LONG_HEAD, 'ERR_UNSUPPORTED', /another rule than Llama 3/, ROPE],
  [
    'text for a count',
    { 'llama.block_count': '2' },
    'ERR_CHECKPOINT',
    /block_count must be a whole/,
  ],
  [
    'a list for a count',
    { 'llama.block_count': [2] },
    'ERR_CHECKPOINT',
    /block_count must be a who/,
  ],
  [
    'true for a width',
    { 'llama.feed_forward_length': [1536, true] },
    'ERR_CHECKPOINT',
    /feed_forwa/,
  ],
  ['an endless epsilon', EPSILON(1e300), 'ERR_CHECKPOINT', /rms_epsilon must be a number above 0/],
  ['an epsilon of nothing', EPSILON(1e-300), 'ERR_CHECKPOINT', /rms_epsilon must be a number/],
  ['true for an epsilon', EPSILON(true), 'ERR_CHECKPOINT', /rms_epsilon must be .*it is true/],
  [
    'a number for a rule',
    { 'llama.rope.scaling.type': 1 },
    'ERR_CHECKPOINT',
    /scaling.type must be a/,
  ],
  [
    'text for a factor',
    { 'llama.rope.scaling.factor': '4' },
    'ERR_CHECKPOINT',
    /scaling.factor must/,
  ],
  ['text for experts', { 'llama.expert_count': 'many' }, 'ERR_CHECKPOINT', /expert_count must be/],
  [
    'text for a token',
    { 'tokenizer.ggml.bos_token_id': '1' },
    'ERR_CHECKPOINT',
    /bos_token_id must/,
  ],
  [
    'longrope without factors',
    { 'llama.rope.scaling.type': 'longrope' },
    'ERR_CHECKPOINT',
    /rope_factors_short/,
  ],
  ['no epsilon', EPSILON(undefined), 'ERR_CHECKPOINT', /layer_norm_rms_epsilon is missing/],
  ['partial rope', { 'llama.rope.dimension_count': 32 }, 'ERR_UNSUPPORTED', /dimension_count/],
];

for (const [what, change, code, message, tensors = tensorsOf()] of REFUSED) {
  test(`refuses: ${what}`, (t) => {
    const error = t.throws(() => architectureFromGguf({ ...SMOL, ...change }, tensors, 'x.gguf'));
    t.like(error, { name: 'StruPruneError', code });
    t.regex(error.message, message);
  });
}

const GEMMA = {
  'general.architecture': 'gemma3',
  'gemma3.context_length': 32768,
  'gemma3.embedding_length': 640,
  'gemma3.block_count': 7,
  'gemma3.feed_forward_length': 2048,
  'gemma3.attention.head_count': 4,
  'gemma3.attention.head_count_kv': 1,
  'gemma3.attention.key_length': 256,
  'gemma3.attention.value_length': 256,
  'gemma3.attention.sliding_window': 512,
  'gemma3.attention.layer_norm_rms_epsilon': Math.fround(1e-6),
  'gemma3.rope.freq_base': 1e6,
};

const LFM2 = {
  'general.architecture': 'lfm2',
  'lfm2.context_length': 128000,
  'lfm2.embedding_length': 2048,
  'lfm2.block_count': 3,
  'lfm2.feed_forward_length': 8192,
  'lfm2.attention.head_count': 32,
  'lfm2.attention.head_count_kv': [0, 8, 0],
  'lfm2.attention.layer_norm_rms_epsilon': Math.fround(1e-5),
  'lfm2.rope.freq_base': 1e6,
  'lfm2.shortconv.l_cache': 3,
};

test('LFM2: a block without KV heads convolves', (t) => {
  const { architecture } = architectureFromGguf(LFM2, tensorsOf(), 'lfm2.gguf');
  t.like(architecture, { headDim: 64, qkNorm: 'head', convolution: { kernel: 3, bias: false } });
  const convolution = { ffn: 8192, heads: 0, kvHeads: 0, mixer: 'convolution' as const };
  t.deepEqual(architecture.blocks, [
    convolution,
    { ffn: 8192, heads: 32, kvHeads: 8 },
    convolution,
  ]);
  t.deepEqual(sitesOf(architecture, 0), ['convolution', 'ffn']);
  const { 'lfm2.shortconv.l_cache': _, ...without } = LFM2;
  t.throws(() => architectureFromGguf(without, tensorsOf(), 'lfm2.gguf'), {
    message: /lfm2.shortconv.l_cache is missing/,
  });
});

const QWEN35 = {
  'general.architecture': 'qwen35',
  'qwen35.context_length': 262144,
  'qwen35.embedding_length': 2560,
  'qwen35.block_count': 5,
  'qwen35.feed_forward_length': 9216,
  'qwen35.attention.head_count': 16,
  'qwen35.attention.head_count_kv': 4,
  'qwen35.attention.key_length': 256,
  'qwen35.attention.value_length': 256,
  'qwen35.attention.layer_norm_rms_epsilon': Math.fround(1e-6),
  'qwen35.rope.freq_base': 1e7,
  'qwen35.rope.dimension_count': 64,
  'qwen35.rope.dimension_sections': [11, 11, 10, 0],
  'qwen35.full_attention_interval': 4,
  'qwen35.ssm.conv_kernel': 4,
  'qwen35.ssm.state_size': 128,
  'qwen35.ssm.group_count': 16,
  'qwen35.ssm.time_step_rank': 32,
  'qwen35.ssm.inner_size': 4096,
  // The last block guesses further ahead.
  'qwen35.nextn_predict_layers': 1,
};

const EXPERTS_OF_NEXT = {
  'qwen35.expert_count': 512,
  'qwen35.expert_used_count': 10,
  'qwen35.expert_feed_forward_length': 512,
  'qwen35.expert_shared_feed_forward_length': 512,
};

test('Qwen3.5: every fourth block attends, the others have delta rules', (t) => {
  const read = (more: object) =>
    architectureFromGguf({ ...QWEN35, ...more }, tensorsOf(), 'qwen.gguf').architecture;
  const { blocks, delta, rope, gatedAttention } = read({});
  const other = { ffn: 9216, heads: 0, kvHeads: 0, mixer: 'delta' as const };
  t.deepEqual(blocks, [other, other, other, { ffn: 9216, heads: 16, kvHeads: 4 }]);
  t.deepEqual(delta, {
    ...{ keyHeads: 16, valueHeads: 32, keyDim: 128, valueDim: 128, kernel: 4 },
    tiled: true,
  });
  t.deepEqual(rope, { theta: 1e7, dims: 64 });
  t.true(gatedAttention);
  const alike = { 'qwen35.ssm.time_step_rank': 16, 'qwen35.ssm.inner_size': 2048 };
  t.false(read(alike).delta!.tiled, 'nothing lies apart');
  const next = Object.fromEntries(
    Object.entries({ ...QWEN35, ...EXPERTS_OF_NEXT }).map(([key, value]) => [
      key.replace('qwen35.', 'qwen3next.'),
      value,
    ]),
  );
  const { family, delta: neighbours } = architectureFromGguf(
    { ...next, 'general.architecture': 'qwen3next' },
    tensorsOf(),
    'next.gguf',
  ).architecture;
  t.deepEqual([family, neighbours!.tiled], ['qwen3-next', false]);
  for (const [more, message] of [
    [{ 'qwen35.ssm.state_size': undefined }, /qwen35.ssm.state_size is missing/],
    [{ 'qwen35.ssm.time_step_rank': 24 }, /time_step_rank must be a multiple of the key heads/],
    [{ 'qwen35.ssm.inner_size': 4000 }, /inner_size must be as wide as all value heads/],
    [{ 'qwen35.nextn_predict_layers': 5 }, /block_count leaves no block/],
  ] as const) {
    t.throws(() => read(more), { code: 'ERR_CHECKPOINT', message });
  }
});

test('Gemma 3: every sixth block sees all tokens, by the rope of the file', (t) => {
  const { architecture } = architectureFromGguf(GEMMA, tensorsOf(), 'gemma.gguf');
  t.like(architecture, {
    family: 'gemma3',
    rope: { theta: 10000 },
    globalRope: { theta: 1e6 },
    slidingWindow: 512,
    queryScalar: null,
    activation: 'gelu_pytorch_tanh',
    embeddingScale: Math.sqrt(640),
  });
  t.is(architecture.norm.placement, 'sandwich');
  const globals = (of: typeof architecture) => of.blocks.map(({ global = false }) => global);
  t.deepEqual(globals(architecture), [false, false, false, false, false, true, false]);
  const stated = {
    ...GEMMA,
    'gemma3.attention.sliding_window_pattern': 2,
    'gemma3.rope.freq_base_swa': 5000,
    'gemma3.rope.scaling.type': 'linear',
    'gemma3.rope.scaling.factor': 8,
  };
  const { architecture: other } = architectureFromGguf(stated, tensorsOf(), 'gemma.gguf');
  t.deepEqual(globals(other), [false, true, false, true, false, true, false]);
  t.deepEqual([other.rope, other.globalRope], [{ theta: 5000 }, { theta: 1e6, linearFactor: 8 }]);
});

test('Gemma 2: caps are those of the file, or of llama.cpp; every second block sees all tokens', (t) => {
  const renamed = Object.entries({ ...GEMMA, 'general.architecture': 'gemma2' });
  const gemma2 = Object.fromEntries(
    renamed.map(([key, value]) => [key.replace('gemma3', 'gemma2'), value]),
  );
  const open = (more: object) =>
    architectureFromGguf({ ...gemma2, ...more }, tensorsOf(), 'gemma.gguf').architecture;
  t.like(open({}), {
    family: 'gemma2',
    rope: { theta: 1e6 },
    globalRope: null,
    scoreCap: 50,
    logitCap: 30,
  });
  t.deepEqual(
    open({}).blocks.map(({ global = false }) => global),
    [false, true, false, true, false, true, false],
  );
  const stated = {
    'gemma2.attn_logit_softcapping': Math.fround(20.3),
    'gemma2.final_logit_softcapping': 10,
  };
  t.like(open(stated), { scoreCap: 20.3, logitCap: 10 });
  t.throws(() => open({ 'gemma2.attn_logit_softcapping': 0 }), {
    code: 'ERR_CHECKPOINT',
    message: /attn_logit_softcapping/,
  });
});

test('Gemma 3 of 27B in GGUF is refused: its scale of scores is by heads that pruning changes', (t) => {
  const large = { ...GEMMA, 'gemma3.block_count': 62 };
  t.throws(() => architectureFromGguf(large, tensorsOf(), 'gemma.gguf'), {
    code: 'ERR_UNSUPPORTED',
    message: /62 blocks.*Hugging Face folder/,
  });
});

const MOE: Record<string, unknown> = {
  ...Object.fromEntries(
    Object.entries(SMOL).map(([key, value]) => [key.replace(/^llama\./, 'qwen2moe.'), value]),
  ),
  'general.architecture': 'qwen2moe',
  'qwen2moe.expert_count': 60,
  'qwen2moe.expert_used_count': 4,
};
const opened = (metadata: object) =>
  architectureFromGguf({ ...MOE, ...metadata }, tensorsOf(), 'moe.gguf').architecture;

test('experts: their width, or what llama.cpp takes for it, and one that all tokens pass', (t) => {
  const old = opened({});
  t.like(old.routing, { topK: 4, renormalised: false, bias: false, sharedWidth: 0 });
  t.deepEqual(old.blocks[1], { ffn: 384, experts: 60, heads: 9, kvHeads: 3 });
  const stated = opened({
    'qwen2moe.expert_feed_forward_length': 1408,
    'qwen2moe.expert_shared_feed_forward_length': 5632,
  });
  t.is(stated.blocks[0]!.ffn, 1408);
  t.is(stated.routing!.sharedWidth, 5632);
  t.deepEqual(opened({ 'qwen2moe.expert_gating_func': 1 }), old);
  const plain = { 'qwen2moe.expert_weights_scale': 1, 'qwen2moe.expert_weights_norm': false };
  t.deepEqual(opened(plain), old);
  const mixtral = {
    ...SMOL,
    ...{ 'llama.expert_count': 8, 'llama.expert_used_count': 2, 'llama.expert_gating_func': 3 },
  };
  const { architecture, family } = architectureFromGguf(mixtral, tensorsOf(), 'mixtral.gguf');
  t.is(family.name, 'mixtral');
  t.like(architecture.routing, { topK: 2, renormalised: true, bias: false, sharedWidth: 0 });
  t.is(architecture.blocks[0]!.ffn, 1536);
});

test('experts that cannot be are refused', (t) => {
  for (const [metadata, code, message] of [
    [{ 'qwen2moe.expert_used_count': 0 }, 'ERR_CHECKPOINT', /expert_used_count .* from 1 to 60/],
    [{ 'qwen2moe.expert_used_count': 61 }, 'ERR_CHECKPOINT', /expert_used_count .* from 1 to 60/],
    [{ 'qwen2moe.expert_count': 2 ** 20 }, 'ERR_CHECKPOINT', /expert_count .* 4096 at most/],
    [{ 'qwen2moe.expert_count': 0 }, 'ERR_UNSUPPORTED', /"qwen2moe" without experts/],
    [
      { 'qwen2moe.expert_gating_func': 2 },
      'ERR_UNSUPPORTED',
      /qwen2moe.expert_gating_func = 2 is not supported; use a qwen2-moe model that has it as 1 or left out, or its/,
    ],
    [{ 'qwen2moe.expert_gating_func': 3 }, 'ERR_UNSUPPORTED', /expert_gating_func = 3 /],
    [
      { 'qwen2moe.expert_weights_scale': 2.5 },
      'ERR_UNSUPPORTED',
      /expert_weights_scale = 2.5 .* as 0, 1 or left out/,
    ],
    [
      { 'qwen2moe.expert_weights_norm': true },
      'ERR_UNSUPPORTED',
      /expert_weights_norm = true .* as false or left out/,
    ],
  ] as const) {
    t.throws(() => opened(metadata), { code, message }, JSON.stringify(metadata));
  }
});
