/** The methods that `bench quality` knows, as data: a row is a name and options of prune(). */
import { closest } from '../closest';
import { StruPruneError } from '../errors';
import { methodOf } from '../methods';
import type { PruneOptions } from '../options';
import { CALIBRATES } from '../options/calibration';
import { cutsExperts } from '../options/method';
import { tunedByDefault } from '../options/refit';

/** What the benchmark gives every row. */
const SHARED = [
  'output',
  'calibration',
  'sparsity',
  'eval',
  'signal',
  'onProgress',
  'onWarning',
] as const satisfies readonly (keyof PruneOptions)[];

/** What an entry may set. */
export type MethodOptions = Omit<Partial<PruneOptions>, (typeof SHARED)[number]>;

export interface MethodEntry {
  /** As in `--methods`. */
  id: string;
  label: string;
  kind: 'baseline' | 'struprune' | 'ablation';
  /** Of an ablation, of StruPrune's other allocations, and of a tuned method: the entry that it changes. */
  base: string | null;
  about: string;
  options: MethodOptions;
}

/** A row of the caller's own. */
export interface OwnMethod {
  /** Other than those of the table: it names the row, and its model where models are kept. */
  id: string;
  label: string;
  /** Where it was published. */
  about?: string;
  /** What prune() is to do in it; rules and searches of the caller's need their names, by which finished rows are known. */
  options: MethodOptions;
}

const BASE = 'struprune-threshold';

/** Of a tuned row, behind those that calibrate. */
const TUNE_TOKENS = 65536;

function baseline(
  method: NonNullable<PruneOptions['method']>,
  label: string,
  more: Partial<MethodEntry> = {},
): MethodEntry {
  return {
    id: method,
    label,
    kind: 'baseline',
    base: null,
    about: more.about ?? methodOf(method).source,
    ...more,
    options: { method, ...more.options },
  };
}

function struprune(
  allocation: 'uniform' | 'threshold' | 'energy',
  base: string | null,
  about: string,
): MethodEntry {
  return {
    id: `struprune-${allocation}`,
    label: `StruPrune, ${allocation}`,
    kind: 'struprune',
    base,
    about,
    options: { allocation },
  };
}

/** StruPrune's defaults with one thing changed; `uniform` is the ablation of the allocation. */
function ablation(
  id: string,
  label: string,
  about: string,
  options: MethodOptions,
  base?: string,
): MethodEntry {
  const { allocation = 'threshold' } = options;
  return {
    id,
    label,
    kind: 'ablation',
    base: base ?? `struprune-${allocation}`,
    about,
    options: { allocation, ...options },
  };
}

/** A method whose result is tuned: so that none wins by that alone, several are. */
function tuned(entry: MethodEntry): MethodEntry {
  return {
    ...entry,
    id: `${entry.id}-tuned`,
    label: `${entry.label}, tuned`,
    base: entry.id,
    about: 'what it leaves, tuned on text behind the calibration tokens',
    options: { ...entry.options, tuneTokens: TUNE_TOKENS },
  };
}

/** What tunes by default is told not to: every row but those of `tuned` is of the solve alone. */
function untuned(entry: MethodEntry): MethodEntry {
  const { effort = 'balanced', method = 'struprune', refit = true } = entry.options;
  if (tunedByDefault({ effort, method, refit }) === 0) return entry;
  return { ...entry, options: { ...entry.options, tuneTokens: 0 } };
}

const UNTUNED: readonly MethodEntry[] = [
  baseline('magnitude-l2', 'magnitude'),
  baseline('wanda-sp', 'Wanda-sp'),
  baseline('flap', 'FLAP', { options: { allocation: 'threshold' } }),
  baseline('flap', 'FLAP, uniform', { id: 'flap-uniform' }),
  baseline('unipruning', "UniPruning's score"),
  baseline('fasp', 'FASP-style'),
  baseline('osscar', 'OSSCAR-style greedy'),
  baseline('tyr-local', 'Týr, local stage'),
  baseline('gisp', 'GISP-style'),
  baseline('struprune', 'SparseLLM-style', {
    id: 'sparsellm',
    about: 'auxiliary variables in the manner of arXiv 2402.17946, the same share everywhere',
    options: { allocation: 'uniform', alpha: 0, beta: 0, ffnSolver: 'auxiliary' },
  }),
  struprune('uniform', 'scope-ffn', 'the defaults with the same share everywhere'),
  struprune(
    'threshold',
    null,
    'the defaults, untuned: closed-form threshold on error curves, weighed by a trial of every layer',
  ),
  struprune('energy', BASE, 'softmax allocation on the same curves'),
  ablation(
    'without-sequential',
    'dense inputs',
    'every block solved on dense inputs, and so without feedback',
    {
      sequential: false,
    },
  ),
  ablation('without-refit', 'no refit', 'kept weights stay as they are, and so without feedback', {
    refit: false,
    // Whatever a benchmark asks of the others.
    ffnSolver: 'output',
  }),
  ablation('without-ridge', 'no ridge', 'λ = 0', { lambda: 0 }),
  ablation('without-weights', 'unweighted errors', 'raw errors decide the allocation', {
    layerWeights: 'none',
  }),
  ablation(
    'with-search',
    'searched for',
    'prices are measured again with all layers pruned at once',
    {
      searchRounds: 4,
    },
  ),
  ablation('with-depth', 'whole sublayers too', 'attention or FFN of a block may go as a whole', {
    depth: true,
  }),
  ablation('weights-fisher', 'Fisher metric', 'errors in the Fisher metric, no trials', {
    layerWeights: 'fisher',
  }),
  ablation('weights-output', 'errors ÷ output', 'layer weights 1 ÷ ‖Y‖²', {
    layerWeights: 'output',
  }),
  ablation('weights-residual', 'errors ÷ stream', 'layer weights 1 ÷ ‖h‖²', {
    layerWeights: 'residual',
  }),
  ablation('solver-output', 'output map alone', 'gate and up stay as they are', {
    ffnSolver: 'output',
  }),
  ablation(
    'solver-auxiliary',
    'auxiliary variables',
    'gate and up are refitted by auxiliary variables, as SparseLLM does',
    { ffnSolver: 'auxiliary' },
  ),
  ablation(
    'labels-sampled',
    'sampled labels',
    'Fisher metric on labels drawn from the model',
    { layerWeights: 'fisher', fisherLabels: 'sampled' },
    'weights-fisher',
  ),
  ablation(
    'selection-fisher',
    'Fisher order',
    'the sweep orders removals by the Fisher metric, which also weighs errors',
    { layerWeights: 'fisher', selection: 'fisher' },
    'weights-fisher',
  ),
  ablation('mask-admm', 'ADMM mask', 'mask by ADMM instead of the sweep', { mask: 'admm' }),
  ablation('mask-gumbel', 'drawn mask', 'the best of 16 drawn masks instead of the sweep', {
    mask: 'gumbel',
  }),
  ablation('mask-wanda', 'Wanda mask', 'one-shot mask instead of the sweep, refitted', {
    mask: 'wanda-l2',
  }),
  ablation('with-swaps', 'with swaps', 'up to 64 exchanges after every mask', { swaps: 64 }),
  ablation('without-feedback', 'no error feedback', 'α = β = 0: a block keeps its own map', {
    alpha: 0,
    beta: 0,
  }),
  ablation('full-feedback', 'full feedback', 'α = β = 1: asks for the dense stream', {
    alpha: 1,
    beta: 1,
  }),
  ablation('energy-full', 'energy, full form', 'the logistic form of the energy rule', {
    allocation: 'energy',
    energyForm: 'full',
  }),
  ablation('scope-ffn', 'FFN alone', 'no KV heads go', { scope: 'ffn' }),
].map(untuned);

/** Of models that have experts. */
const OF_EXPERTS: readonly MethodEntry[] = [
  baseline('reap', 'REAP', { options: { scope: 'experts' } }),
  {
    id: 'struprune-experts',
    label: 'StruPrune, experts',
    kind: 'struprune',
    base: null,
    about:
      'whole experts, chosen by the exact error of what their layer gives without them; the others are refitted',
    options: { scope: 'experts' },
  },
  {
    id: 'experts-without-refit',
    label: 'StruPrune, experts, no refit',
    kind: 'ablation',
    base: 'struprune-experts',
    about: 'experts that stay are as they were',
    options: { scope: 'experts', refit: false },
  },
  insideExperts('magnitude-l2', 'magnitude-l2, channels of experts'),
  insideExperts('wanda-sp', 'Wanda-sp, channels of experts'),
  {
    id: 'struprune-expert-channels',
    label: 'StruPrune, channels of experts',
    kind: 'struprune',
    base: null,
    about:
      'as many channels of every expert, each swept and refitted on the tokens that are routed to it',
    options: { scope: 'expert-channels' },
  },
  {
    id: 'expert-channels-without-refit',
    label: 'StruPrune, channels of experts, no refit',
    kind: 'ablation',
    base: 'struprune-expert-channels',
    about: 'channels that stay are as they were',
    options: { scope: 'expert-channels', refit: false },
  },
  {
    id: 'struprune-moe',
    label: 'StruPrune, experts and channels',
    kind: 'struprune',
    base: null,
    about:
      'whole experts, and channels of those that stay: the pair with the least error by a survey of both',
    options: { scope: 'moe' },
  },
  {
    id: 'struprune-moe-threshold',
    label: 'StruPrune, experts and channels, a pair a block',
    kind: 'ablation',
    base: 'struprune-moe',
    about: 'of every block so many as trials say, in our own modeling code',
    options: { scope: 'moe', allocation: 'threshold' },
  },
];

const TUNED = ['wanda-sp', 'flap', 'osscar', 'sparsellm', BASE];

/** The words of `--effort` whole; `balanced` is what tunes by default. */
const OF_EFFORT: readonly MethodEntry[] = [
  {
    id: 'effort-quick',
    label: 'StruPrune, --effort quick',
    kind: 'struprune',
    base: null,
    about: 'a quarter of the tokens, output maps alone',
    options: { effort: 'quick', calibrationTokens: CALIBRATES.quick, tuneTokens: CALIBRATES.quick },
  },
  {
    id: 'effort-best',
    label: 'StruPrune, --effort best',
    kind: 'struprune',
    base: null,
    about: 'tuned on twice as much text',
    options: { effort: 'best', tuneTokens: 2 * TUNE_TOKENS },
  },
];

export const METHOD_ENTRIES: readonly MethodEntry[] = [
  ...UNTUNED,
  ...UNTUNED.filter(({ id }) => TUNED.includes(id)).map(tuned),
  ...OF_EFFORT,
  ...OF_EXPERTS,
];

/** Names that stand for several. */
const GROUPS: Readonly<Record<string, (entry: MethodEntry) => boolean>> = {
  all: (entry) => !isOfExperts(entry) && !isOfEffort(entry),
  baselines: (entry) => entry.kind === 'baseline' && isPlain(entry),
  struprune: (entry) => entry.kind === 'struprune' && isPlain(entry),
  experts: isOfExperts,
  tuned: (entry) => isTuned(entry) && !isOfEffort(entry),
  efforts: (entry) => isOfEffort(entry) || entry.id === `${BASE}-tuned`,
  ablations: (entry) => (entry.kind === 'ablation' && !isOfExperts(entry)) || entry.id === BASE,
};

function insideExperts(method: 'magnitude-l2' | 'wanda-sp', label: string): MethodEntry {
  const id = `${method}-expert-channels`;
  return baseline(method, label, { id, options: { scope: 'expert-channels' } });
}

function isOfExperts({ options: { scope } }: MethodEntry): boolean {
  return cutsExperts(scope);
}

function isOfEffort({ options: { effort } }: MethodEntry): boolean {
  return effort !== undefined;
}

/** Of dense models, as it is solved, with the effort of all. */
function isPlain(entry: MethodEntry): boolean {
  return !isTuned(entry) && !isOfExperts(entry) && !isOfEffort(entry);
}

function isTuned({ options: { tuneTokens = 0 } }: MethodEntry): boolean {
  return tuneTokens > 0;
}

export const METHOD_WORDS: readonly string[] = [
  ...Object.keys(GROUPS),
  ...METHOD_ENTRIES.map(({ id }) => id),
];

/**
 * The entries of some names and names of groups, in the table's order, and behind them those of the caller's own.
 * @throws StruPruneError ERR_ARGUMENT
 */
export function methodEntries(methods: readonly (string | OwnMethod)[]): MethodEntry[] {
  const wanted = new Set<MethodEntry>();
  const own = new Map<string, MethodEntry>();
  for (const name of methods) {
    if (typeof name !== 'string') {
      own.set(name.id, ownEntry(name, own));
      continue;
    }
    const group = Object.hasOwn(GROUPS, name) ? GROUPS[name]! : null;
    const found = METHOD_ENTRIES.filter((entry) => (group ? group(entry) : entry.id === name));
    if (found.length === 0) {
      const meant = closest(name, METHOD_WORDS);
      throw new StruPruneError(
        'ERR_ARGUMENT',
        `bench has no method '${name}'`,
        meant ? `did you mean ${meant}?` : `choose from ${METHOD_WORDS.join(', ')}`,
      );
    }
    for (const entry of found) wanted.add(entry);
  }
  return [...METHOD_ENTRIES.filter((entry) => wanted.has(entry)), ...own.values()];
}

function ownEntry(
  { id, label, about = "a method of the caller's own", options }: OwnMethod,
  others: ReadonlyMap<string, MethodEntry>,
): MethodEntry {
  const refuse = (found: string, mend: string) =>
    new StruPruneError('ERR_ARGUMENT', `the own method '${id}' ${found}`, mend);
  if (METHOD_WORDS.includes(id) || others.has(id)) {
    throw refuse('has an id that is taken', 'give it another');
  }
  const shared = SHARED.filter((key) => key in options);
  if (shared.length > 0) {
    throw refuse(`sets ${shared.join(', ')}, which all rows share`, 'leave it out of its options');
  }
  const nameless = Object.entries(options).find(([, value]) => isOwn(value) && !value.name);
  if (nameless) {
    throw refuse(`has a ${nameless[0]} without a name`, "give it one: { name: 'mine 1', … }");
  }
  return { id, label, kind: 'baseline', base: null, about, options };
}

/** A rule or search of the caller's, in its object. */
function isOwn(value: unknown): value is { name?: string } {
  return typeof value === 'object' && value !== null;
}

/** An entry as a document has it: functions of the caller's by their names. */
export function inDocument({ options, ...entry }: MethodEntry) {
  const shown = Object.entries(options).map(([key, value]) => [
    key,
    isOwn(value) ? `own "${value.name}"` : value,
  ]);
  return { ...entry, options: Object.fromEntries(shown) as Record<string, unknown> };
}
