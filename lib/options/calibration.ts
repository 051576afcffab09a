/** The texts: what calibrates, what is measured on, and surveys that are kept. */
import { embeddedMix } from '../embedded';
import type { Effort } from './effort';
import { count, countOrNone, file, ownText } from './kinds';
import { declare } from './option';
import { type Tunes, tunedByDefault } from './refit';

const ofEval = (settings: { eval?: string }) =>
  settings.eval === undefined ? 'without --eval' : null;

const ofTuning = (settings: Tunes) =>
  (settings.tuneTokens ?? tunedByDefault(settings)) > 0 ? null : 'where nothing is tuned';

/** Tokens that calibrate, with --effort quick and else. */
export const CALIBRATES = { quick: 16384, else: 65536 };

export const CALIBRATION = declare(
  { group: 'Text' },
  {
    calibration: {
      takes: ownText,
      help: 'UTF-8 text, or conversations as .jsonl, whose first tokens calibrate; of a graph that reads no text: samples of its inputs, as safetensors, .npz or a folder of images',
      default: () => embeddedMix().calibration,
      otherwise: 'a mixed text of this package',
      changes: 'places', // its tokens count, not its path
      also: ['survey', 'graph'],
    },
    calibrationTokens: {
      takes: count,
      help: 'how many of them',
      // A long window is no reason to refuse what the other efforts do.
      derive: ({ effort, window = 0 }: { effort: Effort; window?: number }): number =>
        effort === 'quick'
          ? Math.min(CALIBRATES.else, Math.max(CALIBRATES.quick, window))
          : CALIBRATES.else,
      otherwise: '65536; with --effort quick 16384, or a window where that is longer',
      changes: 'tokens',
      also: ['survey', 'graph'],
    },
    tuneTokens: {
      takes: countOrNone,
      help: 'how many after them tune what the solve left, towards the dense model: factors of channels, norms and biases, and changes of low rank; 0: none',
      otherwise:
        'as many as calibrate, twice as many with --effort best, as far as the text goes; 0 with --no-refit and with other methods',
      changes: 'tokens',
    },
    tuneMix: {
      takes: countOrNone,
      help: "how many tokens of this package's mixed text tune beside them, so that the result stays good at other text than the calibration's; 0: none",
      otherwise: 'a quarter of those; 0 where the mixed text calibrates',
      changes: 'tokens',
      read: [ofTuning],
    },
    tuneRank: {
      takes: countOrNone,
      help: 'rank of the changes that tuning gives the maps that stay, beside the factors; 0: none',
      default: 32,
      changes: 'run',
      read: [ofTuning],
    },
    window: {
      takes: count,
      value: '<tokens>',
      help: 'tokens of a calibration window',
      otherwise: "1024, or the model's positions where it has fewer; of a graph 128",
      changes: 'tokens',
      also: ['survey', 'graph'],
    },
    eval: {
      takes: ownText,
      help: 'text for perplexity before and after; of a graph: samples, as safetensors, .npz or a folder of images',
      otherwise: 'windows of the calibration text behind those that calibrate',
      changes: 'measured',
      also: ['graph'],
    },
    evalTokens: {
      takes: count,
      help: 'use its first n tokens',
      otherwise: 'all',
      changes: 'measured',
      also: ['graph'],
      read: [ofEval],
    },
    evalWindow: {
      takes: count,
      value: '<tokens>',
      help: 'tokens of an evaluation window',
      otherwise: 'that of --window',
      changes: 'measured',
      read: [ofEval],
    },
    saveCalibration: {
      takes: file,
      help: 'keep the survey, to make other ratios without it',
      changes: 'places',
      also: ['survey'],
    },
    fromCalibration: {
      takes: file,
      help: 'take the survey from such a file',
      changes: 'places',
    },
  },
);
