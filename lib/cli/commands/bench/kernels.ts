import type { Command } from 'commander';
import type { KernelOptions } from '../../../bench/kernels/options';
import { BENCH_KERNELS_DEFAULTS, BENCH_KERNELS_FLAGS } from '../../flags/bench-kernels';
import { BENCH_EXTRAS } from '../../flags/bench-quality';
import { addFlags, optionsFrom } from '../../flags/flag';
import { kernelsReport } from '../../output/bench-kernels-report';
import { runWithProgress } from '../../terminal/run';
import { deliver } from './deliver';

export function addKernels(bench: Command): void {
  const command = bench
    .command('kernels')
    .description("Every native operation at a model's shapes against what the machine can reach.")
    .argument('<model>', 'Hugging Face folder or .gguf file')
    .action(async (model: string, parsed: Record<string, unknown>) => {
      const { benchKernels } = await import('../../../bench/kernels/run');
      const options = optionsFrom<KernelOptions>(BENCH_KERNELS_FLAGS, parsed);
      const folder = options.output ?? BENCH_KERNELS_DEFAULTS.output;
      const json = parsed.json === true;
      await deliver({ folder, name: 'kernels', json, report: kernelsReport }, () =>
        runWithProgress(({ signal, onProgress, onNotice }) =>
          benchKernels(model, { ...options, signal, onProgress, onNotice }),
        ),
      );
    });
  addFlags(command, BENCH_KERNELS_FLAGS, BENCH_KERNELS_DEFAULTS, BENCH_EXTRAS);
}
