import type { Architecture, ModelRole, OtherMixer } from './architecture';
import type { Activation, BlockRole, ClampedGate } from './sublayers';

/**
 * A model family as data: how its config.json and its GGUF metadata are read, what its tensors are
 * called, and what the programs that load it can hold. One file a family in families/; everything that
 * opens, prunes or writes a checkpoint is generic code over these descriptions.
 */
export interface Family {
  name: string;
  norm: Architecture['norm']['kind'];
  /** Norms of attention and FFN: behind their output maps too, or there alone; in front of them where left out. */
  placement?: 'sandwich' | 'behind';
  gated: boolean;
  qkNorm: Architecture['qkNorm'];
  /** Rows of the position table to skip; null where positions are rotary. */
  positionOffset: number | null;
  /** A learned logit of each query head joins the sum of its softmax. */
  sinks?: true;
  /** Embeddings come into the first block times the root of their width. */
  scalesEmbedding?: true;
  /** Rope may turn a part of every head. */
  partialRotary?: true;
  /** Blocks may slide beside such that do not. */
  mixesWindows?: true;
  /** Every so-many-th block is global where others slide, if the configuration does not say which. */
  globalEvery?: number;
  /** Global blocks have a rope of their own. */
  twoRopes?: true;
  /** Its rope is yarn, behind whose original positions queries grow. */
  queriesGrow?: true;
  /** Every so-many-th block has no rope, if the configuration does not say which. */
  unturnedEvery?: number;
  /** What some blocks have in the place of attention. */
  otherMixer?: OtherMixer;
  /** In every block but every so-many-th, if the configuration does not say which. */
  attentionEvery?: number;
  /** What a query head gives is times the sigmoid of gates of its own. */
  gatedAttention?: true;
  /** The probabilities of the experts that a token passes are made to sum to 1, where no key of the configuration says so. */
  renormalises?: true;
  /** The router has a bias. */
  routerBias?: true;
  /** Its probabilities are sigmoids. */
  sigmoidRouter?: true;
  /** The expert that all tokens pass has no gate. */
  sharedUngated?: true;
  /**
   * Constant, or the key of config.json that switches it. Biases under one key come and go together,
   * which is also what the stock class can hold after pruning.
   */
  biases: Record<BiasName, boolean | string>;
  hf: HfDescription;
  /** null: none is read or written. */
  gguf: GgufDescription | null;
}

export type BiasName = keyof Architecture['biases'];
export const BIAS_NAMES: readonly BiasName[] = ['qkv', 'o', 'ffnIn', 'down'];

export interface HfDescription {
  modelType: string;
  /** The class of transformers that holds the family. */
  stockClass: string;
  /** In front of `Model` and `Config` in the names of its other classes, where `stockClass` has something else there. */
  base?: string;
  keys: ConfigKeys;
  /** FFN channels for each of the hidden size, where the configuration does not say. */
  ffnOfHidden?: number;
  /** What names of tensors begin with that the stock class does not load. */
  unloaded?: string;
  /** Older names of keys, which come before them. */
  older?: Readonly<Record<string, string>>;
  /** They are written too: transformers 4 and converters know no others. */
  writesOlder?: true;
  /** Values that the configuration class takes for absent keys. */
  defaults: Record<string, unknown>;
  /** Keys that change the arithmetic, with the values that this program knows. */
  only: Record<string, readonly unknown[]>;
  /** Keys that are written so, since the class takes other values for absent ones. */
  written?: Readonly<Record<string, unknown>>;
  /** Keys of what the model has none of, which are not written: of lists the numbers' types would be lost. */
  unused?: readonly string[];
  /** What its configuration calls every block. */
  blockType?: string;
  /** Whether the stock class takes head_dim apart from hidden ÷ heads. */
  freeHeadDim: boolean | 'without longrope';
  /** Whether the stock configuration refuses a head count that does not divide the hidden size. */
  headsDivideHidden: boolean;
  /** Rope turns neighbouring entries of a head: rows of q and k have its two halves interleaved. */
  interleavedRope?: true;
  /** What weights of norms are stored less. */
  normOffset?: number;
  /** The share of a head that rope turns, where the configuration does not say. */
  partialRotary?: number;
  names: TensorNames;
  /** Matrices of experts may be MXFP4, in two tensors each: `_blocks` and `_scales`. */
  mxfp4?: true;
}

/** Keys of config.json, by what they mean here. */
export interface ConfigKeys {
  hidden: string;
  ffn: string;
  blocks: string;
  heads: string;
  vocab: string;
  maxPositions: string;
  activation: string;
  kvHeads?: string;
  headDim?: string;
  /** Without one the norm's epsilon is 1e-5, torch's own. */
  normEps?: string;
  slidingWindow?: string;
  queryScalar?: string;
  /** Soft caps of attention scores and of logits. */
  scoreCap?: string;
  logitCap?: string;
  /** What scores, embeddings, additions and, as a divisor, logits are multiplied by. */
  scoreScale?: string;
  embeddingScale?: string;
  outputScale?: string;
  logitDivisor?: string;
  /** Switches the sliding window on. */
  slides?: string;
  /** How many blocks do not slide, the first ones, where there is no list of layer types. */
  globalBelow?: string;
  /** Or every second block slides from the first one on, as long as there are fewer before it than this says. */
  everySecondBelow?: string;
  /** Attention and FFN read the block's input side by side. */
  parallel?: string;
  /** true: norms in front of attention and FFN; false: behind the residual additions. */
  preNorm?: string;
  embeddingWidth?: string;
  /** How many experts the FFN of a block is, and how many a token passes. */
  experts?: string;
  topK?: string;
  /** Of each expert; `ffn` where left out. */
  expertWidth?: string;
  /** Of the expert that all tokens pass. */
  sharedWidth?: string;
  renormalises?: string;
  /** Of experts' clamped gates. */
  gateLimit?: string;
  gateAlpha?: string;
  /** Every so-many-th block has experts, but for a list of blocks without; or all but the first ones. */
  expertsEvery?: string;
  denseBlocks?: string;
  denseBelow?: string;
  /** Each expert has a bias that only chooses. */
  choiceBias?: string;
  /** Tokens that a short convolution looks back on, and whether its maps have biases. */
  kernel?: string;
  kernelBias?: string;
  /** Which blocks do not convolve, where there is no list of layer types. */
  attentionBlocks?: string;
  /** Of a delta rule: heads, their widths, and its convolution. */
  deltaKeyHeads?: string;
  deltaValueHeads?: string;
  deltaKeyDim?: string;
  deltaValueDim?: string;
  deltaKernel?: string;
  /** The stated width of FFNs is to be cut to two thirds, times a factor, and up to a multiple. */
  ffnAdjusts?: string;
  ffnFactor?: string;
  ffnMultiple?: string;
}

export interface GgufDescription {
  /** Values of general.architecture that this family reads; the first one is written. */
  architectures: readonly string[];
  /** Rows of q and k are stored with the two rope halves of every head interleaved. */
  interleavedRope: boolean;
  /** Biases that llama.cpp's loader takes. */
  holdsBiases: readonly BiasName[];
  /** It wants all of them: zeros where the model has none. */
  needsBiases?: true;
  /** Whether its loader sizes q and o by the heads (false: by the hidden size). */
  freeHeads: boolean;
  /** What it calls otherwise than `GGUF_NAMES`. */
  names?: Partial<Pick<TensorNames, 'model' | 'block' | 'alternating' | 'alternate'>>;
  /** Where blocks have unlike widths, each an attention and an FFN, no biases, and the embedding is the head: the architecture that holds them (the last of `architectures`), and what it calls otherwise. */
  unlike?: { architecture: string; names: TensorNames['block'] };
  /** Whether its graph applies rope_freqs.weight (Llama 3's stretch). */
  holdsRopeFactors: boolean;
  /** Whether its graph divides frequencies by rope_factors_short.weight or rope_factors_long.weight (longrope). */
  holdsLongrope?: true;
  /** Its loader wants to know how rope divides a head's pairs among the positions of text and images, which for text are one. */
  ropeSections?: true;
  /** Value heads that share a key head of a delta rule are as many apart as there are key heads. */
  tilesValueHeads?: true;
  /** Its last blocks may guess tokens further ahead: metadata counts them, and its graph passes them by. */
  looksAhead?: true;
  /** The activation of its graph. */
  activation: Activation;
  /** Of its experts, in place of the activation. */
  clampedGate?: ClampedGate;
  /** Its loader wants a head beside the embedding. */
  needsHead?: true;
  /** Whether its graph slides. */
  slides?: true;
  /** Metadata says whether attention and FFN read the block's input side by side. */
  parallel?: true;
  /** Its metadata has scales of scores, embeddings, additions and logits. */
  multipliers?: true;
  /** The base of its graph's rope in blocks that slide, where others are global; left out: the others'. */
  slidingTheta?: number;
  /** Its graph caps scores and logits: by these where a file says nothing. */
  caps?: { scores: number; logits: number };
  /** The number of blocks at which its graph scales scores by hidden ÷ heads, not by the head width. */
  scalesByHeadsAt?: number;
  /**
   * Every block has experts, but for the first ones where metadata counts those (`denseBelow`). `sums`: its graph makes the probabilities of
   * those that a token passes sum to 1; `ownWidth`: metadata has their width apart from an FFN's; `bySigmoid`: it says that the router is by
   * sigmoids, and its loader wants biases that only choose.
   */
  experts?: { sums: boolean; ownWidth?: true; denseBelow?: true; bySigmoid?: true };
  /** Its loader wants as many KV heads as heads. */
  headsAlike?: true;
}

/** What of a router is the same in all models of a family. */
export function routerOf({ routerBias, sigmoidRouter, sharedUngated }: Family) {
  return {
    bias: routerBias === true,
    sigmoid: sigmoidRouter === true,
    sharedGated: !sharedUngated,
  };
}

/** Every nth of so many blocks, the first being the nth. */
export function everyNth(blocks: number, n: number): boolean[] {
  return Array.from({ length: blocks }, (_, block) => (block + 1) % n === 0);
}

/**
 * Templates; `{}` stands for the block's index, in roles and names of experts' tensors `{expert}` for that of the expert.
 * Roles of one template are rows of one tensor, in the order of `PARTS`, one expert after the other.
 */
export interface TensorNames {
  model: Partial<Record<ModelRole, string>>;
  block: Partial<Record<BlockRole, string>>;
  /** Other names of files that have the experts of a block in one tensor, `[experts, out, in]`, as transformers has them in memory. */
  stacked?: Partial<Record<BlockRole, string>>;
  /** Matrices of blocks, or of experts alone, are stored `[in, out]`. */
  transposed?: true | 'experts';
  /** Parts of one tensor take turns: rows of experts' gate and up, or heads, a delta rule's all that goes with a key head. */
  alternating?: 'rows' | 'heads';
  /** The first parts of the tensors where they do; left out: of all that have several. */
  alternate?: readonly BlockRole[];
  /** Axes of one entry in front of the last are left out. */
  flat?: true;
}

/** Those of files whose experts are MXFP4, which is never stored transposed. */
export function packedNames({ transposed, ...names }: TensorNames): TensorNames {
  return names;
}

/** Those of files that have the experts of a block in one tensor. */
export function stackedNames({ stacked, ...names }: TensorNames): TensorNames {
  return { ...names, block: { ...names.block, ...stacked } };
}

export function blockTensorName(names: TensorNames, role: BlockRole, block: number): string {
  const [expert = ''] = EXPERT.exec(role) ?? [];
  const template = templateOf(names, role);
  return template.replace('{}', String(block)).replace('{expert}', expert);
}

/** Whether an expert's tensor lies in one with those of all others. */
export function isStacked(names: TensorNames, role: BlockRole): boolean {
  return EXPERT.test(role) && !templateOf(names, role).includes('{expert}');
}

/** The number of an expert in the name of its tensor. */
const EXPERT = /(?<=\.)\d+(?=\.)/;

function templateOf({ block }: TensorNames, role: BlockRole): string {
  const template = block[role.replace(EXPERT, '{expert}') as BlockRole];
  if (template === undefined) throw new Error(`no tensor name for ${role}`);
  return template;
}
