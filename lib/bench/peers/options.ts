import { tmpdir } from 'node:os';
import { z } from 'zod';
import { embeddedTexts } from '../../embedded';
import type { EngineOptions } from '../../engine/engine-options';
import { count, path, settingsFrom } from '../../options';
import type { OnProgress } from '../../progress';

const schema = z.strictObject({
  output: path.default('struprune-bench'),
  sparsity: z.number().gt(0).lt(1).default(0.2),
  calibration: path.default(() => embeddedTexts().calibration),
  calibrationTokens: count.default(65536),
  surveyTokens: count.default(16384),
  window: count.optional(),
  eval: path.optional(),
  evalTokens: count.default(16384),
  /** Shell commands that get the job's path as their last argument; the torch reference where none is given. */
  command: z.array(z.string().min(1)).default([]),
  /** Of the torch reference: a Python with torch and transformers. */
  python: z.string().min(1).default('python3'),
  seed: z.number().int().min(0).default(0),
  scratch: path.default(tmpdir()),
});

export type PeersOptions = z.input<typeof schema> &
  Pick<EngineOptions, 'threads' | 'signal'> & { onProgress?: OnProgress };
export type PeersSettings = z.output<typeof schema>;

export function peersSettings(options: PeersOptions): PeersSettings {
  return settingsFrom(schema, options);
}
