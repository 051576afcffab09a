import { tmpdir } from 'node:os';
import { z } from 'zod';
import type { AllocationFunction } from '../allocation/own';
import { formatFor } from '../checkpoint/output-path';
import type { CallOptions } from '../engine/engine-options';
import { StruPruneError } from '../errors';
import { BASELINES, METHODS } from '../methods';
import { bytes, count, path, settingsFrom } from '../options';
import { Own } from '../own';
import type { OnProgress, OnWarning } from '../progress';
import { ADMM_DEFAULTS } from '../solver/admm';
import type { MaskFunction } from '../solver/own-mask';
import { flagOf } from '../wording';
import type { Target } from './widths';

export const METHOD_NAMES = ['struprune', ...BASELINES] as const;
export const FORMATS = ['hf', 'gguf'] as const;
export const DTYPES = ['f32', 'f16', 'bf16', 'q8_0', 'q5_1', 'q5_0', 'q4_1', 'q4_0'] as const;
export const SCOPES = ['ffn', 'attention', 'all'] as const;
export const ALLOCATIONS = ['uniform', 'threshold', 'energy'] as const;
export const LAYER_WEIGHTS = ['fisher', 'probe', 'residual', 'output', 'none'] as const;
/** What gives ADMM its first mask. */
export const ADMM_STARTS = ['none', 'sweep', 'wanda', 'magnitude'] as const;
export const MASKS = ['sweep', 'admm', 'wanda', 'magnitude'] as const;
/** What the sweep's order is measured in: plain squares, or the Fisher metric of the survey. */
export const SELECTIONS = ['plain', 'fisher'] as const;
export const BIASES = ['keep', 'refit', 'add'] as const;

/** What of an FFN is refitted: its output map alone, or gate and up too. */
export const FFN_SOLVERS = ['output', 'auxiliary', 'gauss-newton'] as const;

const share = z.number().min(0).max(1);

const name = z.string().min(1).optional();
const isFunction = (value: unknown) => typeof value === 'function';
/** Rules of the caller's own. Without a name for the journal a run cannot be resumed. */
const ownAllocation = z
  .strictObject({ name, allocate: z.custom<AllocationFunction>(isFunction, 'not a function') })
  .transform(({ name, allocate }) => new Own(name, allocate));
const ownMask = z
  .strictObject({ name, search: z.custom<MaskFunction>(isFunction, 'not a function') })
  .transform(({ name, search }) => new Own(name, search));

/** Options of StruPrune itself; a baseline says which of them it reads. */
const own = {
  lambda: z.number().min(0).default(0.05),
  alpha: share.optional(),
  beta: share.optional(),
  mask: z.union([z.enum(MASKS), ownMask]).default('sweep'),
  admmStart: z.enum(ADMM_STARTS).default('none'),
  admmRho: z.number().positive().default(ADMM_DEFAULTS.rho),
  admmGrowth: z.number().min(1).default(ADMM_DEFAULTS.rhoGrowth),
  admmTolerance: z.number().positive().default(ADMM_DEFAULTS.tolerance),
  admmIterations: count.default(ADMM_DEFAULTS.maxIterations),
  swaps: z.number().int().min(0).default(0),
  selection: z.enum(SELECTIONS).default('plain'),
  refit: z.boolean().default(true),
  ffnSolver: z.enum(FFN_SOLVERS).optional(),
  auxiliaryIterations: count.default(3),
  gaussNewtonRounds: count.default(2),
  gaussNewtonSteps: count.default(2),
  ffnTokens: count.default(32768),
  sequential: z.boolean().default(true),
  bias: z.enum(BIASES).default('refit'),
  layerWeights: z.enum(LAYER_WEIGHTS).optional(),
  fisherLabels: z.enum(['empirical', 'sampled']).default('empirical'),
  surveyTokens: count.default(16384),
  energyForm: z.enum(['dilute', 'full']).default('dilute'),
  temperature: z.number().positive().optional(),
};

export const OWN_OPTIONS = Object.keys(own) as (keyof typeof own)[];

/** Every setting with its default. */
const schema = z.strictObject({
  output: path,
  calibration: path,
  sparsity: z.number().min(0).lt(1).optional(),
  targetParams: count.optional(),
  targetSize: bytes.positive().optional(),
  method: z.enum(METHOD_NAMES).default('struprune'),
  allocation: z.union([z.enum(ALLOCATIONS), ownAllocation]).optional(),
  scope: z.enum(SCOPES).optional(),
  apart: z.boolean().default(false),
  calibrationTokens: count.default(65536),
  // after the calibration tokens; 0: none, and nothing is tuned
  tuneTokens: z.number().int().min(0).default(0),
  window: count.optional(),
  eval: path.optional(),
  evalTokens: count.optional(),
  evalWindow: count.optional(),
  format: z.enum(FORMATS).optional(),
  dtype: z.enum(DTYPES).optional(),
  seed: z.number().int().min(0).default(0),
  force: z.boolean().default(false),
  resume: z.boolean().default(false),
  saveCalibration: path.optional(),
  fromCalibration: path.optional(),
  multiple: count.optional(),
  maxLayerSparsity: share.default(0.9),
  maxShardBytes: bytes.positive().optional(),
  scratch: path.default(tmpdir()),
  // 40 greedy tokens before and after
  samples: z.boolean().default(false),
  ...own,
});

/** Every option but engine and callbacks. */
export const SETTING_KEYS = Object.keys(schema.shape);

/** What the allocation of a survey takes. */
export const allocationSchema = schema.pick({
  sparsity: true,
  targetParams: true,
  targetSize: true,
  allocation: true,
  apart: true,
  energyForm: true,
  temperature: true,
});

/** What a survey takes. */
export const surveySchema = schema.pick({
  calibration: true,
  calibrationTokens: true,
  surveyTokens: true,
  window: true,
  method: true,
  scope: true,
  format: true,
  dtype: true,
  multiple: true,
  maxLayerSparsity: true,
  lambda: true,
  selection: true,
  layerWeights: true,
  fisherLabels: true,
  // Decides what a quantised source's gate and up are stored as.
  ffnSolver: true,
  seed: true,
  scratch: true,
  saveCalibration: true,
  force: true,
});

/** What prune() takes; docs/cli.md says the same of the flags. Sizes in weights, bytes or tokens. */
export type PruneOptions = z.input<typeof schema> &
  CallOptions & { onProgress?: OnProgress; onWarning?: OnWarning };
export type Settings = z.output<typeof schema> & {
  format: (typeof FORMATS)[number];
  allocation: (typeof ALLOCATIONS)[number] | Own<AllocationFunction>;
  scope: (typeof SCOPES)[number];
  layerWeights: (typeof LAYER_WEIGHTS)[number];
};

/** Shares of the error so far and of the dense output in a block's target. */
export interface Feedback {
  alpha: number;
  beta: number;
}

/** Whether blocks are asked to undo anything of what the pruning before them did. */
export function feeds({ alpha, beta }: Feedback): boolean {
  return alpha !== 0 || beta !== 0;
}

/** Settings of a run whose model is known. */
export type RunSettings = Settings & Feedback & { ffnSolver: (typeof FFN_SOLVERS)[number] };

/** Whether gate and up are refitted where nothing is said of it: docs/decisions/0015. */
export function refitsByDefault({
  method,
  refit,
  scope,
}: Pick<Settings, 'method' | 'refit' | 'scope'>): boolean {
  return method === 'struprune' && refit && scope !== 'attention';
}

/** Checks the options and fills the defaults in. Throws ERR_ARGUMENT naming the option. */
export function settingsOf(options: PruneOptions): Settings {
  const given = settingsFrom(schema, options);
  // What only the Fisher metric has asks for it; else docs/decisions/0007.
  const fisher = given.selection === 'fisher' || given.fisherLabels === 'sampled';
  const allocation = given.allocation ?? METHODS.get(given.method)?.allocations[0] ?? 'threshold';
  const settings = {
    ...given,
    format: formatFor(given.output, given.format),
    allocation,
    // docs/decisions/0014. A share that all layers give up alike is too fine for a few KV heads.
    scope: given.scope ?? (allocation === 'uniform' ? 'ffn' : 'all'),
    layerWeights: given.layerWeights ?? (fisher ? 'fisher' : 'probe'),
  } as const;
  requireOneTarget(settings);
  requireNames(settings);
  return settings;
}

const ONE_TARGET = 'one of --sparsity, --target-params and --target-size';

/** @throws StruPruneError ERR_ARGUMENT */
export function requireOneTarget(settings: Target): void {
  const targets = ['sparsity', 'targetParams', 'targetSize'] as const;
  const given = targets.filter((key) => settings[key] !== undefined).map(flagOf);
  if (given.length !== 1) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      given.length ? `${given.join(' and ')} exclude each other` : 'nothing says how much to prune',
      `give ${ONE_TARGET}`,
    );
  }
}

/** Nothing else tells a journal which function of the caller's it was made with. */
function requireNames({ resume, allocation, mask }: Settings): void {
  if (!resume) return;
  for (const [key, rule] of Object.entries({ allocation, mask })) {
    if (!(rule instanceof Own) || rule.name !== undefined) continue;
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `--resume needs a name for the own ${key}, to know whether the journal was made with it`,
      `give ${key}: { name: 'mine 1', … }`,
    );
  }
}
