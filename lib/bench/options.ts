/** What benchmarks have in common. */
import { embeddedTexts } from '../embedded';
import { ALLOCATION } from '../options/allocation';
import { CALIBRATION } from '../options/calibration';
import { file, folder, on } from '../options/kinds';
import { declare, like } from '../options/option';
import { SCRATCH } from '../options/output';

/** Where their files go. */
export const BENCH_FOLDER = 'struprune-bench';
export const OWN_TEXT = 'a text of this package';

/** `files`: what goes there. */
export const outputOption = (files: string) =>
  declare(
    { group: 'Output' },
    {
      output: {
        takes: folder,
        short: '-o',
        help: `for ${files}`,
        default: BENCH_FOLDER,
        changes: 'places',
      },
    },
  );

/** `what`: one of those that are measured. */
export const keepOption = (what: string) =>
  declare(
    { group: 'Output' },
    {
      keepModels: {
        takes: on,
        help: `keep every ${what}, in models/ of that folder`,
        default: false,
        changes: 'places',
      },
    },
  );

/** The calibration text; so many of its tokens by default. */
export const calibrationOptions = <const Tokens extends number>(tokens: Tokens) =>
  declare(
    { group: 'Text' },
    {
      calibration: like(CALIBRATION.calibration, {
        takes: file,
        default: () => embeddedTexts().calibration,
        otherwise: OWN_TEXT,
      }),
      calibrationTokens: like(CALIBRATION.calibrationTokens, { default: tokens }),
    },
  );

export const SURVEY_OPTIONS = declare(
  { group: 'Text' },
  { surveyTokens: like(ALLOCATION.surveyTokens, { default: 16384 }) },
);

/** `what`: what it holds. */
export const scratchOption = (what: string) =>
  declare({ group: 'Machine' }, { scratch: { ...SCRATCH.scratch, help: `for ${what}` } });
