import type { z } from 'zod';
import { settingsFrom } from '../../engine/call';
import type { EngineOptions } from '../../engine/engine-options';
import { declare, like, schemaOf } from '../../options/option';
import { OUTPUT } from '../../options/output';
import type { OnProgress } from '../../progress';
import { outputOption, scratchOption } from '../options';
import { SPEED_OPTIONS } from '../speed/options';

const { promptTokens, generatedTokens, repeats, runtime } = SPEED_OPTIONS;

export const LATENCY_OPTIONS = {
  ...{ promptTokens, generatedTokens, runtime },
  ...declare(
    { group: 'Measurement' },
    {
      repeats: like(repeats, {
        help: 'rounds of every width after one to warm up; the fastest counts',
        default: 5,
      }),
      dtype: like(OUTPUT.dtype, {
        help: 'of the weights that are timed: what the pruned model will be written in',
        otherwise: 'of a GGUF file its own, else f16',
      }),
    },
  ),
  ...outputOption('latency.json and latency.csv'),
  ...scratchOption('models of other widths'),
};

const schema = schemaOf(LATENCY_OPTIONS);

export type LatencyOptions = z.input<typeof schema> &
  Pick<EngineOptions, 'threads' | 'signal'> & { onProgress?: OnProgress };
export type LatencySettings = z.output<typeof schema>;

export function latencySettings(options: LatencyOptions): LatencySettings {
  return settingsFrom(schema, options);
}
