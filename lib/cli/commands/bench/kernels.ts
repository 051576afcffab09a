import type { Command } from 'commander';
import type { KernelOptions } from '../../../bench/kernels/options';
import { BENCH_KERNELS_DEFAULTS, BENCH_KERNELS_FLAGS } from '../../flags/bench-kernels';
import { kernelsReport } from '../../output/bench-kernels-report';
import { addModelBench } from './model-bench';

export function addKernels(bench: Command): void {
  addModelBench<KernelOptions>(bench, {
    name: 'kernels',
    description: "Every native operation at a model's shapes against what the machine can reach.",
    flags: BENCH_KERNELS_FLAGS,
    defaults: BENCH_KERNELS_DEFAULTS,
    report: kernelsReport,
    load: async () => (await import('../../../bench/kernels/run')).benchKernels,
  });
}
