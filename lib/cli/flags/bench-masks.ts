import { type MasksOptions, type MasksSettings, masksSettings } from '../../bench/masks/options';
import { SCOPES } from '../../pruning/options';
import { ANY_TEXT, CALIBRATION_FLAGS } from './bench-calibration';
import type { FlagTable } from './flag';
import { MACHINE_FLAGS } from './machine';
import { count, nonNegative, shares } from './values';

const group = 'Measurement';

/** A flag for every option of benchMasks(). */
export const BENCH_MASKS_FLAGS: FlagTable<
  keyof Omit<MasksOptions, 'signal' | 'onProgress' | 'onNotice'>
> = {
  shares: {
    flag: '--shares <list>',
    help: "shares of every site's groups that go, by commas",
    group,
    parse: shares,
  },
  scope: {
    flag: '--scope <name>',
    help: 'FFN channels, KV heads with their query heads, or both',
    group,
    choices: SCOPES,
  },
  lambda: {
    flag: '--lambda <x>',
    help: 'ridge, as a share of the diagonal of the Gram matrix',
    group,
    parse: nonNegative,
  },
  calibration: CALIBRATION_FLAGS.calibration,
  calibrationTokens: CALIBRATION_FLAGS.calibrationTokens,
  window: {
    flag: '--window <tokens>',
    help: 'tokens of a window',
    group: 'Text',
    parse: count,
    fallback: "1024, or the model's positions where it has fewer",
  },
  output: {
    flag: '-o, --output <folder>',
    help: 'for masks.json, masks.csv and masks.html',
    group: 'Output',
  },
  ...MACHINE_FLAGS,
  scratch: {
    flag: '--scratch <folder>',
    help: 'for hidden states',
    group: 'Machine',
    fallback: "the system's temporary folder",
  },
};

export const BENCH_MASKS_DEFAULTS: MasksSettings = masksSettings({ calibration: ANY_TEXT });
