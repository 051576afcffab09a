import type { EvaluateOptions } from '../../evaluate';
import type { Flag, FlagTable } from './flag';
import { MACHINE_FLAGS } from './machine';
import { count } from './values';

const group = 'Evaluation';

/** A flag for every option of evaluate(). */
export const EVAL_FLAGS: FlagTable<
  keyof Omit<EvaluateOptions, 'engine' | 'signal' | 'onProgress' | 'onNotice'>
> = {
  text: { flag: '--text <file>', help: 'UTF-8 text to measure on', group, required: true },
  window: {
    flag: '--window <tokens>',
    help: 'tokens of a window',
    group,
    parse: count,
    fallback: "2048, or the model's positions where it has fewer",
  },
  maxTokens: {
    flag: '--max-tokens <n>',
    help: 'use the first n tokens of the text',
    group,
    parse: count,
    fallback: 'all',
  },
  measureGemm: {
    flag: '--no-gemm-share',
    help: "skip measuring the machine's sgemm rate",
    group,
  },
  ...MACHINE_FLAGS,
};

export const EVAL_EXTRAS: readonly Flag[] = [
  { flag: '--json', help: 'JSON alone on stdout', group },
];
