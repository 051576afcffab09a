import {
  type KernelOptions,
  type KernelSettings,
  kernelSettings,
} from '../../bench/kernels/options';
import type { FlagTable } from './flag';
import { MACHINE_FLAGS } from './machine';
import { count, positive } from './values';

const group = 'Measurement';

/** A flag for every option of benchKernels(). */
export const BENCH_KERNELS_FLAGS: FlagTable<
  keyof Omit<KernelOptions, 'signal' | 'onProgress' | 'onNotice'>
> = {
  tokens: {
    flag: '--tokens <n>',
    help: 'tokens in flight, whole windows of them',
    group,
    parse: count,
  },
  window: {
    flag: '--window <tokens>',
    help: 'tokens of a sequence',
    group,
    parse: count,
    fallback: "1024, or --tokens or the model's positions where those are fewer",
  },
  seconds: {
    flag: '--seconds <s>',
    help: 'of each operation',
    group,
    parse: positive,
  },
  output: {
    flag: '-o, --output <folder>',
    help: 'for kernels.json and kernels.csv',
    group: 'Output',
  },
  ...MACHINE_FLAGS,
};

export const BENCH_KERNELS_DEFAULTS: KernelSettings = kernelSettings({});
