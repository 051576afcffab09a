import type { Command } from 'commander';
import type { GraphsOptions } from '../../../bench/graphs/options';
import { FLAGS } from '../../flags';
import { graphsReport } from '../../output/bench-graphs-report';
import { addModelBench } from './model-bench';

export function addGraphs(bench: Command): void {
  addModelBench<GraphsOptions>(bench, {
    name: 'graphs',
    description:
      'An ONNX graph pruned, and sliced by L2 norm to as many parameters: losses, bytes, time in onnxruntime.',
    help: 'ONNX file',
    flags: FLAGS['bench graphs'],
    report: graphsReport,
    load: async () => (await import('../../../bench/graphs/run')).benchGraphs,
  });
}
