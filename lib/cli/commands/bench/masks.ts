import type { Command } from 'commander';
import type { MasksOptions } from '../../../bench/masks/options';
import { BENCH_MASKS_DEFAULTS, BENCH_MASKS_FLAGS } from '../../flags/bench-masks';
import { BENCH_EXTRAS } from '../../flags/bench-quality';
import { addFlags, optionsFrom } from '../../flags/flag';
import { masksReport } from '../../output/bench-masks-report';
import { runWithProgress } from '../../terminal/run';
import { deliver } from './deliver';

export function addMasks(bench: Command): void {
  const command = bench
    .command('masks')
    .description(
      'Every way to a mask (sweep, ADMM, one-shot, swaps) on every block, at equal widths: error after the refit.',
    )
    .argument('<model>', 'Hugging Face folder or .gguf file')
    .action(async (model: string, parsed: Record<string, unknown>) => {
      const { benchMasks } = await import('../../../bench/masks/run');
      const options = optionsFrom<MasksOptions>(BENCH_MASKS_FLAGS, parsed);
      const folder = options.output ?? BENCH_MASKS_DEFAULTS.output;
      const json = parsed.json === true;
      await deliver({ folder, name: 'masks', json, report: masksReport }, () =>
        runWithProgress(({ signal, onProgress, onNotice }) =>
          benchMasks(model, { ...options, signal, onProgress, onNotice }),
        ),
      );
    });
  addFlags(command, BENCH_MASKS_FLAGS, BENCH_MASKS_DEFAULTS, BENCH_EXTRAS);
}
