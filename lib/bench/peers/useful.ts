/** What any program must compute for the same result, item by item, at the machine's measured rates. */

import type { BenchPeers } from '../../documents/bench';
import { blocksFlops, forwardFlops } from '../../measure/perplexity';
import type { Architecture } from '../../model/architecture';
import type { LayerStats } from '../../pruning/result';
import { gramFlops, refitFlops, sweepFlops } from '../flops';

export interface Work {
  architecture: Architecture;
  window: number;
  calibrationTokens: number;
  surveyTokens: number;
  /** Of the finished run: FFN sites alone. */
  layers: readonly LayerStats[];
  /** Largest removal that a survey's sweep looks at. */
  mostRemoved: number;
  /** Whether targets ask for what the dense stream has. */
  feedback: boolean;
}

/** GFLOP/s. */
export interface WorkRates {
  f32: number;
  f64: number;
}

/** StruPrune on FFN channels with Fisher weights and the other defaults. */
export function usefulWork(work: Work, rates: WorkRates): BenchPeers['useful'] {
  const { architecture, window, calibrationTokens, surveyTokens, layers, mostRemoved } = work;
  const { hidden, vocab, blocks } = architecture;
  const head = (tokens: number) => 2 * hidden * vocab * tokens;
  const blocksOf = (tokens: number) => blocksFlops(architecture, tokens, window);
  const sum = (of: (layer: LayerStats) => number) => layers.reduce((all, l) => all + of(l), 0);
  // A target needs the map's own output on its new inputs, and its product with these.
  const targets = sum(({ groups }) => 4 * hidden * groups * calibrationTokens);
  const item = (name: string, flops: number, precision: keyof WorkRates) => {
    const rate = rates[precision];
    return { item: name, flops, rate, seconds: flops / (rate * 1e9) };
  };
  return [
    item('survey: forward with head', forwardFlops(architecture, surveyTokens, window), 'f32'),
    // As much as the forward for the linear maps; weights get no gradient.
    item('survey: gradients of the stream', blocksOf(surveyTokens) + head(surveyTokens), 'f32'),
    item(
      'survey: Grams of inputs',
      sum(({ groups }) => gramFlops(surveyTokens, groups)),
      'f32',
    ),
    item('survey: Fisher metrics', blocks.length * gramFlops(surveyTokens, hidden), 'f32'),
    item(
      'survey: sweeps',
      sum(({ groups }) => sweepFlops(hidden, groups, mostRemoved)),
      'f64',
    ),
    item('solve: forward', blocksOf(calibrationTokens), 'f32'),
    ...(work.feedback
      ? [
          item('solve: forward of the dense stream', blocksOf(calibrationTokens), 'f32'),
          item('solve: targets', targets, 'f32'),
        ]
      : []),
    item(
      'solve: Grams',
      sum(({ groups }) => gramFlops(calibrationTokens, groups)),
      'f32',
    ),
    item(
      'solve: sweeps',
      sum(({ groups, removed }) => (removed ? sweepFlops(hidden, groups, removed) : 0)),
      'f64',
    ),
    item(
      'solve: refits',
      sum(({ groups, removed }) => (removed ? refitFlops(hidden, groups - removed) : 0)),
      'f64',
    ),
  ];
}
