/** Flags of the calibration text, the same for every benchmark that prunes. */
import type { FlagTable } from './flag';
import { count } from './values';

const data = 'Text';

export const CALIBRATION_FLAGS: FlagTable<'calibration' | 'calibrationTokens' | 'surveyTokens'> = {
  calibration: {
    flag: '--calibration <file>',
    help: 'UTF-8 text whose first tokens calibrate',
    group: data,
    fallback: 'a text of this package',
  },
  calibrationTokens: {
    flag: '--calibration-tokens <n>',
    help: 'how many of them',
    group: data,
    parse: count,
  },
  surveyTokens: {
    flag: '--survey-tokens <n>',
    help: 'calibration tokens of the survey before allocation',
    group: data,
    parse: count,
  },
};

/** A text among the defaults for a help text, which says it in words: the package's own is not looked for. */
export const ANY_TEXT = '-';
