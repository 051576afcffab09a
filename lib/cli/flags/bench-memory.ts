import {
  type MemoryOptions,
  type MemorySettings,
  memorySettings,
} from '../../bench/memory/options';
import { OPT_SHAPES } from '../../bench/memory/shapes';
import { ALLOCATIONS, FFN_SOLVERS, MASKS } from '../../pruning/options';
import { ANY_TEXT, CALIBRATION_FLAGS } from './bench-calibration';
import type { FlagTable } from './flag';
import { MACHINE_FLAGS } from './machine';
import { count, names, shareBelowOne, sizes } from './values';

const group = 'Measurement';

/** A flag for every option of benchMemory(). */
export const BENCH_MEMORY_FLAGS: FlagTable<keyof Omit<MemoryOptions, 'signal' | 'onProgress'>> = {
  shapes: {
    flag: '--shapes <list>',
    help: `OPT models to make, by commas: ${OPT_SHAPES.map(({ name }) => name).join(', ')}`,
    group,
    parse: names,
  },
  long: { flag: '--long', help: 'the 6.7b model too', group },
  budgets: {
    flag: '--budgets <list>',
    help: 'budgets beside the smallest, by commas, for example 128MiB,4GiB; 0: none',
    group,
    parse: sizes,
  },
  sparsity: {
    flag: '--sparsity <share>',
    help: "share of the blocks' linear weights to remove",
    group,
    parse: shareBelowOne,
  },
  allocation: {
    flag: '--allocation <name>',
    help: 'as in prune; anything but uniform makes a survey',
    group,
    choices: ALLOCATIONS,
  },
  mask: { flag: '--mask <name>', help: 'as in prune', group, choices: MASKS },
  ffnSolver: { flag: '--ffn-solver <name>', help: 'as in prune', group, choices: FFN_SOLVERS },
  calibration: CALIBRATION_FLAGS.calibration,
  calibrationTokens: CALIBRATION_FLAGS.calibrationTokens,
  window: { flag: '--window <tokens>', help: 'tokens of a window', group: 'Text', parse: count },
  output: {
    flag: '-o, --output <folder>',
    help: 'for memory.json, memory.html and the finished rows',
    group: 'Output',
  },
  force: { flag: '--force', help: 'throw away rows of other settings', group: 'Output' },
  threads: MACHINE_FLAGS.threads,
  scratch: {
    flag: '--scratch <folder>',
    help: 'for checkpoints, pruned models and what does not fit into the budget',
    group: 'Machine',
    fallback: "the system's temporary folder",
  },
};

export const BENCH_MEMORY_DEFAULTS: MemorySettings = memorySettings({ calibration: ANY_TEXT });
