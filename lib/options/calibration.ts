/** The texts: what calibrates, what is measured on, and surveys that are kept. */
import { count, file } from './kinds';
import { declare } from './option';

const ofEval = (settings: { eval?: string }) =>
  settings.eval === undefined ? 'without --eval' : null;

export const CALIBRATION = declare(
  { group: 'Text' },
  {
    calibration: {
      takes: file,
      help: 'UTF-8 text whose first tokens calibrate',
      required: true,
      changes: 'places', // its tokens count, not its path
      also: ['survey'],
    },
    calibrationTokens: {
      takes: count,
      help: 'how many of them',
      default: 65536,
      changes: 'tokens',
      also: ['survey'],
    },
    window: {
      takes: count,
      value: '<tokens>',
      help: 'tokens of a calibration window',
      otherwise: "1024, or the model's positions where it has fewer",
      changes: 'tokens',
      also: ['survey'],
    },
    eval: { takes: file, help: 'text for perplexity before and after', changes: 'measured' },
    evalTokens: {
      takes: count,
      help: 'use its first n tokens',
      otherwise: 'all',
      changes: 'measured',
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
