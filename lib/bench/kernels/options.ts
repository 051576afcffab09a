import type { z } from 'zod';
import { settingsFrom } from '../../engine/call';
import type { EngineOptions } from '../../engine/engine-options';
import { count, positive } from '../../options/kinds';
import { declare, schemaOf } from '../../options/option';
import type { OnProgress } from '../../progress';
import { outputOption } from '../options';

export const KERNELS_OPTIONS = {
  ...declare(
    { group: 'Measurement' },
    {
      tokens: {
        takes: count,
        help: 'tokens in flight, whole windows of them',
        default: 2048,
        changes: 'run',
      },
      window: {
        takes: count,
        value: '<tokens>',
        help: 'tokens of a sequence',
        otherwise: "1024, or --tokens or the model's positions where those are fewer",
        changes: 'run',
      },
      seconds: {
        takes: positive,
        value: '<s>',
        help: 'of each operation',
        default: 0.3,
        changes: 'run',
      },
    },
  ),
  ...outputOption('kernels.json and kernels.csv'),
};

const schema = schemaOf(KERNELS_OPTIONS);

/** The CPU is measured in any case, by the path of what is measured there; the GPU that `device` names beside it. */
export type KernelOptions = z.input<typeof schema> & EngineOptions & { onProgress?: OnProgress };
export type KernelSettings = z.output<typeof schema>;

export function kernelSettings(options: KernelOptions): KernelSettings {
  return settingsFrom(schema, options);
}
