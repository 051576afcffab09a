import { type SpeedOptions, type SpeedSettings, speedSettings } from '../../bench/speed/run';
import type { FlagTable } from './flag';
import { MACHINE_FLAGS } from './machine';
import { count } from './values';

const group = 'Measurement';

/** A flag for every option of benchSpeed(). */
export const BENCH_SPEED_FLAGS: FlagTable<keyof Omit<SpeedOptions, 'signal' | 'onProgress'>> = {
  promptTokens: {
    flag: '--prompt-tokens <n>',
    help: 'tokens that are read at once',
    group,
    parse: count,
  },
  generatedTokens: {
    flag: '--generated-tokens <n>',
    help: 'tokens that are then made one by one',
    group,
    parse: count,
  },
  repeats: {
    flag: '--repeats <n>',
    help: 'rounds after one to warm up; medians count',
    group,
    parse: count,
  },
  runtime: {
    flag: '--runtime <folder>',
    help: 'where node-llama-cpp lies',
    group,
    fallback: 'node_modules here or above',
  },
  output: { flag: '-o, --output <folder>', help: 'for speed.json', group: 'Output' },
  threads: MACHINE_FLAGS.threads,
};

export const BENCH_SPEED_DEFAULTS: SpeedSettings = speedSettings({});
