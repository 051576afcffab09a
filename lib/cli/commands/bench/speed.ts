import type { Command } from 'commander';
import { BENCH_FOLDER } from '../../../bench/options';
import type { SpeedOptions } from '../../../bench/speed/options';
import { FLAGS } from '../../flags';
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
      const options = optionsFrom<SpeedOptions>(FLAGS['bench speed'], parsed);
      const folder = options.output ?? BENCH_FOLDER;
      const json = parsed.json === true;
      await deliver({ folder, name: 'speed', json, report: speedReport }, () =>
        runWithProgress(({ signal, onProgress }) =>
          benchSpeed(dense, pruned, { ...options, signal, onProgress }),
        ),
      );
    });
  addFlags(command, FLAGS['bench speed']);
}
