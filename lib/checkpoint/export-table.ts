import { isDeepStrictEqual } from 'node:util';
import type { Architecture, BlockWidths } from '../model/architecture';
import { FAMILIES, familyNamed } from '../model/families';
import { LLAMA_NAMES } from '../model/families/names';
import { BIAS_NAMES, type BiasName, everyNth, type Family } from '../model/family';
import { shortest } from '../model/fields';
import { withoutEmptyBlocks } from '../model/groups';
import type { Rope } from '../model/sublayers';
import type { Wrapper } from '../model/wrappers';
import { yarnAttention } from '../model/yarn';
import { YARN } from './from-gguf';
import { AS_FOLDER, type ExportFormat } from './output-path';

/**
 * Which program holds which pruned model. The rules read the families' descriptions, which were checked
 * against transformers 5.24 and the loaders of llama.cpp:
 * - stock OPT ties head_dim to hidden ÷ heads, so pruned heads do not fit it;
 * - stock Mistral and Qwen2 have no bias on down (nor on o), Llama and Qwen3 switch theirs in pairs;
 * - stock Llama refuses head counts that do not divide the hidden size;
 * - llama.cpp sizes its llama and qwen3 blocks by block 0, and qwen2's q and o by the hidden size; `deci`
 *   holds Llama-shaped blocks of unlike widths with optional biases, but no norms on q and k; `openelm` holds
 *   Qwen3's, without biases and with the embedding as head.
 */
export type ExportKind = 'stock' | 'own-modeling' | 'llama.cpp' | 'deci' | 'openelm';

/** For people. */
export const KIND_WORDS: Record<ExportKind, string> = {
  stock: 'stock class',
  'own-modeling': 'own modeling code',
  'llama.cpp': 'llama.cpp',
  deci: 'llama.cpp (deci)',
  openelm: 'llama.cpp (openelm)',
};

/** What loads a checkpoint, and how where that is not plain. */
export function loadsAs(kind: ExportKind): string {
  return KIND_WORDS[kind] + (kind === 'own-modeling' ? ' (trust_remote_code=True)' : '');
}

export interface Holder {
  kind: ExportKind;
  /** Biases that the output has; where the model has none, they are zeros. */
  biases: Record<BiasName, boolean>;
}

export interface Refusal {
  kind: null;
  why: string;
  mend: string;
}

/** All that the choice of a holder depends on. */
export interface ExportTraits {
  family: Family;
  /** A class of text and images around a text model whose blocks are no longer the ones that it counts. */
  miscounts: string | null;
  /** What no block has. */
  lacks: 'attention' | 'FFN' | null;
  /** All blocks have the same widths, both sublayers and, those with experts, as many. */
  uniform: boolean;
  /** heads × head_dim is still the hidden size. */
  headsFillHidden: boolean;
  /** Whether the stock class takes a head_dim of its own beside this rope. */
  freeHeadDim: boolean;
  /** Every head count divides the hidden size. */
  headsDivideHidden: boolean;
  biases: Record<BiasName, boolean>;
  llama3Rope: boolean;
  longrope: boolean;
  /** What llama.cpp's graph of the family has otherwise; null: nothing. */
  graphLacks: string | null;
  /** Every block has an FFN, and the first one an attention, from which llama.cpp takes the width of heads. */
  deciBlocks: boolean;
  /** Every block has an attention and an FFN. */
  wholeBlocks: boolean;
  /** The embedding is the head. */
  tied: boolean;
  /** Llama's block, which `deci` holds: norms in front alone, none on q and k, a SiLU gate, a rope in all blocks, no multipliers. */
  llamaBlock: boolean;
}

export function traitsOf(
  architecture: Architecture,
  addedBias: Partial<Record<BiasName, boolean>>,
  wrapper?: Wrapper,
): ExportTraits {
  const pruned = withoutEmptyBlocks(architecture);
  const { biases, hidden, headDim, blocks } = pruned;
  const [first] = blocks;
  const attentions = blocks.filter(({ mixer }) => !mixer);
  const rope = pruned.globalRope ?? pruned.rope;
  return {
    family: familyNamed(pruned.family),
    miscounts:
      wrapper?.addsByBlock && blocks.length < architecture.blocks.length
        ? wrapper.stockClass
        : null,
    lacks: lacking(pruned),
    freeHeadDim: !wrapper?.headsFillHidden && takesHeadDim(pruned),
    uniform:
      attentions.length > 0 &&
      blocks.every(({ ffn, experts, heads, kvHeads, mixer }) => {
        const alike = blocks.find((other) => !other.experts === !experts)!;
        const sameFfn = ffn > 0 && ffn === alike.ffn && experts === alike.experts;
        const head = attentions[0]!;
        const sameHeads = heads > 0 && heads === head.heads && kvHeads === head.kvHeads;
        return sameFfn && (mixer !== undefined || sameHeads);
      }),
    headsFillHidden: attentions.every(({ heads }) => heads * headDim === hidden),
    headsDivideHidden: attentions.every(({ heads }) => hidden % heads === 0),
    deciBlocks: blocks.every(({ ffn }, block) => ffn > 0 && (block > 0 || first!.heads > 0)),
    wholeBlocks: blocks.every(({ ffn, heads }) => ffn > 0 && heads > 0),
    tied: pruned.tiedEmbeddings,
    biases: flags((name) => biases[name] || addedBias[name] === true),
    llama3Rope: rope?.llama3 !== undefined,
    longrope: rope?.longrope !== undefined,
    graphLacks: graphLacks(pruned),
    llamaBlock: isLlamaBlock(pruned),
  };
}

/** Whether the stock class of such a model takes head_dim apart from hidden ÷ heads. */
export function takesHeadDim({ family, rope }: Architecture): boolean {
  const { freeHeadDim } = familyNamed(family).hf;
  return freeHeadDim === 'without longrope' ? rope?.longrope === undefined : freeHeadDim;
}

function lacking({ blocks }: Architecture): ExportTraits['lacks'] {
  if (!blocks.some(({ heads }) => heads > 0)) return 'attention';
  return blocks.some(({ ffn }) => ffn > 0) ? null : 'FFN';
}

function isLlamaBlock({
  family,
  blocks,
  norm,
  qkNorm,
  gated,
  activation,
  rope,
  globalRope,
}: Architecture): boolean {
  const turnsAll =
    rope !== null &&
    rope.dims === undefined &&
    rope.yarn?.growth === undefined &&
    globalRope === null &&
    !blocks.some(({ unturned }) => unturned);
  const dense = !blocks.some(({ experts, mixer }) => experts || mixer);
  const plain = dense && norm.placement === 'pre' && norm.kind === 'rms' && !qkNorm && turnsAll;
  const multiplies = familyNamed(family).gguf?.multipliers;
  return plain && gated && activation === 'silu' && !multiplies;
}

/**
 * Whether vLLM's DeciLMForCausalLM holds it, which is its own code for blocks of Llama's kind with unlike FFNs, or without one
 * of the two sublayers. It has one number of query heads, and begins with an attention.
 */
export function fitsDeciLM(architecture: Architecture): boolean {
  const { family, blocks, biases, slidingWindow } = architecture;
  const { names, interleavedRope } = familyNamed(family).hf;
  const heads = new Set(blocks.flatMap((block) => block.heads || []));
  return (
    isLlamaBlock(architecture) &&
    names === LLAMA_NAMES &&
    !interleavedRope &&
    slidingWindow === 0 &&
    !BIAS_NAMES.some((name) => biases[name]) &&
    heads.size === 1 &&
    blocks[0]!.heads > 0
  );
}

/** What of the arithmetic is a constant of llama.cpp's graph, and another one. */
function graphLacks(pruned: Architecture): string | null {
  const { family, activation, blocks, rope, queryScalar, routing } = pruned;
  const { globalEvery, twoRopes, unturnedEvery, gguf } = familyNamed(family);
  if (gguf === null) return null;
  if (activation !== gguf.activation) return `the activation ${activation}`;
  if (pruned.tiedEmbeddings && gguf.needsHead) return 'a head that is tied to the embedding';
  if (gguf.experts && routing) {
    const { sums, denseBelow, bySigmoid } = gguf.experts;
    const first = denseBelow ? blocks.findIndex(({ experts }) => experts) : 0;
    if (!blocks.every(({ experts }, block) => block < first || experts)) {
      return `blocks without experts${denseBelow ? ' behind others' : ''}`;
    }
    if (bySigmoid && !routing.choiceBias) return 'routers without biases that choose';
    if (routing.renormalised !== sums)
      return `probabilities of experts that ${sums ? 'do not sum' : 'sum'} to 1`;
  }
  const { clampedGate } = pruned;
  if (pruned.convolution?.bias) return 'biases of short convolutions';
  if (pruned.delta) {
    const { keyDim, valueDim } = pruned.delta;
    if (keyDim !== valueDim) return 'delta rules with keys and values of unlike widths';
    const interval = blocks.findIndex(({ mixer }) => !mixer) + 1;
    const usual = everyNth(blocks.length, interval);
    if (blocks.some(({ mixer }, block) => !mixer !== usual[block])) {
      return 'attention in other blocks than every so-many-th';
    }
  }
  if (gguf.clampedGate && !isDeepStrictEqual(clampedGate, gguf.clampedGate))
    return 'gates with another limit';
  if (gguf.headsAlike && blocks.some(({ heads, kvHeads }) => heads !== kvHeads))
    return 'fewer KV heads than heads';
  if ((queryScalar !== null && !gguf.multipliers) || blocks.length === gguf.scalesByHeadsAt) {
    return 'an attention scale of its own';
  }
  if (gguf.caps && (pruned.scoreCap === null || pruned.logitCap === null)) {
    return 'scores or logits without a cap';
  }
  if (unturnedEvery !== undefined && !isEveryNth(blocks, 'unturned', unturnedEvery)) {
    return `blocks without rope other than every ${unturnedEvery}th`;
  }
  const { yarn } = pruned.globalRope ?? rope ?? {};
  if (yarn && !yarn.truncate) return 'yarn whose ends are not rounded to whole pairs (truncate)';
  if (yarn && !isLlamaYarn(yarn)) return 'yarn with turns or an attention factor of its own';
  if (globalEvery === undefined) return null;
  if (!isEveryNth(blocks, 'global', globalEvery)) {
    return `global blocks other than every ${globalEvery}th`;
  }
  if (!twoRopes) return null;
  const { theta, ...scaling } = rope!;
  const usual = gguf.slidingTheta ?? pruned.globalRope!.theta;
  const other = theta !== usual || Object.keys(scaling).length > 0;
  return other ? 'another rope in its sliding blocks' : null;
}

function isEveryNth(
  blocks: readonly BlockWidths[],
  trait: 'global' | 'unturned',
  n: number,
): boolean {
  const usual = everyNth(blocks.length, n);
  return blocks.every((block, i) => (block[trait] ?? false) === usual[i]);
}

/** What llama.cpp has as constants. */
function isLlamaYarn({
  factor,
  attentionFactor,
  growth,
  ...rest
}: NonNullable<Rope['yarn']>): boolean {
  const its = growth === undefined ? shortest(yarnAttention(factor)) : 1;
  const usual = its === attentionFactor;
  return (
    usual && Object.entries(YARN).every(([key, value]) => rest[key as keyof typeof YARN] === value)
  );
}

/** Who holds such a model in this format: the stock class before our own code, `deci` and `openelm` last. */
export function holderOf(traits: ExportTraits, format: ExportFormat): Holder | Refusal {
  if (traits.lacks !== null) {
    const why = `no block would keep its ${traits.lacks}`;
    return { kind: null, why, mend: 'ask for less sparsity or bound it per block' };
  }
  return format === 'hf' ? hfHolder(traits) : ggufHolder(traits);
}

function hfHolder(traits: ExportTraits): Holder | Refusal {
  if (traits.miscounts) {
    const why = `a ${traits.miscounts} adds what it sees behind blocks by their number, and one is gone`;
    return { kind: null, why, mend: 'prune without --depth, or less' };
  }
  const { headsDivideHidden } = traits.family.hf;
  const headsFit = traits.freeHeadDim
    ? !headsDivideHidden || traits.headsDivideHidden
    : traits.headsFillHidden;
  const stock = stockBiases(traits.family, traits.biases);
  if (traits.uniform && headsFit && stock !== null) return { kind: 'stock', biases: stock };
  return { kind: 'own-modeling', biases: traits.biases };
}

/** The least biases of the stock class that include the needed ones; null when it cannot have them. */
function stockBiases(
  family: Family,
  needed: Record<BiasName, boolean>,
): Record<BiasName, boolean> | null {
  const held = flags((name) => {
    const rule = family.biases[name];
    if (typeof rule === 'boolean') return rule;
    return BIAS_NAMES.some((other) => family.biases[other] === rule && needed[other]);
  });
  return BIAS_NAMES.every((name) => held[name] || !needed[name]) ? held : null;
}

function ggufHolder(traits: ExportTraits): Holder | Refusal {
  const { family, biases } = traits;
  const { gguf } = family;
  if (gguf === null) {
    return { kind: null, why: `${family.name} models are not written as GGUF`, mend: AS_FOLDER };
  }
  if (traits.graphLacks !== null) {
    const why = `llama.cpp's ${family.name} models do not have ${traits.graphLacks}`;
    return { kind: null, why, mend: AS_FOLDER };
  }
  const biasesFit = BIAS_NAMES.every((name) => !biases[name] || gguf.holdsBiases.includes(name));
  const headsFit = gguf.freeHeads || traits.headsFillHidden;
  const ropeFits =
    (!traits.llama3Rope || gguf.holdsRopeFactors) && (!traits.longrope || gguf.holdsLongrope);
  if (traits.uniform && biasesFit && headsFit && ropeFits) {
    return { kind: 'llama.cpp', biases: gguf.needsBiases ? flags(() => true) : biases };
  }
  if (traits.llamaBlock && traits.deciBlocks) return { kind: 'deci', biases };
  const plain = ropeFits && !BIAS_NAMES.some((name) => biases[name]);
  if (gguf.unlike && plain && traits.wholeBlocks && traits.tied) return { kind: 'openelm', biases };
  if (traits.llamaBlock && !traits.deciBlocks) {
    const why = 'llama.cpp holds no block with attention alone, and no first block without it';
    return { kind: null, why, mend: AS_FOLDER };
  }
  const alone = gguf.unlike && plain && !traits.tied ? ' and a head apart from its embedding' : '';
  const what = traits.uniform
    ? headsFit
      ? 'such biases or rope scaling'
      : 'fewer heads'
    : `widths that differ between blocks${alone}`;
  return {
    kind: null,
    why: `no architecture of llama.cpp holds a ${family.name} model with ${what}`,
    mend: traits.uniform
      ? `prune ${headsFit ? 'without bias compensation' : 'with its heads, by another --scope'}, or ${AS_FOLDER}`
      : `prune with --allocation uniform, or ${AS_FOLDER}`,
  };
}

export interface ExportRow {
  family: string;
  scope: 'ffn' | 'attention' | 'all' | 'experts' | 'expert-channels' | 'moe';
  widths: 'uniform' | 'per-block';
  addedBias: boolean;
  hf: ExportKind | null;
  gguf: ExportKind | null;
}

/**
 * The whole table, for the documentation: every family without optional biases and with plain rope, pruned
 * to head counts that divide the hidden size. FFN-only pruning of a model whose head_dim is its own
 * (some Mistral, Qwen3) follows the same rows.
 */
export function exportTable(): ExportRow[] {
  const rows: ExportRow[] = [];
  for (const family of FAMILIES) {
    for (const scope of scopesOf(family)) {
      for (const widths of widthsOf(scope)) {
        // Those of experts stay as they were.
        for (const addedBias of keepsBiases(scope) ? [false] : [false, true]) {
          const traits = usualTraits(family, { scope, widths, addedBias });
          const { kind: hf } = holderOf(traits, 'hf');
          const { kind: gguf } = holderOf(traits, 'gguf');
          rows.push({ family: family.name, scope, widths, addedBias, hf, gguf });
        }
      }
    }
  }
  return rows;
}

/** Of a family's usual models, which `asRun` has made what llama.cpp runs. */
export function usualTraits(
  family: Family,
  { scope, widths, addedBias }: Pick<ExportRow, 'scope' | 'widths' | 'addedBias'>,
): ExportTraits {
  return {
    family,
    miscounts: null,
    lacks: null,
    uniform: widths === 'uniform',
    headsFillHidden: !prunesHeads(scope) || family.qkNorm === 'heads',
    freeHeadDim: family.hf.freeHeadDim !== false,
    headsDivideHidden: true,
    biases: flags((name) => usualBias(family, name) || (addedBias && adds(scope, name))),
    llama3Rope: false,
    longrope: false,
    graphLacks: null,
    deciBlocks: true,
    wholeBlocks: true,
    tied: true,
    llamaBlock: hasLlamaBlock(family),
  };
}

function scopesOf({ hf }: Family): ExportRow['scope'][] {
  return hf.keys.experts
    ? ['attention', 'experts', 'expert-channels', 'moe']
    : ['ffn', 'attention', 'all'];
}

function keepsBiases(scope: ExportRow['scope']): boolean {
  return !['ffn', 'attention', 'all'].includes(scope);
}

/** Channels go from every expert alike, where no whole ones go. */
function widthsOf(scope: ExportRow['scope']): ExportRow['widths'][] {
  return scope === 'expert-channels' ? ['uniform'] : ['uniform', 'per-block'];
}

/** isLlamaBlock() of its usual models. */
function hasLlamaBlock(family: Family): boolean {
  const { norm, qkNorm, placement, gated, positionOffset, unturnedEvery, gguf } = family;
  const usual = !placement && !family.queriesGrow && !gguf?.experts;
  const plain = norm === 'rms' && gated && !qkNorm && usual;
  return plain && positionOffset === null && unturnedEvery === undefined && !gguf?.multipliers;
}

function usualBias(family: Family, name: BiasName): boolean {
  const rule = family.biases[name];
  return typeof rule === 'string' ? family.hf.defaults[rule] === true : rule;
}

function prunesHeads(scope: ExportRow['scope']): boolean {
  return scope === 'attention' || scope === 'all';
}

function adds(scope: ExportRow['scope'], name: BiasName): boolean {
  return (name === 'down' && scope !== 'attention') || (name === 'o' && prunesHeads(scope));
}

function flags(value: (name: BiasName) => boolean): Record<BiasName, boolean> {
  return { qkv: value('qkv'), o: value('o'), ffnIn: value('ffnIn'), down: value('down') };
}
