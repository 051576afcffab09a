import { z } from 'zod';
import { ALLOCATION_RULES } from '../../allocation';
import { settingsFrom } from '../../engine/call';
import type { EngineOptions } from '../../engine/engine-options';
import { StruPruneError } from '../../errors';
import { MASKS } from '../../masks';
import { CALIBRATION } from '../../options/calibration';
import { choice, names, on, shareAboveNone, sizes } from '../../options/kinds';
import { MASK } from '../../options/mask';
import { METHOD, SCOPES } from '../../options/method';
import { declare, like, schemaOf } from '../../options/option';
import { REFIT } from '../../options/refit';
import { TARGET } from '../../options/target';
import type { OnProgress } from '../../progress';
import { calibrationOptions, outputOption, scratchOption } from '../options';
import { SHAPES } from './shapes';

export const MEMORY_OPTIONS = {
  ...declare(
    { group: 'Measurement' },
    {
      /** Where a model is given, it is taken instead. */
      shapes: {
        takes: { ...names, schema: z.array(z.string()).min(1) },
        help: `models to make, OPT's and of mixtures of experts two blocks, by commas: ${SHAPES.map(({ name }) => name).join(', ')}`,
        default: ['125m', '350m', '1.3b', '2.7b'],
        changes: 'run',
      },
      long: { takes: on, help: 'the 6.7b model too', default: false, changes: 'run' },
      /** The smallest that suffices is always measured too. */
      budgets: {
        takes: sizes,
        help: 'budgets beside the smallest, by commas, for example 128MiB,4GiB; 0: none',
        default: [0],
        changes: 'run',
      },
      sparsity: {
        ...like(TARGET.sparsity, { default: 0.2 }),
        takes: shareAboveNone,
        help: "share of the blocks' linear weights to remove",
      },
      allocation: {
        ...like(METHOD.allocation, { default: 'uniform' }),
        takes: choice(ALLOCATION_RULES),
        help: 'as in prune; anything but uniform makes a survey',
      },
      scope: {
        ...like(METHOD.scope, { default: 'ffn' }),
        takes: choice(SCOPES),
        help: 'as in prune; of a mixture of experts experts, expert-channels or moe',
      },
      mask: {
        ...like(MASK.mask, { default: 'sweep' }),
        takes: choice(MASKS),
        help: 'as in prune',
      },
      ffnSolver: like(REFIT.ffnSolver, { help: 'as in prune', default: 'gauss-newton' }),
    },
  ),
  ...calibrationOptions(2048),
  ...declare(
    { group: 'Text' },
    { window: like(CALIBRATION.window, { help: 'tokens of a window', default: 512 }) },
  ),
  ...outputOption('memory.json, memory.html and the finished rows'),
  ...declare(
    { group: 'Output' },
    {
      force: {
        takes: on,
        help: 'throw away rows of other settings',
        default: false,
        changes: 'nothing',
      },
    },
  ),
  ...scratchOption('checkpoints, pruned models and what does not fit into the budget'),
};

const schema = schemaOf(MEMORY_OPTIONS);

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
  const known = SHAPES.map(({ name }) => name);
  const unknown = shapes.find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw new StruPruneError(
    'ERR_ARGUMENT',
    `unknown shape ${unknown}`,
    `choose from ${known.join(', ')}`,
  );
}
