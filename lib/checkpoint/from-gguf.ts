import type { z } from 'zod';
import { StruPruneError } from '../errors';
import type { Architecture, BlockWidths } from '../model/architecture';
import { familiesOfGguf, familyOfGguf } from '../model/families';
import { GGUF_NAMES, ggufNames } from '../model/families/names';
import {
  BIAS_NAMES,
  type BiasName,
  blockTensorName,
  everyNth,
  type Family,
  type GgufDescription,
  routerOf,
} from '../model/family';
import {
  badField,
  epsilon,
  flag,
  perBlock,
  positive,
  positiveOrZero,
  readFields,
  requireExperts,
  requireTensors,
  type Stated,
  shortest,
  size,
  sizeOrZero,
  spread,
  statedAs,
  text,
  tokenId,
  unsupported,
} from '../model/fields';
import { queryScalarOf, withTraits, zipWidths } from '../model/from-config';
import type { BlockRole, Rope } from '../model/sublayers';
import { yarnAttention } from '../model/yarn';
import { llama3FromFactors, stretchesNothing } from './rope-tables';

/** What the mapping needs of an opened GGUF file beside its metadata. */
export interface GgufTensors {
  /** How many there are. */
  count: number;
  has(name: string): boolean;
  /** Row-major shape; undefined when there is no such tensor. */
  shape(name: string): readonly number[] | undefined;
  /** Values of a small F32 vector, rope_freqs.weight. */
  vector(name: string): Float32Array;
}

/** Tensor with the divisors of Llama 3's rotary frequencies. */
export const ROPE_FACTORS = 'rope_freqs.weight';
/** Those of longrope, for windows up to the original length and for longer ones. */
export const LONGROPE_FACTORS = {
  short: 'rope_factors_short.weight',
  long: 'rope_factors_long.weight',
} as const;

/** Of yarn, what llama.cpp has as constants. */
export const YARN = { betaFast: 32, betaSlow: 1, truncate: true };

/** Where norms have their epsilon. */
export const EPSILONS = {
  rms: 'attention.layer_norm_rms_epsilon',
  layer: 'attention.layer_norm_epsilon',
} as const;

const BIAS_ROLES: Record<BiasName, BlockRole> = {
  qkv: 'attention.qBias',
  o: 'attention.outBias',
  ffnIn: 'ffn.upBias',
  down: 'ffn.outBias',
};

/** Keys behind the architecture's name. */
const NAMED = {
  context_length: size,
  embedding_length: size,
  block_count: size,
  feed_forward_length: perBlock,
  'attention.head_count': perBlock,
  'attention.head_count_kv': perBlock.optional(),
  'attention.key_length': size.optional(),
  'attention.value_length': size.optional(),
  'attention.sliding_window': sizeOrZero.optional(),
  'attention.sliding_window_pattern': size.optional(),
  'attention.layer_norm_rms_epsilon': epsilon.optional(),
  'attention.layer_norm_epsilon': epsilon.optional(),
  'rope.dimension_count': size.optional(),
  'rope.freq_base': positive.optional(),
  'rope.freq_base_swa': positive.optional(),
  'rope.scaling.type': text.optional(),
  'rope.scaling.factor': positiveOrZero.optional(),
  'rope.scale_linear': positiveOrZero.optional(),
  'rope.scaling.original_context_length': size.optional(),
  'rope.scaling.attn_factor': positive.optional(),
  'rope.scaling.yarn_log_multiplier': positiveOrZero.optional(),
  'attention.temperature_scale': positiveOrZero.optional(),
  'attention.scale': positive.optional(),
  attn_logit_softcapping: positive.optional(),
  final_logit_softcapping: positive.optional(),
  embedding_scale: positive.optional(),
  residual_scale: positive.optional(),
  logit_scale: positive.optional(),
  expert_count: sizeOrZero.optional(),
  expert_used_count: sizeOrZero.optional(),
  expert_feed_forward_length: size.optional(),
  expert_shared_feed_forward_length: sizeOrZero.optional(),
  expert_gating_func: sizeOrZero.optional(),
  expert_weights_scale: positiveOrZero.optional(),
  expert_weights_norm: flag.optional(),
  leading_dense_block_count: sizeOrZero.optional(),
  'shortconv.l_cache': size.optional(),
  'ssm.conv_kernel': size.optional(),
  'ssm.state_size': size.optional(),
  'ssm.group_count': size.optional(),
  'ssm.time_step_rank': size.optional(),
  'ssm.inner_size': size.optional(),
  full_attention_interval: size.optional(),
  nextn_predict_layers: sizeOrZero.optional(),
  use_parallel_residual: flag.optional(),
};
type Named = z.output<z.ZodObject<typeof NAMED>>;

const TOKENS = {
  'tokenizer.ggml.bos_token_id': tokenId,
  'tokenizer.ggml.eos_token_id': tokenId,
};

/**
 * The architecture that a GGUF's metadata and tensor names describe. Biases and tied embeddings are told
 * by the tensors that are there, as llama.cpp does.
 * @param metadata values by key, without their types
 * @throws StruPruneError ERR_UNSUPPORTED, ERR_CHECKPOINT
 */
export function architectureFromGguf(
  metadata: Record<string, unknown>,
  tensors: GgufTensors,
  where: string,
): { architecture: Architecture; family: Family } {
  const file = { values: metadata, where };
  const prefix = readFields({ 'general.architecture': text }, file)['general.architecture'];
  // An unknown architecture is said before its keys are missed.
  familiesOfGguf(prefix);
  const key = (name: string) => `${prefix}.${name}`;
  const stated = readFields(NAMED, file, key);
  const tokens = readFields(TOKENS, file);
  const { context_length: maxPositions, embedding_length: hidden } = stated;
  const window = stated['attention.sliding_window'] ?? 0;
  const slidingWindow = window < maxPositions ? window : 0;
  const experts = stated.expert_count ?? 0;
  const family = familyOfGguf(prefix, {
    slides: slidingWindow > 0,
    experts: experts > 0,
    shared: (stated.expert_shared_feed_forward_length ?? 0) > 0,
  });
  const gguf = family.gguf!;
  requireTensors(stated.block_count, tensors.count, file, key('block_count'));
  // What guesses further ahead comes last.
  const count = stated.block_count - (gguf.looksAhead ? (stated.nextn_predict_layers ?? 0) : 0);
  if (count < 1) throw badField(file, [key('block_count')], 'leaves no block');
  const named = { ...stated, block_count: count };
  const plain = blocksOf(family, named, file, key);
  const { blocks, routing } = withExperts(family, plain, named, file, key);
  const headDim = headDimOf(named, Math.max(...blocks.map(({ heads }) => heads)), file, key);
  const dims = turnedDims(family, named, headDim, where);
  if (count === gguf.scalesByHeadsAt) {
    const mend = 'use its Hugging Face folder';
    throw unsupported(where, `a ${family.name} model of ${count} blocks in GGUF`, mend);
  }
  const { globalEvery, unturnedEvery } = family;
  const every = globalEvery && (named['attention.sliding_window_pattern'] ?? globalEvery);
  const nth = (n: number | undefined) => (n === undefined ? [] : everyNth(count, n));
  const traits = { global: nth(every), unturned: nth(unturnedEvery) };
  const scales = gguf.multipliers ? named : ({} as Partial<Named>);
  const scores = scales['attention.scale'];
  const rotary = family.positionOffset === null;
  const rope = rotary ? ropeFromGguf(family, named, tensors, { headDim, dims }, file) : null;
  const theta = named['rope.freq_base_swa'] ?? gguf.slidingTheta ?? rope?.theta;
  const eps = required(EPSILONS[family.norm], named, file, key);
  const vocab = tensors.shape(GGUF_NAMES.model.embedding!)?.[0];
  if (vocab === undefined) throw badField(file, [GGUF_NAMES.model.embedding!], 'has no rows');
  const architecture: Architecture = {
    family: family.name,
    hidden,
    vocab,
    headDim,
    blocks: withTraits(blocks, traits),
    maxPositions,
    norm: {
      kind: family.norm,
      eps: shortest(eps),
      placement: family.placement ?? 'pre',
    },
    parallel: parallelOf(gguf, named, file, key),
    finalNorm: true,
    ...(family.twoRopes
      ? { rope: { theta: shortest(theta!) }, globalRope: rope }
      : { rope, globalRope: null }),
    positionOffset: family.positionOffset,
    slidingWindow,
    qkNorm: family.qkNorm,
    queryScalar: queryScalarOf({ scoreScale: scores && shortest(scores) }, headDim),
    sinks: family.sinks === true,
    scoreCap: gguf.caps ? shortest(named.attn_logit_softcapping ?? gguf.caps.scores) : null,
    activation: gguf.activation,
    gated: family.gated,
    clampedGate: gguf.clampedGate ?? null,
    biases: biasesOf(gguf, prefix, tensors, count),
    embeddingScale: family.scalesEmbedding
      ? Math.sqrt(hidden)
      : shortest(scales.embedding_scale ?? 1),
    outputScale: shortest(scales.residual_scale ?? 1),
    logitScale: 1 / shortest(scales.logit_scale ?? 1),
    logitCap: gguf.caps ? shortest(named.final_logit_softcapping ?? gguf.caps.logits) : null,
    tiedEmbeddings: !tensors.has(GGUF_NAMES.model.head!),
    routing,
    convolution: convolutionOf(blocks, named, file, key),
    delta: deltaOf(family, blocks, named, file, key),
    gatedAttention: family.gatedAttention === true,
    embeddingProjection: null,
    bosTokenId: tokens['tokenizer.ggml.bos_token_id'],
    eosTokenId: tokens['tokenizer.ggml.eos_token_id'],
  };
  return { architecture, family };
}

/** llama.cpp's loader wants it said. */
function parallelOf(
  gguf: GgufDescription,
  named: Named,
  file: Stated,
  key: (name: string) => string,
): boolean {
  return gguf.parallel === true && required('use_parallel_residual', named, file, key);
}

/** What a loader of llama.cpp does not go without. */
function required<Name extends keyof Named>(
  name: Name,
  named: Named,
  file: Stated,
  key: (name: string) => string,
): NonNullable<Named[Name]> {
  const value = named[name];
  if (value === undefined) throw badField(file, [key(name)], 'must be stated');
  return value as NonNullable<Named[Name]>;
}

function blocksOf(
  { otherMixer: mixer, attentionEvery }: Family,
  named: Named,
  file: Stated,
  key: (name: string) => string,
): BlockWidths[] {
  const kvName = 'attention.head_count_kv';
  const widths = (name: 'feed_forward_length' | 'attention.head_count' | typeof kvName) =>
    spread(named[name] ?? named['attention.head_count'], named.block_count, file, [key(name)]);
  const { block_count: count, full_attention_interval: interval = attentionEvery } = named;
  // llama.cpp has a convolution where there are no KV heads, and delta rules by the number of the block.
  const attends = mixer === 'delta' ? everyNth(count, interval!) : null;
  const kvHeads = widths(kvName).map((stated, block) => (attends?.[block] === false ? 0 : stated));
  const heads = widths('attention.head_count').map((count, block) =>
    mixer && kvHeads[block] === 0 ? 0 : count,
  );
  const blocks = zipWidths(widths('feed_forward_length'), heads, kvHeads, () =>
    badField(file, [key(kvName)], 'must divide the head count'),
  );
  if (mixer) {
    return blocks.map((block) => (block.kvHeads > 0 ? block : { ...block, mixer }));
  }
  // llama.cpp leaves out what an attention adds where no FFN follows.
  if (blocks.every(({ ffn, heads }) => ffn > 0 || heads === 0)) return blocks;
  const mend = 'use a model whose blocks with attention have an FFN';
  throw unsupported(file.where, 'a block with attention and without FFN', mend);
}

function convolutionOf(
  blocks: readonly BlockWidths[],
  named: Named,
  file: Stated,
  key: (name: string) => string,
): Architecture['convolution'] {
  if (!blocks.some(({ mixer }) => mixer === 'convolution')) return null;
  return { kernel: required('shortconv.l_cache', named, file, key), bias: false };
}

function deltaOf(
  { gguf }: Family,
  blocks: readonly BlockWidths[],
  named: Named,
  file: Stated,
  key: (name: string) => string,
): Architecture['delta'] {
  if (!blocks.some(({ mixer }) => mixer === 'delta')) return null;
  const stated = (name: keyof Named & `ssm.${string}`) => required(name, named, file, key);
  const [keyHeads, valueHeads] = [stated('ssm.group_count'), stated('ssm.time_step_rank')];
  if (valueHeads % keyHeads !== 0) {
    throw badField(file, [key('ssm.time_step_rank')], 'must be a multiple of the key heads');
  }
  const width = stated('ssm.state_size');
  if (stated('ssm.inner_size') !== valueHeads * width) {
    throw badField(file, [key('ssm.inner_size')], 'must be as wide as all value heads');
  }
  return {
    ...{ keyHeads, valueHeads, keyDim: width, valueDim: width },
    tiled: gguf!.tilesValueHeads === true && valueHeads > keyHeads,
    kernel: stated('ssm.conv_kernel'),
  };
}

/** Of llama.cpp, what makes probabilities of a router's logits: a sigmoid; a softmax of all, or of the chosen. */
export const SIGMOID_GATING = 2;
const SOFTMAX_GATING = 1;
const CHOSEN_GATING = 3;

/** The blocks as experts, where the file has such. */
function withExperts(
  family: Family,
  blocks: BlockWidths[],
  named: Named,
  file: Stated,
  key: (name: string) => string,
): Pick<Architecture, 'blocks' | 'routing'> {
  const held = family.gguf!.experts;
  const { expert_count: experts, expert_used_count: topK = 0 } = named;
  if (!held || !experts) return { blocks, routing: null };
  const keys = { experts: key('expert_count'), topK: key('expert_used_count') };
  requireExperts({ experts, topK }, file, keys);
  const gatings = held.bySigmoid
    ? [SIGMOID_GATING]
    : [SOFTMAX_GATING, ...(held.sums ? [CHOSEN_GATING] : []), undefined];
  const only = {
    expert_gating_func: gatings,
    // 0 is llama.cpp's own word for none.
    expert_weights_scale: [0, 1, undefined],
    expert_weights_norm: [held.sums, undefined],
  };
  for (const [name, known] of Object.entries(only)) {
    const stated = named[name as keyof typeof only];
    if ((known as unknown[]).includes(stated)) continue;
    const mend = `use a ${family.name} model that has it as ${statedAs(known)}, or its Hugging Face folder`;
    throw unsupported(file.where, `${key(name)} = ${stated}`, mend);
  }
  const dense = held.denseBelow ? (named.leading_dense_block_count ?? 0) : 0;
  // As llama.cpp has it where the file does not say.
  const widthOf = ({ ffn }: BlockWidths) =>
    held.ownWidth ? (named.expert_feed_forward_length ?? Math.floor(ffn / topK)) : ffn;
  return {
    blocks: blocks.map((block, i) =>
      i < dense ? block : { ...block, experts, ffn: widthOf(block) },
    ),
    routing: {
      topK,
      renormalised: held.sums,
      ...routerOf(family),
      choiceBias: held.bySigmoid === true,
      sharedWidth: named.expert_shared_feed_forward_length ?? 0,
    },
  };
}

function headDimOf(
  named: Named,
  heads: number,
  file: Stated,
  key: (name: string) => string,
): number {
  const stated = 'attention.key_length';
  const headDim = named[stated] ?? named.embedding_length / heads;
  if (!Number.isInteger(headDim) || headDim % 2 !== 0) {
    throw badField(file, [key(stated)], `gives no usable head width (${headDim})`);
  }
  requireHeadDim('attention.value_length', named, headDim, file.where);
  return headDim;
}

/** Entries of a head that rope turns: all of them unless the family has others. */
function turnedDims(family: Family, named: Named, headDim: number, where: string): number {
  const dims = named['rope.dimension_count'] ?? headDim;
  const isPart = dims < headDim && dims % 2 === 0;
  if (!family.partialRotary || !isPart) {
    requireHeadDim('rope.dimension_count', named, headDim, where);
  }
  return dims;
}

function requireHeadDim(
  name: 'attention.value_length' | 'rope.dimension_count',
  named: Named,
  headDim: number,
  where: string,
): void {
  const width = named[name] ?? headDim;
  if (width === headDim) return;
  const what = `${name} ${width} beside a head width of ${headDim}`;
  throw unsupported(where, what, 'use another model');
}

/** Blocks alike have the same, and not every one has an attention. */
function biasesOf(
  gguf: GgufDescription,
  architecture: string,
  tensors: GgufTensors,
  blocks: number,
): Architecture['biases'] {
  const names = ggufNames(gguf, architecture);
  const present = BIAS_NAMES.map((name) => {
    const role = gguf.experts ? BIAS_ROLES[name].replace('ffn.', 'experts.0.') : BIAS_ROLES[name];
    const has = (block: number) => tensors.has(blockTensorName(names, role as BlockRole, block));
    return [name, [...Array(blocks).keys()].some(has)];
  });
  return Object.fromEntries(present) as Architecture['biases'];
}

/** `dims`: entries of a head that turn. */
function ropeFromGguf(
  family: Family,
  named: Named,
  tensors: GgufTensors,
  { headDim, dims }: { headDim: number; dims: number },
  file: Stated,
): Rope {
  const { where } = file;
  const theta = shortest(named['rope.freq_base'] ?? 10000);
  const rope: Rope = { theta };
  if (dims < headDim) rope.dims = dims;
  // As llama.cpp reads them: linear where no type is given, and the factor by its name of 2023 where the other is not.
  const type = named['rope.scaling.type'] ?? 'linear';
  const factor = named['rope.scaling.factor'] || named['rope.scale_linear'];
  if (type === 'linear') {
    if (factor) rope.linearFactor = shortest(factor);
  } else if (type === 'yarn') {
    if (theta === 1) throw unsupported(where, 'yarn with a freq_base of 1', 'use another model');
    rope.yarn = yarnOf(family, named, shortest(factor || 1), file);
  } else if (type !== 'none' && type !== 'longrope') {
    throw unsupported(
      where,
      `rope scaling type "${type}"`,
      'use a model with rope scaling none, linear, yarn, longrope or Llama 3',
    );
  }
  if (type === 'longrope' || Object.values(LONGROPE_FACTORS).some((name) => tensors.has(name))) {
    rope.longrope = longropeOf(family, named, tensors, dims / 2, file);
  }
  if (tensors.has(ROPE_FACTORS)) {
    const table = tensors.vector(ROPE_FACTORS);
    // Nothing is made in the length of a head before its tensors were looked at.
    const llama3 = table.length === dims / 2 ? llama3FromFactors(table, theta, dims) : null;
    if (llama3 !== null) rope.llama3 = llama3;
    else if (!stretchesNothing(table, dims)) {
      throw unsupported(
        where,
        `${ROPE_FACTORS} of another rule than Llama 3's`,
        'use another model',
      );
    }
  }
  return rope;
}

/** llama.cpp's, which has the attention factor that goes with the stretch. */
function yarnOf(
  { name, queriesGrow }: Family,
  named: Named,
  factor: number,
  { where }: Stated,
): NonNullable<Rope['yarn']> {
  const attention = named['rope.scaling.attn_factor'] ?? 1;
  if (attention !== 1) {
    throw unsupported(where, `yarn with an attn_factor of ${attention}`, 'use another model');
  }
  const multiplier = named['rope.scaling.yarn_log_multiplier'] ?? 0;
  if (queriesGrow && multiplier !== 1) {
    const what = `a ${name} model with a yarn_log_multiplier of ${multiplier}`;
    throw unsupported(where, what, 'use its Hugging Face folder');
  }
  return {
    factor,
    originalMaxPositions: named['rope.scaling.original_context_length'] ?? named.context_length,
    ...YARN,
    attentionFactor: queriesGrow ? 1 : shortest(yarnAttention(factor)),
    ...(queriesGrow && { growth: shortest(named['attention.temperature_scale'] ?? 0) }),
  };
}

function longropeOf(
  family: Family,
  named: Named,
  tensors: GgufTensors,
  pairs: number,
  file: Stated,
): NonNullable<Rope['longrope']> {
  if (!family.gguf!.holdsLongrope) {
    throw unsupported(file.where, `longrope in a ${family.name} model`, 'use another model');
  }
  const divisors = (name: string) => {
    const vector = tensors.has(name) ? tensors.vector(name) : new Float32Array();
    const isWhole = vector.length === pairs && vector.every((value) => value > 0);
    if (isWhole && vector.every(Number.isFinite)) return Array.from(vector, shortest);
    throw new StruPruneError(
      'ERR_CHECKPOINT',
      `${file.where}: ${name} must have ${pairs} numbers above 0, one a pair that turns`,
      'convert the model again',
    );
  };
  return {
    short: divisors(LONGROPE_FACTORS.short),
    long: divisors(LONGROPE_FACTORS.long),
    originalMaxPositions: named['rope.scaling.original_context_length'] ?? named.context_length,
    attentionFactor: shortest(named['rope.scaling.attn_factor'] ?? 1),
  };
}
