import type { Command } from 'commander';
import { BENCH_FOLDER } from '../../../bench/options';
import type { SpeedOptions } from '../../../bench/speed/options';
import { FLAGS } from '../../flags';
import { addFlags, optionsFrom } from '../../flags/flag';
import { speedReport } from '../../output/speed-report';
import { runWithProgress } from '../../terminal/run';
import { MODEL_HELP } from '../model-argument';
import { deliver } from './deliver';

export function addSpeed(bench: Command): void {
  const command = bench
    .command('speed')
    .description(
      'Tokens per second of a pruned model against the dense one, in llama.cpp and here.',
    )
    .argument('<dense>', MODEL_HELP)
    .argument('<pruned>', 'what was made of it: a GGUF file for llama.cpp')
    .action(async (dense: string, pruned: string, parsed: Record<string, unknown>) => {
      const { benchSpeed } = await import('../../../bench/speed/run');
      const options = optionsFrom<SpeedOptions>(FLAGS['bench speed'], parsed);
      const folder = options.output ?? BENCH_FOLDER;
      const json = parsed.json === true;
      await deliver(
        { folder, name: 'speed', json, report: ({ speed }) => speedReport(speed!) },
        () =>
          runWithProgress(({ signal, onProgress }) =>
            benchSpeed(dense, pruned, { ...options, signal, onProgress }),
          ),
      );
    });
  addFlags(command, FLAGS['bench speed']);
}
