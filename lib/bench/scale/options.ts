import type { z } from 'zod';
import { ALLOCATION_RULES } from '../../allocation';
import { settingsFrom } from '../../engine/call';
import type { EngineOptions } from '../../engine/engine-options';
import { ALLOCATION } from '../../options/allocation';
import { EFFORT } from '../../options/effort';
import { choice, counts, positive } from '../../options/kinds';
import { METHOD } from '../../options/method';
import { declare, like, schemaOf } from '../../options/option';
import { REFIT } from '../../options/refit';
import { TARGET } from '../../options/target';
import type { OnProgress } from '../../progress';
import { calibrationOptions, outputOption, scratchOption } from '../options';

export const SCALE_OPTIONS = {
  ...declare(
    { group: 'Measurement' },
    {
      teams: {
        takes: counts,
        help: 'numbers of ranks, by commas',
        default: [2, 4, 8, 16],
        changes: 'run',
      },
      gbit: {
        takes: { ...positive, value: '<Gbit/s>' },
        help: 'what a rank can send to another',
        default: 25,
        changes: 'run',
      },
      sparsity: like(TARGET.sparsity, { default: 0.2 }),
      effort: EFFORT.effort,
      scope: METHOD.scope,
      allocation: {
        ...like(METHOD.allocation, {}),
        takes: choice(ALLOCATION_RULES),
      },
      ffnSolver: REFIT.ffnSolver,
      surveyTokens: ALLOCATION.surveyTokens,
    },
  ),
  ...calibrationOptions(65536),
  ...outputOption('scale.json and scale.csv'),
  ...scratchOption('the pruned model'),
};

const schema = schemaOf(SCALE_OPTIONS);

export type ScaleOptions = z.input<typeof schema> &
  Pick<EngineOptions, 'threads' | 'memory' | 'signal'> & { onProgress?: OnProgress };
export type ScaleSettings = z.output<typeof schema>;

export function scaleSettings(options: ScaleOptions): ScaleSettings {
  return settingsFrom(schema, options);
}
