import { z } from 'zod';
import { settingsFrom } from '../../engine/call';
import type { EngineOptions } from '../../engine/engine-options';
import { CALIBRATION } from '../../options/calibration';
import { file, program, shareAboveNone } from '../../options/kinds';
import { METHOD } from '../../options/method';
import { declare, like, schemaOf } from '../../options/option';
import { TARGET } from '../../options/target';
import type { OnProgress } from '../../progress';
import { calibrationOptions, outputOption, SURVEY_OPTIONS, scratchOption } from '../options';

export const PEERS_OPTIONS = {
  ...declare(
    { group: 'Measurement' },
    {
      sparsity: {
        ...like(TARGET.sparsity, { default: 0.2 }),
        takes: shareAboveNone,
        help: "share of the blocks' linear weights to remove, out of FFN channels",
      },
      command: {
        takes: { schema: z.array(z.string().min(1)), value: '<line...>' },
        help: "programs to compare with; each gets a job's path as its last argument",
        default: [],
        otherwise: 'the torch reference of this package',
        changes: 'run',
      },
      python: {
        takes: program,
        help: 'of the torch reference: a Python with torch and transformers',
        default: 'python3',
        changes: 'run',
      },
      seed: { ...METHOD.seed, help: 'handed to every program' },
    },
  ),
  ...calibrationOptions(65536),
  ...SURVEY_OPTIONS,
  ...declare(
    { group: 'Text' },
    {
      window: like(CALIBRATION.window, {
        help: 'tokens of a window',
        otherwise: CALIBRATION.window.otherwise,
      }),
      eval: like(CALIBRATION.eval, {
        takes: file,
        help: 'text for the perplexity of both results',
      }),
      evalTokens: like(CALIBRATION.evalTokens, { default: 16384 }),
    },
  ),
  ...outputOption('peers.json'),
  ...scratchOption('tokens, hidden states and pruned models'),
};

const schema = schemaOf(PEERS_OPTIONS);

export type PeersOptions = z.input<typeof schema> &
  Pick<EngineOptions, 'threads' | 'signal'> & { onProgress?: OnProgress };
export type PeersSettings = z.output<typeof schema>;

export function peersSettings(options: PeersOptions): PeersSettings {
  return settingsFrom(schema, options);
}
