import { z } from 'zod';
import type { EngineOptions } from '../../engine/engine-options';
import { count, path, settingsFrom } from '../../options';
import type { OnProgress } from '../../progress';

const schema = z.strictObject({
  output: path.default('struprune-bench'),
  /** In flight; whole windows are taken. */
  tokens: count.default(2048),
  window: count.optional(),
  /** Of each operation. */
  seconds: z.number().positive().default(0.3),
});

/** The CPU is measured in any case, by the path of what is measured there; the GPU that `device` names beside it. */
export type KernelOptions = z.input<typeof schema> & EngineOptions & { onProgress?: OnProgress };
export type KernelSettings = z.output<typeof schema>;

export function kernelSettings(options: KernelOptions): KernelSettings {
  return settingsFrom(schema, options);
}
