/** One-shot scores of groups, from what the native solver measured of each column. */
import type { ColumnStatistics } from './native-solver';

export type ScoreKind = 'magnitude' | 'wanda' | 'fluctuation';

type ColumnScore = (columns: ColumnStatistics, column: number) => number;

const COLUMN_SCORES: Record<ScoreKind, ColumnScore> = {
  /** mean |W| of the column. */
  magnitude: (columns, j) => columns.weightAbsMean[j]!,
  /** ‖W_j‖² · mean(x_j²): Wanda's |W|·‖x‖, squared and summed over the column (arXiv 2306.11695). */
  wanda: (columns, j) => columns.weightNormSq[j]! * columns.second[j]!,
  /** ‖W_j‖² · var(x_j): FLAP's fluctuation metric (arXiv 2312.11983). */
  fluctuation: (columns, j) =>
    columns.weightNormSq[j]! * Math.max(0, columns.second[j]! - columns.mean[j]! ** 2),
};

/** `[groups]`: the column scores summed over each group of `groupSize` neighbouring columns. */
export function groupScores(
  columns: ColumnStatistics,
  groupSize: number,
  kind: ScoreKind,
): Float64Array {
  const score = COLUMN_SCORES[kind];
  const scores = new Float64Array(columns.mean.length / groupSize);
  for (let j = 0; j < columns.mean.length; j++) {
    const group = Math.floor(j / groupSize);
    scores[group] = scores[group]! + score(columns, j);
  }
  return scores;
}
