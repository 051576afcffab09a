import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import type { EngineOptions } from '../../engine/engine-options';
import { path, settingsFrom } from '../../options';
import { packageRoot } from '../../package-root';
import type { OnProgress } from '../../progress';
import { SCOPES } from '../../pruning/options';

const count = z.number().int().positive();

const schema = z.strictObject({
  output: path.default('struprune-bench'),
  calibration: path.default(join(packageRoot(), 'assets', 'text', 'calibration.txt')),
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
