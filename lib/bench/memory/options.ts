import { tmpdir } from 'node:os';
import { z } from 'zod';
import { embeddedTexts } from '../../embedded';
import type { EngineOptions } from '../../engine/engine-options';
import { StruPruneError } from '../../errors';
import { bytes, count, path, settingsFrom } from '../../options';
import type { OnProgress } from '../../progress';
import { ALLOCATIONS, FFN_SOLVERS, MASKS } from '../../pruning/options';
import { OPT_SHAPES } from './shapes';

const schema = z.strictObject({
  output: path.default('struprune-bench'),
  /** Throws away finished rows of other settings. */
  force: z.boolean().default(false),
  /** OPT's shapes to make; where a model is given, it is taken instead. */
  shapes: z.array(z.string()).min(1).default(['125m', '350m', '1.3b', '2.7b']),
  /** The largest shape too. */
  long: z.boolean().default(false),
  /** Budgets in bytes, 0 = none; the smallest that suffices is always measured too. */
  budgets: z
    .array(bytes)
    .transform((sizes) => [...new Set(sizes)])
    .default([0]),
  calibration: path.default(() => embeddedTexts().calibration),
  calibrationTokens: count.default(2048),
  window: count.default(512),
  sparsity: z.number().gt(0).lt(1).default(0.2),
  allocation: z.enum(ALLOCATIONS).default('uniform'),
  mask: z.enum(MASKS).default('sweep'),
  ffnSolver: z.enum(FFN_SOLVERS).default('gauss-newton'),
  scratch: path.default(tmpdir()),
});

export type MemoryOptions = z.input<typeof schema> &
  Pick<EngineOptions, 'threads' | 'signal'> & { onProgress?: OnProgress };
export type MemorySettings = z.output<typeof schema>;

export function memorySettings(options: MemoryOptions): MemorySettings {
  const settings = settingsFrom(schema, options);
  requireKnown(settings.shapes);
  return settings;
}

/** @throws StruPruneError ERR_ARGUMENT */
function requireKnown(shapes: readonly string[]): void {
  const known = OPT_SHAPES.map(({ name }) => name);
  const unknown = shapes.find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw new StruPruneError(
    'ERR_ARGUMENT',
    `unknown shape ${unknown}`,
    `choose from ${known.join(', ')}`,
  );
}
