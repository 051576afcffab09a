import type { z } from 'zod';
import { settingsFrom } from '../../engine/call';
import type { EngineOptions } from '../../engine/engine-options';
import { CALIBRATION } from '../../options/calibration';
import { choice, shares } from '../../options/kinds';
import { COLUMN_SCOPES, METHOD } from '../../options/method';
import { declare, like, schemaOf } from '../../options/option';
import { REFIT } from '../../options/refit';
import type { OnProgress } from '../../progress';
import { calibrationOptions, outputOption, scratchOption } from '../options';

export const MASKS_OPTIONS = {
  ...declare(
    { group: 'Measurement' },
    {
      shares: {
        takes: shares,
        help: "shares of every site's groups that go, by commas",
        default: [0.25, 0.5],
        changes: 'run',
      },
      scope: like(METHOD.scope, {
        takes: choice(COLUMN_SCOPES),
        help: 'FFN channels, KV heads with their query heads, or both',
        default: 'ffn',
      }),
      lambda: REFIT.lambda,
    },
  ),
  ...calibrationOptions(16384),
  ...declare(
    { group: 'Text' },
    {
      window: like(CALIBRATION.window, {
        help: 'tokens of a window',
        otherwise: CALIBRATION.window.otherwise,
      }),
    },
  ),
  ...outputOption('masks.json, masks.csv and masks.html'),
  ...scratchOption('hidden states'),
};

const schema = schemaOf(MASKS_OPTIONS);

export type MasksOptions = z.input<typeof schema> & EngineOptions & { onProgress?: OnProgress };
export type MasksSettings = z.output<typeof schema>;

export function masksSettings(options: MasksOptions): MasksSettings {
  return settingsFrom(schema, options);
}
