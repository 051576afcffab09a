import type { Command } from 'commander';
import type { LatencyOptions } from '../../../bench/latency/options';
import { FLAGS } from '../../flags';
import { latencyReport } from '../../output/bench-latency-report';
import { addModelBench } from './model-bench';

export function addLatency(bench: Command): void {
  addModelBench<LatencyOptions>(bench, {
    name: 'latency',
    description: 'Time of a token by the widths of a model, for prune --target-speed.',
    flags: FLAGS['bench latency'],
    report: latencyReport,
    load: async () => (await import('../../../bench/latency/run')).benchLatency,
  });
}
