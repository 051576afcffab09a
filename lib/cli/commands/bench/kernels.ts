import type { Command } from 'commander';
import type { KernelOptions } from '../../../bench/kernels/options';
import { FLAGS } from '../../flags';
import { kernelsReport } from '../../output/bench-kernels-report';
import { addModelBench } from './model-bench';

export function addKernels(bench: Command): void {
  addModelBench<KernelOptions>(bench, {
    name: 'kernels',
    description: "Every native operation at a model's shapes against what the machine can reach.",
    flags: FLAGS['bench kernels'],
    report: kernelsReport,
    load: async () => (await import('../../../bench/kernels/run')).benchKernels,
  });
}
