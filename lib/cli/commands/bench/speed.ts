import type { Command } from 'commander';
import type { SpeedOptions } from '../../../bench/speed/run';
import { BENCH_EXTRAS } from '../../flags/bench-quality';
import { BENCH_SPEED_DEFAULTS, BENCH_SPEED_FLAGS } from '../../flags/bench-speed';
import { addFlags, optionsFrom } from '../../flags/flag';
import { speedReport } from '../../output/bench-speed-report';
import { runWithProgress } from '../../terminal/run';
import { deliver } from './deliver';

export function addSpeed(bench: Command): void {
  const command = bench
    .command('speed')
    .description('Tokens per second of a pruned GGUF file against the dense one in llama.cpp.')
    .argument('<dense>', 'GGUF file')
    .argument('<pruned>', 'GGUF file of the same dtype')
    .action(async (dense: string, pruned: string, parsed: Record<string, unknown>) => {
      const { benchSpeed } = await import('../../../bench/speed/run');
      const options = optionsFrom<SpeedOptions>(BENCH_SPEED_FLAGS, parsed);
      const folder = options.output ?? BENCH_SPEED_DEFAULTS.output;
      const json = parsed.json === true;
      await deliver({ folder, name: 'speed', json, report: speedReport }, () =>
        runWithProgress(({ signal, onProgress }) =>
          benchSpeed(dense, pruned, { ...options, signal, onProgress }),
        ),
      );
    });
  addFlags(command, BENCH_SPEED_FLAGS, BENCH_SPEED_DEFAULTS, BENCH_EXTRAS);
}
