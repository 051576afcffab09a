/** The options of evaluate(). */
import { count, off, ownText, path } from './kinds';
import { declare } from './option';

export const EVALUATE = declare(
  { group: 'Evaluation' },
  {
    text: { takes: ownText, help: 'UTF-8 text to measure on', required: true, changes: 'run' },
    window: {
      takes: count,
      value: '<tokens>',
      help: 'tokens of a window',
      otherwise: "2048, or the model's positions where it has fewer",
      changes: 'run',
    },
    maxTokens: {
      takes: count,
      help: 'use the first n tokens of the text',
      otherwise: 'all',
      changes: 'run',
    },
    against: {
      takes: path,
      value: '<model>',
      help: 'the dense model that it was made of: also how far the two are apart',
      changes: 'run',
    },
    /** The rate of the BLAS's sgemm too, and the share of it that the forward reached; on a GPU there is none. */
    measureGemm: {
      takes: off,
      help: "skip measuring the machine's sgemm rate",
      default: false,
      changes: 'measured',
    },
  },
);
