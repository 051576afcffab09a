import { tmpdir } from 'node:os';
import { z } from 'zod';
import { embeddedTexts } from '../../embedded';
import type { EngineOptions } from '../../engine/engine-options';
import { checkedOptions, count, path, settingsFrom } from '../../options';
import type { OnProgress } from '../../progress';
import { DTYPES, FFN_SOLVERS, FORMATS, SCOPES } from '../../pruning/options';
import type { BenchDocument } from '../schema';

/** Every option of benchQuality() but engine and callbacks, with its default. */
const schema = z.strictObject({
  output: path.default('struprune-bench'),
  calibration: path.default(() => embeddedTexts().calibration),
  calibrationTokens: count.default(65536),
  surveyTokens: count.default(16384),
  window: count.optional(),
  eval: z
    .array(path)
    .min(1)
    .default(() => [embeddedTexts().evaluation]),
  evalTokens: count.default(16384),
  evalWindow: count.optional(),
  // One named twice is one row.
  sparsities: z
    .array(z.number().gt(0).lt(1))
    .min(1)
    .transform((shares) => [...new Set(shares)])
    .default([0.1, 0.2, 0.3, 0.4, 0.5]),
  methods: z.array(z.string().min(1)).min(1).default(['all']),
  // Default: each row's own.
  scope: z.enum(SCOPES).optional(),
  ffnSolver: z.enum(FFN_SOLVERS).optional(),
  format: z.enum(FORMATS).default('hf'),
  dtype: z.enum(DTYPES).optional(),
  multiple: count.optional(),
  seed: z.number().int().min(0).default(0),
  scratch: path.default(tmpdir()),
  keepModels: z.boolean().default(false),
  force: z.boolean().default(false),
});

export type QualityOptions = z.input<typeof schema> &
  EngineOptions & {
    /** Smaller defaults: see QUICK. */
    quick?: boolean;
    onProgress?: OnProgress;
    /** Hears the document of what there is, where the run ends early. */
    onUnfinished?: (document: BenchDocument) => void | Promise<void>;
  };
export type QualitySettings = z.output<typeof schema>;

/** `--quick`: defaults that answer within a few minutes on two cores. */
export const QUICK = {
  calibrationTokens: 8192,
  surveyTokens: 4096,
  evalTokens: 4096,
  sparsities: [0.2],
  methods: ['magnitude', 'wanda-sp', 'flap', 'struprune-uniform', 'struprune-threshold'],
} as const;

/** Checks the options and fills the defaults in. @throws StruPruneError ERR_ARGUMENT naming the option */
export function qualitySettings(options: QualityOptions): QualitySettings {
  const { quick, onUnfinished: _, ...rest } = checkedOptions(options);
  const given = Object.entries(rest).filter(([, value]) => value !== undefined);
  return settingsFrom(schema, { ...(quick ? QUICK : {}), ...Object.fromEntries(given) });
}
