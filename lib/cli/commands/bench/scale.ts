import type { Command } from 'commander';
import type { ScaleOptions } from '../../../bench/scale/options';
import { FLAGS } from '../../flags';
import { scaleReport } from '../../output/bench-scale-report';
import { addModelBench } from './model-bench';

export function addScale(bench: Command): void {
  addModelBench<ScaleOptions>(bench, {
    name: 'scale',
    description:
      'What several machines would make of a prune: it is timed here, and planned on ranks.',
    flags: FLAGS['bench scale'],
    report: scaleReport,
    load: async () => (await import('../../../bench/scale/run')).benchScale,
  });
}
