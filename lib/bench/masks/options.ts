import { tmpdir } from 'node:os';
import { z } from 'zod';
import { embeddedTexts } from '../../embedded';
import type { EngineOptions } from '../../engine/engine-options';
import { count, path, settingsFrom } from '../../options';
import type { OnProgress } from '../../progress';
import { SCOPES } from '../../pruning/options';

const schema = z.strictObject({
  output: path.default('struprune-bench'),
  calibration: path.default(() => embeddedTexts().calibration),
  calibrationTokens: count.default(16384),
  window: count.optional(),
  /** Shares of a site's groups that go. */
  shares: z
    .array(z.number().gt(0).lt(1))
    .min(1)
    .transform((shares) => [...new Set(shares)])
    .default([0.25, 0.5]),
  scope: z.enum(SCOPES).default('ffn'),
  lambda: z.number().min(0).default(0.05),
  scratch: path.default(tmpdir()),
});

export type MasksOptions = z.input<typeof schema> & EngineOptions & { onProgress?: OnProgress };
export type MasksSettings = z.output<typeof schema>;

export function masksSettings(options: MasksOptions): MasksSettings {
  return settingsFrom(schema, options);
}
