import type { Evaluation } from '../../measure/perplexity';
import { grouped, mebibytes, percent, tokensInWindows } from '../../numbers';
import { table } from './table';

/** An evaluation for people. */
export function evalReport(result: Evaluation): string {
  const { gemmShare, gemmRate } = result;
  const rows = [
    ['perplexity', result.perplexity.toFixed(3)],
    ['measured on', tokensInWindows(result.tokens, result.window)],
    ['speed', `${grouped(Math.round(result.tokensPerSecond))} tokens/s`],
    ['peak memory', mebibytes(result.peakRssBytes)],
  ];
  if (gemmShare !== null && gemmRate !== null) {
    rows.push(['sgemm share', `${percent(gemmShare)} of ${gemmRate.toFixed(0)} GFLOP/s`]);
  }
  return table(rows, ['left', 'left']);
}
