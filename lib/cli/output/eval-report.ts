import type { Evaluation } from '../../measure/perplexity';
import type { Share, TaskScores } from '../../measure/tasks';
import { counted, grouped, mebibytes, percent, tokensInWindows } from '../../numbers';
import { table } from './table';

/** An evaluation for people. */
export function evalReport(result: Evaluation): string {
  const { gemmShare, gemmRate, against } = result;
  const rows = [
    ['perplexity', result.perplexity.toFixed(3)],
    ['measured on', tokensInWindows(result.tokens, result.window)],
    ['speed', `${grouped(Math.round(result.tokensPerSecond))} tokens/s`],
    ['peak memory', mebibytes(result.peakRssBytes)],
  ];
  if (against) {
    const { perplexity, klToDense, top1Agreement } = against;
    rows.push(
      ['dense model', perplexity.toFixed(3)],
      ['KL to it', `${klToDense.toFixed(4)} nats per token`],
      ['same token first', percent(top1Agreement)],
    );
  }
  if (gemmShare !== null && gemmRate !== null) {
    rows.push(['sgemm share', `${percent(gemmShare)} of ${gemmRate.toFixed(0)} GFLOP/s`]);
  }
  return table(rows, ['left', 'left']);
}

/** Right answers for people. */
export function tasksReport({ choices, completions }: TaskScores): string {
  const rows: string[][] = [];
  if (choices) {
    const { questions, accuracy, accuracyNorm } = choices;
    rows.push(
      ['multiple choice', counted(questions, 'question')],
      ['acc', shareText(accuracy)],
      ['acc_norm', shareText(accuracyNorm)],
    );
  }
  if (completions) {
    const { questions, exactMatch } = completions;
    rows.push(
      ['completions', counted(questions, 'question')],
      ['exact match', shareText(exactMatch)],
    );
  }
  return table(rows, ['left', 'left']);
}

function shareText({ share, standardError }: Share): string {
  return `${percent(share)} ± ${percent(standardError)}`;
}
