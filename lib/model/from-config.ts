import { z } from 'zod';
import { StruPruneError } from '../errors';
import { isObject } from '../json-object';
import type { Architecture, BlockWidths } from './architecture';
import { FAMILIES, familyOfModelType, OWN_PREFIX } from './families';
import { BIAS_NAMES, type ConfigKeys, everyNth, type Family, routerOf } from './family';
import {
  badField,
  epsilon,
  fieldsOf,
  flag,
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
} from './fields';
import type { Rope } from './sublayers';
import { yarnAttention } from './yarn';

const sizes = z.array(sizeOrZero, { error: 'must be a list' });
const factors = z.array(positive, { error: 'must be a list' });

/** What our own modeling code reads beside the stock keys (lib/checkpoint/modeling). */
const OWN = fieldsOf({
  intermediate_sizes: sizes,
  attention_heads: sizes,
  key_value_heads: sizes,
  /** Of every block; 0: its FFN is none. Of mixtures of experts alone. */
  experts: sizes.optional(),
  /** The stock keys of their number and their width. */
  expert_keys: z.array(text).optional(),
  head_dim: size,
  biases: fieldsOf({ qkv: flag, o: flag, ffnIn: flag, down: flag }),
});
export type OwnConfig = z.output<typeof OWN>;

const ROPE = fieldsOf({
  rope_theta: positive.nullish(),
  rope_type: text.nullish(),
  type: text.nullish(),
  factor: positive.nullish(),
  beta_fast: positive.nullish(),
  beta_slow: positive.nullish(),
  mscale: positiveOrZero.nullish(),
  mscale_all_dim: positiveOrZero.nullish(),
  truncate: flag.nullish(),
  low_freq_factor: positive.nullish(),
  high_freq_factor: positive.nullish(),
  original_max_position_embeddings: size.nullish(),
  partial_rotary_factor: positive.nullish(),
  short_factor: factors.nullish(),
  long_factor: factors.nullish(),
  attention_factor: positive.nullish(),
  llama_4_scaling_beta: positiveOrZero.nullish(),
});

/** transformers' names of the kinds of blocks, where a model has two. */
const SLIDING = 'sliding_attention';
const GLOBAL = 'full_attention';
/** And of blocks with another mixer. */
export const OTHER_TYPES = { convolution: 'conv', delta: 'linear_attention' } as const;
const BY_TYPE = fieldsOf({ [SLIDING]: ROPE.nullish(), [GLOBAL]: ROPE.nullish() });

/** Keys that every family calls the same. */
const COMMON = {
  tie_word_embeddings: flag,
  bos_token_id: tokenId,
  eos_token_id: tokenId,
  rope_theta: positive.nullish(),
  rope_scaling: ROPE.nullish(),
  rope_parameters: ROPE.nullish(),
  partial_rotary_factor: positive.nullish(),
  original_max_position_embeddings: size.nullish(),
  layer_types: z.array(text, { error: 'must be a list' }).nullish(),
  sliding_window_pattern: size.nullish(),
  full_attention_interval: size.nullish(),
  rope_local_base_freq: positive.nullish(),
  no_rope_layers: z.array(sizeOrZero, { error: 'must be a list' }).nullish(),
  no_rope_layer_interval: size.nullish(),
  num_experts: sizeOrZero.nullish(),
  num_local_experts: sizeOrZero.nullish(),
  n_routed_experts: sizeOrZero.nullish(),
};

/** Keys that a family has a name for, or has not. */
const NAMED = {
  hidden: size,
  ffn: size.nullish(),
  blocks: size,
  heads: size,
  vocab: size,
  maxPositions: size,
  activation: text,
  kvHeads: size.nullish(),
  headDim: size.nullish(),
  normEps: epsilon.optional(),
  slidingWindow: sizeOrZero.nullish(),
  queryScalar: positive.optional(),
  scoreCap: positive.nullish(),
  logitCap: positive.nullish(),
  scoreScale: positive.optional(),
  embeddingScale: positive.optional(),
  outputScale: positive.optional(),
  logitDivisor: positive.optional(),
  slides: flag.optional(),
  globalBelow: sizeOrZero.optional(),
  everySecondBelow: sizeOrZero.optional(),
  parallel: flag.optional(),
  preNorm: flag.optional(),
  embeddingWidth: size.nullish(),
  experts: sizeOrZero.nullish(),
  topK: size.optional(),
  expertWidth: size.optional(),
  sharedWidth: sizeOrZero.optional(),
  renormalises: flag.optional(),
  gateLimit: positive.optional(),
  gateAlpha: positive.optional(),
  expertsEvery: size.optional(),
  denseBlocks: sizes.nullish(),
  denseBelow: sizeOrZero.optional(),
  choiceBias: flag.optional(),
  deltaKeyHeads: size.optional(),
  deltaValueHeads: size.optional(),
  deltaKeyDim: size.optional(),
  deltaValueDim: size.optional(),
  deltaKernel: size.optional(),
  kernel: size.optional(),
  kernelBias: flag.optional(),
  attentionBlocks: sizes.nullish(),
  ffnAdjusts: flag.optional(),
  ffnFactor: positive.nullish(),
  ffnMultiple: size.optional(),
} satisfies Record<keyof ConfigKeys, z.ZodType>;

type Common = z.output<z.ZodObject<typeof COMMON>>;
type Named = z.output<z.ZodObject<typeof NAMED>>;

const ACTIVATIONS: ReadonlyMap<string, Architecture['activation']> = new Map([
  ['silu', 'silu'],
  ['swish', 'silu'],
  ['relu', 'relu'],
  ['gelu', 'gelu'],
  ['gelu_pytorch_tanh', 'gelu_pytorch_tanh'],
  ['gelu_new', 'gelu_pytorch_tanh'],
  ['gelu_fast', 'gelu_pytorch_tanh'],
]);

/** For a configuration without files. */
const MOST_TENSORS = 2 ** 16;

/**
 * The architecture that a config.json describes.
 * @param config parsed config.json, of a stock class or of our own modeling code
 * @param where names the file in messages
 * @param tensors how many the files have, which bounds what the configuration may claim
 * @throws StruPruneError ERR_UNSUPPORTED for families and variants that this program does not hold,
 *   ERR_CHECKPOINT for keys that are missing or cannot be
 */
export function architectureFromConfig(
  config: Record<string, unknown>,
  where: string,
  tensors = MOST_TENSORS,
): Architecture {
  const { model_type } = readFields({ model_type: text }, { values: config, where });
  const family = familyOfModelType(model_type);
  const { keys, defaults } = family.hf;
  const stated = withNewKeys(family, withOneName(family, config));
  const file = { values: { ...defaults, ...stated }, where };
  const common = readFields(COMMON, file);
  refuseVariants(family, common, file);

  const named = readFields(NAMED, file, (field) => keys[field as keyof ConfigKeys]);
  requireTensors(named.blocks, tensors, file, keys.blocks);
  const { ffnOfHidden } = family.hf;
  const ffn = adjusted(named.ffn ?? (ffnOfHidden && ffnOfHidden * named.hidden), named);
  if (!ffn) throw badField(file, [keys.ffn], 'must be a number');
  const own = model_type.startsWith(OWN_PREFIX)
    ? readFields({ struprune: OWN }, file).struprune
    : null;
  const widths = own
    ? ownWidths(own, named.blocks, file)
    : uniformWidths(family, { ...named, ffn }, file);
  const headDim = own ? own.head_dim : stockHeadDim(family, named, where);
  const { hidden, maxPositions, embeddingWidth, preNorm = true } = named;
  const unturned = unturnedBlocks(family, common, named.blocks, file);
  const { slidingWindow, global } = windowsOf(family, common, named, unturned, file);
  const mixed = withMixers(family, withTraits(widths, { global, unturned }), common, named, file);
  const blocks = withExperts(mixed, named, own?.experts, file, keys);
  return {
    family: family.name,
    hidden,
    vocab: named.vocab,
    headDim,
    blocks,
    maxPositions,
    norm: {
      kind: family.norm,
      eps: named.normEps ?? 1e-5,
      placement: preNorm ? (family.placement ?? 'pre') : 'post',
    },
    parallel: named.parallel ?? false,
    finalNorm: preNorm,
    ...ropesFromConfig(family, common, { headDim, maxPositions }, file),
    positionOffset: family.positionOffset,
    slidingWindow,
    qkNorm: family.qkNorm,
    queryScalar: queryScalarOf(named, headDim),
    scoreCap: named.scoreCap ?? null,
    sinks: family.sinks === true,
    activation: activation(named.activation, where),
    gated: family.gated,
    clampedGate: named.gateLimit ? { limit: named.gateLimit, alpha: named.gateAlpha! } : null,
    biases: own ? own.biases : stockBiases(family, file),
    routing: blocks.some(({ experts }) => experts)
      ? {
          topK: named.topK!,
          renormalised: named.renormalises ?? family.renormalises === true,
          ...routerOf(family),
          choiceBias: named.choiceBias ?? false,
          sharedWidth: named.sharedWidth ?? 0,
        }
      : null,
    convolution: blocks.some(({ mixer }) => mixer === 'convolution')
      ? { kernel: named.kernel!, bias: named.kernelBias! }
      : null,
    delta: blocks.some(({ mixer }) => mixer === 'delta') ? deltaOf(named, file, keys) : null,
    gatedAttention: family.gatedAttention === true,
    embeddingScale: named.embeddingScale ?? (family.scalesEmbedding ? Math.sqrt(hidden) : 1),
    outputScale: named.outputScale ?? 1,
    logitScale: 1 / (named.logitDivisor ?? 1),
    logitCap: named.logitCap ?? null,
    tiedEmbeddings: common.tie_word_embeddings,
    embeddingProjection: embeddingWidth && embeddingWidth !== hidden ? embeddingWidth : null,
    bosTokenId: common.bos_token_id,
    eosTokenId: common.eos_token_id,
  };
}

/** The number of experts under the family's own key; transformers writes it under either of two. */
function withOneName({ hf }: Family, config: Record<string, unknown>): Record<string, unknown> {
  const { experts } = hf.keys;
  if (experts === undefined) return config;
  const { num_experts, num_local_experts, ...rest } = config;
  const count = config[experts] ?? num_experts ?? num_local_experts;
  return { ...rest, ...(count !== undefined && { [experts]: count }) };
}

/** Keys as the family has them today: where an older name is there it is the one that counts, as in transformers. */
function withNewKeys({ hf }: Family, config: Record<string, unknown>): Record<string, unknown> {
  const values = { ...config };
  for (const [old, key] of Object.entries(hf.older ?? {})) {
    if (values[old] === undefined) continue;
    values[key] = values[old];
    delete values[old];
  }
  return values;
}

/** The width of FFNs that a stated one means (LFM2). */
function adjusted(
  stated: number | undefined,
  { ffnAdjusts, ffnFactor, ffnMultiple = 1 }: Named,
): number | undefined {
  if (!stated || !ffnAdjusts) return stated;
  const width = Math.floor((2 * stated) / 3);
  if (!ffnFactor) return width;
  return ffnMultiple * Math.ceil(Math.floor(ffnFactor * width) / ffnMultiple);
}

/** The blocks, some of which have another mixer where the others have attention. */
function withMixers(
  { otherMixer: mixer, attentionEvery, hf }: Family,
  blocks: BlockWidths[],
  { layer_types: types, full_attention_interval: every }: Common,
  { attentionBlocks }: Named,
  file: Stated,
): BlockWidths[] {
  if (mixer === undefined) return blocks;
  const nth = attentionEvery && everyNth(blocks.length, every ?? attentionEvery);
  if (!types && !nth && !hf.keys.attentionBlocks) throw badField(file, ['layer_types'], '');
  const other = types
    ? listed(types, blocks.length, file, 'layer_types').map((type) => type === OTHER_TYPES[mixer])
    : blocks.map((_, i) => (nth ? !nth[i] : attentionBlocks?.includes(i) === false));
  return blocks.map((block, i) => (other[i] ? { ...block, heads: 0, kvHeads: 0, mixer } : block));
}

function deltaOf(named: Named, file: Stated, keys: ConfigKeys): Architecture['delta'] {
  const delta = {
    keyHeads: named.deltaKeyHeads!,
    valueHeads: named.deltaValueHeads!,
    tiled: false,
    keyDim: named.deltaKeyDim!,
    valueDim: named.deltaValueDim!,
    kernel: named.deltaKernel!,
  };
  if (delta.valueHeads % delta.keyHeads === 0) return delta;
  throw badField(file, [keys.deltaValueHeads!], 'must be a multiple of the key heads');
}

/** The blocks, with the experts that the file gives to some of them, and those with the widths of experts. */
function withExperts(
  blocks: BlockWidths[],
  { experts, topK, expertWidth, expertsEvery = 1, denseBlocks, denseBelow = 0 }: Named,
  own: number[] | undefined,
  file: Stated,
  keys: ConfigKeys,
): BlockWidths[] {
  if (!experts) return blocks;
  const names = { experts: keys.experts!, topK: keys.topK! };
  requireExperts({ experts, topK: topK! }, file, names);
  if (own) {
    const counts = spread(own, blocks.length, file, ['struprune', 'experts']);
    return blocks.map((block, i) => {
      const count = counts[i]!;
      if (count === 0) return block;
      requireExperts({ experts: count, topK: topK! }, file, names);
      return { ...block, experts: count };
    });
  }
  const has = everyNth(blocks.length, expertsEvery);
  return blocks.map((block, i) =>
    has[i] && block.ffn > 0 && i >= denseBelow && !denseBlocks?.includes(i)
      ? { ...block, experts, ffn: expertWidth ?? block.ffn }
      : block,
  );
}

function refuseVariants(family: Family, common: Common, { values, where }: Stated): void {
  quantisationOf(values, family, where);
  for (const key of ['num_experts', 'num_local_experts', 'n_routed_experts'] as const) {
    if (!common[key] || key === family.hf.keys.experts) continue;
    const mend = `use a dense model of this family, or a mixture of experts of ${mixtures()}`;
    throw unsupported(where, `${key} (a mixture of experts)`, mend);
  }
  const known = [
    GLOBAL,
    ...(family.mixesWindows ? [SLIDING] : []),
    ...(family.otherMixer ? [OTHER_TYPES[family.otherMixer]] : []),
    ...(family.hf.blockType ? [family.hf.blockType] : []),
  ];
  const odd = common.layer_types?.find((type) => !known.includes(type));
  if (odd !== undefined) {
    const mend = `use a ${family.name} model whose layers are of ${statedAs(known)}`;
    throw unsupported(where, `layer_types with "${odd}"`, mend);
  }
  for (const [key, allowed] of Object.entries(family.hf.only)) {
    if (allowed.includes(values[key])) continue;
    const is = values[key] === undefined ? 'left out' : `= ${JSON.stringify(values[key])}`;
    const stated = `${family.name} with ${key} ${is}`;
    throw unsupported(where, stated, `use a model that has it as ${statedAs(allowed)}`);
  }
}

function mixtures(): string {
  return FAMILIES.flatMap(({ name, hf }) => (hf.keys.experts ? name : [])).join(', ');
}

/** What a checkpoint's matrices are quantised as: in FP8 with a scale for each block of so many rows and columns, or experts in MXFP4. */
export type Quantisation =
  | { method: 'fp8'; blocks: readonly [rows: number, columns: number] }
  | { method: 'mxfp4' };

const FP8 = fieldsOf({
  quant_method: z.literal('fp8'),
  fmt: z.literal('e4m3').nullish(),
  weight_block_size: z.tuple([size, size]),
});
const MXFP4 = fieldsOf({ quant_method: z.literal('mxfp4') });

/**
 * What a configuration says that weights are quantised as; null: nothing.
 * @throws StruPruneError ERR_UNSUPPORTED for what this program does not read
 */
export function quantisationOf(
  { quantization_config: stated }: Record<string, unknown>,
  { hf }: Family,
  where: string,
): Quantisation | null {
  if (stated === undefined || stated === null) return null;
  const fp8 = FP8.safeParse(stated);
  if (fp8.success) return { method: 'fp8', blocks: fp8.data.weight_block_size };
  if (hf.mxfp4 && MXFP4.safeParse(stated).success) return { method: 'mxfp4' };
  const held = `in FP8 (E4M3) with weight_block_size${hf.mxfp4 ? ', or in MXFP4' : ''}`;
  const mend = `use the unquantised checkpoint, or one ${held}`;
  throw unsupported(where, `quantization_config (${JSON.stringify(stated).slice(0, 60)})`, mend);
}

function ownWidths(own: OwnConfig, blocks: number, file: Stated): BlockWidths[] {
  const widths = (key: 'intermediate_sizes' | 'attention_heads' | 'key_value_heads') =>
    spread(own[key], blocks, file, ['struprune', key]);
  return zipWidths(
    widths('intermediate_sizes'),
    widths('attention_heads'),
    widths('key_value_heads'),
    () => badField(file, ['struprune', 'attention_heads'], HEADS_MISMATCH),
  );
}

const HEADS_MISMATCH = 'must be multiples of the key-value heads';

function uniformWidths(
  { hf }: Family,
  named: Named & { ffn: number },
  file: Stated,
): BlockWidths[] {
  const { ffn, heads, kvHeads, blocks } = named;
  const every = (value: number) => new Array<number>(blocks).fill(value);
  return zipWidths(every(ffn), every(heads), every(kvHeads ?? heads), () =>
    badField(file, [hf.keys.heads], HEADS_MISMATCH),
  );
}

/** What scores are divided by the root of; null: the usual one. */
export function queryScalarOf(
  { queryScalar, scoreScale }: Pick<Named, 'queryScalar' | 'scoreScale'>,
  headDim: number,
): number | null {
  const scalar = scoreScale === undefined ? queryScalar : shortest(scoreScale ** -2);
  return scalar === headDim ? null : (scalar ?? null);
}

/** The window, 0 where nothing slides, and which blocks are global where others slide or have another rope. */
function windowsOf(
  family: Family,
  common: Common,
  { blocks, slidingWindow, slides, ...first }: Named,
  unturned: readonly boolean[],
  file: Stated,
): { slidingWindow: number; global: boolean[] } {
  const { mixesWindows, twoRopes, hf } = family;
  // Qwen2-MoE's class writes 0 where nothing slides.
  if (slidingWindow === 0 && slides !== false)
    throw badField(file, [hf.keys.slidingWindow!], 'must be above 0');
  const window = slides === false ? 0 : (slidingWindow ?? 0);
  if (!mixesWindows || !(window || twoRopes)) return { slidingWindow: window, global: [] };
  const global = globalBlocks(family, common, { ...first, blocks }, unturned, file);
  if (!global.every(Boolean)) return { slidingWindow: window, global };
  return { slidingWindow: 0, global: twoRopes ? global : [] };
}

/** Which blocks are global: by the family's rule where the file does not say. */
function globalBlocks(
  { globalEvery }: Family,
  { layer_types: types, sliding_window_pattern: every }: Common,
  {
    blocks,
    globalBelow = 0,
    everySecondBelow,
  }: Pick<Named, 'blocks' | 'globalBelow' | 'everySecondBelow'>,
  unturned: readonly boolean[],
  file: Stated,
): boolean[] {
  if (types) return listed(types, blocks, file, 'layer_types').map((type) => type === GLOBAL);
  if (globalEvery !== undefined) return everyNth(blocks, every ?? globalEvery);
  // SmolLM3 slides where it has no rope.
  if (unturned.length > 0) return unturned.map((turnsNothing) => !turnsNothing);
  return Array.from({ length: blocks }, (_, block) =>
    everySecondBelow === undefined
      ? block < globalBelow
      : block % 2 === 1 || block >= everySecondBelow,
  );
}

function unturnedBlocks(
  { unturnedEvery }: Family,
  { no_rope_layers: turns, no_rope_layer_interval: every }: Common,
  blocks: number,
  file: Stated,
): boolean[] {
  if (unturnedEvery === undefined) return [];
  if (turns) return listed(turns, blocks, file, 'no_rope_layers').map((turn) => turn === 0);
  return everyNth(blocks, every ?? unturnedEvery);
}

function listed<T>(list: T[], blocks: number, file: Stated, key: string): T[] {
  if (list.length === blocks) return list;
  throw badField(file, [key], `has ${list.length} entries for ${blocks} blocks`);
}

/** The same blocks, with traits that some of them have. */
export function withTraits(
  blocks: BlockWidths[],
  { global, unturned }: Record<'global' | 'unturned', readonly boolean[]>,
): BlockWidths[] {
  return blocks.map((block, i) => ({
    ...block,
    ...(global[i] && { global: true }),
    ...(unturned[i] && { unturned: true }),
  }));
}

/** One entry a block; `mismatch` makes the error for heads that KV heads do not divide. */
export function zipWidths(
  ffn: number[],
  heads: number[],
  kvHeads: number[],
  mismatch: () => StruPruneError,
): BlockWidths[] {
  return ffn.map((width, block) => {
    const [queries, groups] = [heads[block]!, kvHeads[block]!];
    if (groups === 0 ? queries !== 0 : queries % groups !== 0) throw mismatch();
    return { ffn: width, heads: queries, kvHeads: groups };
  });
}

function stockHeadDim(family: Family, { hidden, heads, headDim }: Named, where: string): number {
  const width = headDim ?? hidden / heads;
  if (!Number.isInteger(width) || (family.positionOffset === null && width % 2 !== 0)) {
    throw new StruPruneError(
      'ERR_CHECKPOINT',
      `${where}: ${hidden} hidden ÷ ${heads} heads gives no usable head width`,
      'set head_dim in config.json if the model has one of its own',
    );
  }
  return width;
}

function stockBiases(family: Family, file: Stated): Architecture['biases'] {
  const stated = BIAS_NAMES.map((name) => {
    const rule = family.biases[name];
    return [name, typeof rule === 'string' ? readFields({ [rule]: flag }, file)[rule] : rule];
  });
  return Object.fromEntries(stated) as Architecture['biases'];
}

function activation(name: string, where: string): Architecture['activation'] {
  const known = ACTIVATIONS.get(name);
  if (known !== undefined) return known;
  const mend = `use a model with one of ${[...ACTIVATIONS.keys()].join(', ')}`;
  throw unsupported(where, `activation "${name}"`, mend);
}

/** Of blocks that are not global, and of those that are. */
function ropesFromConfig(
  family: Family,
  common: Common,
  sizes: Sizes,
  file: Stated,
): Pick<Architecture, 'rope' | 'globalRope'> {
  if (family.positionOffset !== null) return { rope: null, globalRope: null };
  if (!family.twoRopes) {
    const { where, values } = file;
    const byType = (['rope_scaling', 'rope_parameters'] as const).find((key) =>
      Object.values(values[key] ?? {}).some(isObject),
    );
    if (byType === undefined) {
      return { rope: ropeFromConfig(family, common, sizes, file), globalRope: null };
    }
    throw unsupported(where, `${byType} by layer type`, 'use a model whose layers are alike');
  }
  const read = readFields({ rope_parameters: BY_TYPE.nullish() }, file).rope_parameters;
  const theta = common.rope_local_base_freq ?? common.rope_theta;
  const local = { rope_theta: theta, rope_parameters: read?.[SLIDING] };
  const global = { ...common, rope_parameters: read?.[GLOBAL] };
  return {
    rope: ropeFromConfig(family, local, sizes, file),
    globalRope: ropeFromConfig(family, global, sizes, file),
  };
}

/** What a rope is measured by. */
type Sizes = Pick<Architecture, 'headDim' | 'maxPositions'>;

/** Reads transformers 5's rope_parameters and 4's rope_theta with rope_scaling. */
function ropeFromConfig(
  family: Family,
  common: Partial<Common>,
  { headDim, maxPositions }: Sizes,
  file: Stated,
): Rope {
  const key = common.rope_scaling ? 'rope_scaling' : 'rope_parameters';
  const scaling = common[key] ?? {};
  const { where } = file;
  const needed = (name: 'factor' | 'low_freq_factor' | 'high_freq_factor') => {
    const value = scaling[name];
    if (value === undefined || value === null)
      throw badField(file, [key, name], 'must be a number');
    return value;
  };
  const theta = scaling.rope_theta ?? common.rope_theta ?? 10000;
  // As in transformers, the model's own before the stretch's.
  const originalMaxPositions =
    common.original_max_position_embeddings ??
    scaling.original_max_position_embeddings ??
    maxPositions;
  const stated = scaling.partial_rotary_factor ?? common.partial_rotary_factor;
  const share = stated ?? family.hf.partialRotary ?? 1;
  const turned = turnedDims(family, share, headDim, where);
  const type = scaling.rope_type ?? scaling.type ?? 'default';
  const { llama_4_scaling_beta: growth } = scaling;
  if (family.queriesGrow && (type !== 'yarn' || typeof growth !== 'number')) {
    const mend = 'use a model with rope type yarn and llama_4_scaling_beta';
    throw unsupported(
      where,
      `${family.name} with rope type "${type}"${growth ? '' : ' and no llama_4_scaling_beta'}`,
      mend,
    );
  }
  switch (type) {
    case 'default':
      return { theta, ...turned };
    case 'linear':
      return { theta, ...turned, linearFactor: needed('factor') };
    case 'dynamic':
      return { theta, ...turned, dynamicFactor: needed('factor') };
    case 'yarn': {
      if (theta === 1) throw unsupported(where, 'yarn with a rope_theta of 1', 'use another model');
      const isStretched = maxPositions !== originalMaxPositions;
      const factor =
        scaling.factor ?? (isStretched ? maxPositions / originalMaxPositions : needed('factor'));
      const { mscale, mscale_all_dim: all } = scaling;
      const usual =
        mscale && all
          ? yarnAttention(factor, mscale) / yarnAttention(factor, all)
          : yarnAttention(factor);
      return {
        theta,
        ...turned,
        yarn: {
          factor,
          originalMaxPositions,
          betaFast: scaling.beta_fast ?? 32,
          betaSlow: scaling.beta_slow ?? 1,
          truncate: scaling.truncate ?? true,
          attentionFactor: shortest(scaling.attention_factor ?? usual),
          ...(family.queriesGrow && { growth: growth! }),
        },
      };
    }
    case 'llama3':
      return {
        theta,
        ...turned,
        llama3: {
          factor: needed('factor'),
          lowFreqFactor: needed('low_freq_factor'),
          highFreqFactor: needed('high_freq_factor'),
          originalMaxPositions,
        },
      };
    case 'longrope':
    case 'su': {
      const factor = scaling.factor ?? maxPositions / originalMaxPositions;
      const usual =
        factor > 1 ? Math.sqrt(1 + Math.log(factor) / Math.log(originalMaxPositions)) : 1;
      const divisors = (name: 'short_factor' | 'long_factor') => {
        const pairs = (turned.dims ?? headDim) / 2;
        const list = scaling[name];
        if (list?.length === pairs) return list;
        throw badField(file, [key, name], `must have ${pairs} entries, one a pair that turns`);
      };
      return {
        theta,
        ...turned,
        longrope: {
          short: divisors('short_factor'),
          long: divisors('long_factor'),
          originalMaxPositions,
          attentionFactor: shortest(scaling.attention_factor ?? usual),
        },
      };
    }
    default:
      throw unsupported(
        where,
        `rope scaling type "${type}"`,
        'use a model with rope type default, linear, dynamic, yarn, llama3 or longrope',
      );
  }
}

/** Nothing where all of a head turns. */
function turnedDims(
  family: Family,
  share: number,
  headDim: number,
  where: string,
): Pick<Rope, 'dims'> {
  if (share === 1) return {};
  const dims = Math.floor(headDim * share);
  if (family.partialRotary && dims > 0 && dims < headDim && dims % 2 === 0) return { dims };
  const what = `partial_rotary_factor ${share} of heads of ${headDim} in a ${family.name} model`;
  throw unsupported(where, what, 'use another model');
}
