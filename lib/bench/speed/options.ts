import type { z } from 'zod';
import { settingsFrom } from '../../engine/call';
import type { EngineOptions } from '../../engine/engine-options';
import { count, folder } from '../../options/kinds';
import { declare, schemaOf } from '../../options/option';
import type { OnProgress } from '../../progress';
import { outputOption } from '../options';

export const SPEED_OPTIONS = {
  ...declare(
    { group: 'Measurement' },
    {
      promptTokens: {
        takes: count,
        help: 'tokens that are read at once',
        otherwise: "512, or what the model's positions leave of them",
        changes: 'run',
      },
      generatedTokens: {
        takes: count,
        help: 'tokens that are then made one by one',
        default: 64,
        changes: 'run',
      },
      repeats: {
        takes: count,
        help: 'rounds after one to warm up; medians count',
        default: 5,
        changes: 'run',
      },
      /** node-llama-cpp itself, or a folder in whose node_modules it lies. */
      runtime: {
        takes: folder,
        help: 'where node-llama-cpp lies',
        otherwise: 'node_modules here or above; without it our own forward pass alone is timed',
        changes: 'places',
      },
    },
  ),
  ...outputOption('speed.json'),
};

const schema = schemaOf(SPEED_OPTIONS);

export type SpeedOptions = z.input<typeof schema> &
  Pick<EngineOptions, 'threads' | 'signal'> & { onProgress?: OnProgress };
export type SpeedSettings = z.output<typeof schema>;

export function speedSettings(options: SpeedOptions): SpeedSettings {
  return settingsFrom(schema, options);
}
