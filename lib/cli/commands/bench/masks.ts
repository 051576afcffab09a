import type { Command } from 'commander';
import type { MasksOptions } from '../../../bench/masks/options';
import { FLAGS } from '../../flags';
import { masksReport } from '../../output/bench-masks-report';
import { addModelBench } from './model-bench';

export function addMasks(bench: Command): void {
  addModelBench<MasksOptions>(bench, {
    name: 'masks',
    description:
      'Every way to a mask (sweep, ADMM, one-shot, swaps) on every block, at equal widths: error after the refit.',
    flags: FLAGS['bench masks'],
    report: masksReport,
    load: async () => (await import('../../../bench/masks/run')).benchMasks,
  });
}
