/**
 * A block as data: sublayers that run one after the other, each of which adds to the stream of hidden states what its
 * output map makes of its mixer: h ← streamNorm(h + outNorm(out(mixer(norm(h))))), or mixer(norm(x)) of the block's input x
 * where sublayers read that side by side. The native side runs this description
 * (native/model/sublayer.h), shapes and coupled groups follow from the axes of its tensors.
 */

/** How the query and key vectors carry their position. */
export interface Rope {
  /** Base of the geometric series of frequencies. */
  theta: number;
  /** Llama 3's frequency-dependent stretch, as transformers' `rope_type: "llama3"`. */
  llama3?: {
    factor: number;
    lowFreqFactor: number;
    highFreqFactor: number;
    originalMaxPositions: number;
  };
  /** Linear stretch: positions divided by this factor. */
  linearFactor?: number;
  /**
   * As transformers' `rope_type: "dynamic"`: stretches windows that are longer than the model's positions, and there are
   * none. So it is only written again.
   */
  dynamicFactor?: number;
  /**
   * As `rope_type: "yarn"` (arXiv 2309.00071): frequencies that turn less than `betaSlow` times over the original
   * positions are divided by `factor`, those that turn more than `betaFast` times stay. What turns is scaled by
   * `attentionFactor`.
   */
  yarn?: {
    factor: number;
    originalMaxPositions: number;
    betaFast: number;
    betaSlow: number;
    /** The ramp between them begins and ends at whole pairs. */
    truncate: boolean;
    attentionFactor: number;
    /** Queries are times 1 + this · ln(1 + ⌊position ÷ originalMaxPositions⌋): here only written again, of windows that begin to end within those. */
    growth?: number;
  };
  /** Leading entries of a head that turn; all where left out. */
  dims?: number;
  /**
   * A divisor of every frequency, as transformers' `rope_type: "longrope"`: the long ones in windows longer than
   * `originalMaxPositions`. What turns is scaled by `attentionFactor`.
   */
  longrope?: {
    short: number[];
    long: number[];
    originalMaxPositions: number;
    attentionFactor: number;
  };
}

/** By transformers' names; `gelu_pytorch_tanh` is GELU by its tanh approximation. */
export type Activation = 'silu' | 'relu' | 'gelu' | 'gelu_pytorch_tanh';

export interface NormSpec {
  kind: 'rms' | 'layer';
  eps: number;
}

export interface AttentionSpec {
  kind: 'attention';
  kvHeads: number;
  /** Query heads a KV head. */
  queries: number;
  headDim: number;
  rope: Rope | null;
  /** Tokens that a query may look back on, itself included; 0 = all. */
  slidingWindow: number;
  /** Over the entries of every query and key head, before rope. */
  headNorm: NormSpec | null;
  /** `headNorm` runs over all query heads of a token at once, and over all key heads: none can go without the others. */
  normJoinsHeads: boolean;
  /** Of scores; null: 1/√headDim. */
  scale: number | null;
  /** Scaled scores s become cap · tanh(s ÷ cap); null: they stay. */
  cap: number | null;
  /** A logit of each query head joins the sum of its softmax, as that of a key whose value is 0. */
  sinks: boolean;
  /** What a query head gives is times the sigmoid of as many gates, rows of its map behind the head's own. */
  gated: boolean;
}

/** gpt-oss's SwiGLU of gate and up: g σ(alpha g) (u + 1) with g = min(gate, limit), u = up within ±limit. */
export interface ClampedGate {
  limit: number;
  alpha: number;
}

export interface FeedForwardSpec {
  kind: 'ffn';
  width: number;
  activation: Activation;
  gated: boolean;
  /** In place of the activation; of experts alone. */
  clamp: ClampedGate | null;
}

/**
 * FFNs of which a token passes some: those to which the router gives the largest probabilities, a softmax over all of them or the
 * sigmoid of each. What they give is added up, each times its probability.
 */
export interface ExpertsSpec {
  kind: 'experts';
  count: number;
  /** Experts that a token passes. */
  topK: number;
  /** The probabilities of these are divided by their sum: the softmax over them alone. */
  renormalised: boolean;
  routerBias: boolean;
  sigmoid: boolean;
  /** Sigmoids are compared with a bias of each expert, which does nothing else. */
  choiceBias: boolean;
  /** Each of them. */
  expert: FeedForwardSpec;
  /** One more that all tokens pass. */
  shared: FeedForwardSpec | null;
  /** It is times the sigmoid of a map of its own. */
  sharedGated: boolean;
}

/**
 * A convolution of the last tokens, each channel by itself, gated on both sides: of b, c and x, thirds of one map of what it
 * reads, it gives c · (b · x convolved) to its output map (LFM2's short convolution). All of its channels stay or go together.
 */
export interface ConvolutionSpec {
  kind: 'convolution';
  /** Channels. */
  width: number;
  /** Tokens that a channel looks back on, itself included. */
  kernel: number;
}

/**
 * The gated delta rule of Qwen3-Next and Qwen3.5 (native/ops/delta_rule.h), with a convolution of queries, keys and values in front,
 * a norm behind, and gates. All of its heads stay or go together.
 */
export interface DeltaSpec {
  kind: 'delta';
  keyHeads: number;
  /** Neighbours share a key head, or those that are as many apart as there are key heads (`tiled`: llama.cpp's order). */
  valueHeads: number;
  tiled: boolean;
  keyDim: number;
  valueDim: number;
  /** Tokens that the convolution looks back on, itself included. */
  kernel: number;
  /** Of the norm. */
  eps: number;
}

/** Names the axis of a sublayer that can shrink, such as KV heads with their query heads, or channels: `sitesOf` has a block's. */
export type Site = string;

export interface Sublayer {
  /** Its site, and the first part of its tensors' names. */
  name: Site;
  mixer: AttentionSpec | FeedForwardSpec | ExpertsSpec | ConvolutionSpec | DeltaSpec;
  /** Of what the mixer reads. */
  norm: NormSpec | null;
  /** Of the stream after the addition. */
  streamNorm: NormSpec | null;
  /** Of what the output map gives, before the addition. */
  outNorm: NormSpec | null;
  /** Of the maps that read the stream, and of the output map. */
  biases: { in: boolean; out: boolean };
  /**
   * Where sublayers of a block read its input side by side: the first keeps it as it adds to the stream, the others read what
   * was kept, or the stream where nothing was added yet. null: each reads the stream.
   */
  input: 'kept' | 'read' | null;
}

/** What a tensor of a sublayer is to it, in the order of files. Matrices are `[out, in]`, vectors `[n]`. */
export const PARTS = [
  'norm',
  'normBias',
  'streamNorm',
  'streamNormBias',
  'q',
  'qBias',
  'k',
  'kBias',
  'v',
  'vBias',
  'qNorm',
  'kNorm',
  'sinks',
  'in',
  'inBias',
  'kernel',
  'kernelBias',
  'outGate',
  'beta',
  'alpha',
  'decay',
  'step',
  'gain',
  'router',
  'routerBias',
  'choiceBias',
  'sharedGate',
  'gate',
  'gateBias',
  'up',
  'upBias',
  'out',
  'outBias',
  'outNorm',
  'outNormBias',
] as const;
export type Part = (typeof PARTS)[number];

/** The name of a block's tensor, such as `attention.q`, or `experts.3.up` and `experts.shared.up`. */
export type BlockRole = `${Site}.${Part}`;

/** That of a tensor. */
export function siteOf(role: string): Site {
  return role.slice(0, role.indexOf('.'));
}

/** Whether a tensor, in a block or outside, is the weight of a norm. */
export function isNorm(role: string): boolean {
  return /\.norm$|Norm$/.test(role);
}

/** Whether a matrix decides where tokens go: it is small, and few bits would send them elsewhere. */
export function routes(role: string): boolean {
  return /\.(router|sharedGate)$/.test(role);
}

/** What an axis of a tensor runs over: `per` entries for each unit of a site or, of no site, so many entries. */
export interface Axis {
  site: Site | null;
  per: number;
}

/** A tensor of a block with its axes, slowest first. */
export interface BlockTensor {
  role: BlockRole;
  axes: readonly Axis[];
  /** The site and the unit that it goes with as a whole: an expert's. */
  unit?: { site: Site; index: number };
  /** A file has a row of so many entries for each channel. */
  kernel?: number;
}

/** Units of a sublayer's site: KV heads, all of them together where they share a norm; channels; experts; another mixer as a whole. */
export function unitsOf({ mixer }: Sublayer): number {
  if (mixer.kind === 'ffn') return mixer.width;
  if (mixer.kind === 'experts') return mixer.count;
  if (mixer.kind === 'convolution' || mixer.kind === 'delta') return 1;
  return mixer.kvHeads === 0 ? 0 : mixer.kvHeads / headsPerUnit(mixer);
}

/** KV heads of a unit. */
export function headsPerUnit({ normJoinsHeads, kvHeads }: AttentionSpec): number {
  return normJoinsHeads ? kvHeads : 1;
}

/** Columns of the output map for each unit; experts have one number each in its place. */
export function columnsPerUnit({ mixer }: Sublayer): number {
  if (mixer.kind === 'convolution') return mixer.width;
  if (mixer.kind === 'delta') return mixer.valueHeads * mixer.valueDim;
  return mixer.kind === 'attention' ? headsPerUnit(mixer) * mixer.queries * mixer.headDim : 1;
}

/** Every tensor of a sublayer, in the order of files. */
export function tensorsOf(sublayer: Sublayer, hidden: number): BlockTensor[] {
  const { name, mixer, norm, streamNorm, outNorm, biases } = sublayer;
  const stream: Axis = { site: null, per: hidden };
  const units = (per: number): Axis => ({ site: name, per });
  const axes: Partial<Record<Part, Axis[]>> = {
    ...normAxes('norm', norm, stream),
    ...(mixer.kind !== 'experts' && {
      out: [stream, units(columnsPerUnit(sublayer))],
      ...(biases.out && { outBias: [stream] }),
    }),
    ...normAxes('streamNorm', streamNorm, stream),
    ...normAxes('outNorm', outNorm, stream),
  };
  const reads = (part: 'q' | 'k' | 'v' | 'in' | 'gate' | 'up', per: number) => {
    axes[part] = [units(per), stream];
    if (biases.in) axes[`${part}Bias`] = [units(per)];
  };
  if (mixer.kind === 'attention') {
    const { headDim, queries, headNorm, normJoinsHeads, sinks, gated } = mixer;
    const keys = headsPerUnit(mixer) * headDim;
    reads('q', (gated ? 2 : 1) * queries * keys);
    reads('k', keys);
    reads('v', keys);
    if (sinks) axes.sinks = [units(headsPerUnit(mixer) * queries)];
    const normed = (per: number): Axis =>
      normJoinsHeads ? units(per) : { site: null, per: headDim };
    Object.assign(
      axes,
      normAxes('qNorm', headNorm, normed(queries * keys)),
      normAxes('kNorm', headNorm, normed(keys)),
    );
  } else if (mixer.kind === 'ffn') {
    if (mixer.gated) reads('gate', 1);
    reads('up', 1);
  } else if (mixer.kind === 'convolution') {
    reads('in', 3 * mixer.width);
    axes.kernel = [units(mixer.width * mixer.kernel)];
    if (biases.in) axes.kernelBias = [units(mixer.width)];
  } else if (mixer.kind === 'delta') {
    Object.assign(axes, deltaAxes(mixer, units, stream));
  } else {
    axes.router = [units(1), stream];
    if (mixer.routerBias) axes.routerBias = [units(1)];
    if (mixer.choiceBias) axes.choiceBias = [units(1)];
    if (mixer.shared && mixer.sharedGated) axes.sharedGate = [{ site: null, per: 1 }, stream];
  }
  const own = PARTS.flatMap((part) => {
    const found = axes[part];
    const kernel = part === 'kernel' && 'kernel' in mixer && { kernel: mixer.kernel };
    return found ? [{ role: `${name}.${part}` as const, axes: found, ...kernel }] : [];
  });
  return mixer.kind === 'experts' ? [...own, ...expertTensors(sublayer, hidden)] : own;
}

/** Maps without biases; the norm of a head is the same for all of them. */
function deltaAxes(
  { keyHeads, valueHeads, keyDim, valueDim, kernel }: DeltaSpec,
  units: (per: number) => Axis,
  stream: Axis,
): Partial<Record<Part, Axis[]>> {
  const [keys, values] = [keyHeads * keyDim, valueHeads * valueDim];
  return {
    q: [units(keys), stream],
    k: [units(keys), stream],
    v: [units(values), stream],
    outGate: [units(values), stream],
    beta: [units(valueHeads), stream],
    alpha: [units(valueHeads), stream],
    kernel: [units((2 * keys + values) * kernel)],
    decay: [units(valueHeads)],
    step: [units(valueHeads)],
    gain: [{ site: null, per: valueDim }],
  };
}

/** The FFNs that run inside one of experts, without norms, each with its own site: those that tokens are routed to. */
export function insideOf({ name: site, mixer, biases }: Sublayer): Sublayer[] {
  if (mixer.kind !== 'experts') return [];
  return Array.from({ length: mixer.count }, (_, index) =>
    insideAs(`${site}.${index}`, mixer.expert, biases),
  );
}

function insideAs(name: Site, mixer: FeedForwardSpec, biases: Sublayer['biases']): Sublayer {
  return { name, mixer, norm: null, streamNorm: null, outNorm: null, biases, input: null };
}

/** The site in whose place one runs: `experts` of `experts.3`, which runs inside it; else its own. */
export function outerSite(site: Site): Site {
  return site.split('.')[0]!;
}

/** Place of an expert among those of its sublayer, by its site; null: the site is none's. */
export function expertAt(site: Site): number | null {
  const found = /^experts\.(\d+)$/.exec(site);
  return found && Number(found[1]);
}

/** Those of the FFNs inside. The shared one's width stays. */
function expertTensors(sublayer: Sublayer, hidden: number): BlockTensor[] {
  const { name: site, mixer, biases } = sublayer;
  const { shared } = mixer as ExpertsSpec;
  const routed = insideOf(sublayer).flatMap((inside, index) =>
    tensorsOf(inside, hidden).map((tensor) => ({ ...tensor, unit: { site, index } })),
  );
  if (!shared) return routed;
  const fixed = ({ site: along, per }: Axis): Axis => ({
    site: null,
    per: along === null ? per : per * shared.width,
  });
  const whole = tensorsOf(insideAs(`${site}.shared`, shared, biases), hidden);
  return [...routed, ...whole.map((tensor) => ({ ...tensor, axes: tensor.axes.map(fixed) }))];
}

function normAxes(
  part: 'norm' | 'streamNorm' | 'outNorm' | 'qNorm' | 'kNorm',
  norm: NormSpec | null,
  axis: Axis,
): Partial<Record<Part, Axis[]>> {
  if (norm === null) return {};
  const biased = norm.kind === 'layer' && part !== 'qNorm' && part !== 'kNorm';
  return { [part]: [axis], ...(biased && { [`${part}Bias`]: [axis] }) };
}
