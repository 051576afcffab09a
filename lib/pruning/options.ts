import { tmpdir } from 'node:os';
import { z } from 'zod';
import type { EngineOptions } from '../engine/engine';
import { StruPruneError } from '../errors';
import { METHODS } from '../methods';
import type { OnProgress, OnWarning } from '../progress';

export const METHOD_NAMES = ['struprune', ...METHODS.keys()] as [string, ...string[]];
export const FORMATS = ['hf', 'gguf'] as const;
export const DTYPES = ['f32', 'f16', 'bf16', 'q8_0'] as const;
export const SCOPES = ['ffn', 'attention', 'all'] as const;
export const ALLOCATIONS = ['uniform', 'threshold', 'energy'] as const;
export const LAYER_WEIGHTS = ['fisher', 'probe', 'residual', 'output', 'none'] as const;
export const MASKS = ['sweep', 'admm', 'wanda', 'magnitude'] as const;
/** What the sweep's order is measured in: plain squares, or the Fisher metric of the survey. */
export const SELECTIONS = ['plain', 'fisher'] as const;
export const BIASES = ['keep', 'refit', 'add'] as const;

const share = z.number().min(0).max(1);
const count = z.number().int().positive();

/** Every option but engine, callbacks and paths' existence, with its default. */
const schema = z.strictObject({
  output: z.string().min(1),
  calibration: z.string().min(1),
  sparsity: z.number().min(0).lt(1).optional(),
  targetParams: count.optional(),
  targetSize: count.optional(),
  method: z.enum(METHOD_NAMES).default('struprune'),
  allocation: z.enum(ALLOCATIONS).optional(),
  scope: z.enum(SCOPES).default('ffn'),
  apart: z.boolean().default(false),
  calibrationTokens: count.default(65536),
  window: count.optional(),
  eval: z.string().min(1).optional(),
  evalTokens: count.optional(),
  evalWindow: count.optional(),
  format: z.enum(FORMATS).default('hf'),
  dtype: z.enum(DTYPES).optional(),
  seed: z.number().int().min(0).default(0),
  force: z.boolean().default(false),
  resume: z.boolean().default(false),
  saveCalibration: z.string().min(1).optional(),
  fromCalibration: z.string().min(1).optional(),
  multiple: count.optional(),
  maxLayerSparsity: share.default(0.9),
  maxShardBytes: count.optional(),
  scratch: z.string().default(tmpdir()),
  // StruPrune itself
  lambda: z.number().min(0).default(0.05),
  alpha: share.default(0),
  beta: share.default(0),
  mask: z.enum(MASKS).default('sweep'),
  swaps: z.number().int().min(0).default(0),
  selection: z.enum(SELECTIONS).default('plain'),
  refit: z.boolean().default(true),
  sequential: z.boolean().default(true),
  bias: z.enum(BIASES).default('refit'),
  layerWeights: z.enum(LAYER_WEIGHTS).default('fisher'),
  fisherLabels: z.enum(['empirical', 'sampled']).default('empirical'),
  surveyTokens: count.default(16384),
  energyForm: z.enum(['dilute', 'full']).default('dilute'),
  temperature: z.number().positive().optional(),
  // 40 greedy tokens before and after
  samples: z.boolean().default(false),
});

/** What prune() takes; docs/cli.md says the same of the flags. Sizes in weights, bytes or tokens. */
export type PruneOptions = z.input<typeof schema> &
  EngineOptions & { onProgress?: OnProgress; onWarning?: OnWarning };
export type Settings = z.output<typeof schema>;

const ENGINE_KEYS = ['threads', 'memory', 'bf16', 'signal', 'onProgress', 'onWarning'];

/** Checks the options and fills the defaults in. Throws ERR_ARGUMENT naming the option. */
export function settingsOf(options: PruneOptions): Settings {
  const own = Object.fromEntries(
    Object.entries(options).filter(
      ([key, value]) => !ENGINE_KEYS.includes(key) && value !== undefined,
    ),
  );
  const parsed = schema.safeParse(own);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!;
    throw new StruPruneError('ERR_ARGUMENT', `option ${path.join('.') || 'unknown'}: ${message}`);
  }
  const targets = ['sparsity', 'targetParams', 'targetSize'] as const;
  const given = targets.filter((key) => parsed.data[key] !== undefined);
  if (given.length !== 1) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      given.length ? `${given.join(' and ')} exclude each other` : 'nothing says how much to prune',
      'give one of sparsity, targetParams and targetSize',
    );
  }
  return parsed.data;
}
