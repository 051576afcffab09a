/** `bench scale` as rows, one process first. */
import type { BenchScale } from './bench';

export interface ScaleRow {
  ranks: number;
  /** Seconds of the rank that takes longest; `network`: of sums on their way, null where none go. */
  survey: number;
  solve: number;
  network: number | null;
  seconds: number;
  /** Than one process. */
  faster: number;
  /** Bytes of sums of the rank that sends most. */
  sent: number;
}

export function scaleRows({ measured, rows }: BenchScale): ScaleRow[] {
  const took = (name: string) => measured.find(({ stage }) => stage === name)?.seconds ?? 0;
  const one: ScaleRow = {
    ...{ ranks: 1, survey: took('survey'), solve: took('solve'), network: null },
    seconds: measured.reduce((sum, { seconds }) => sum + seconds, 0),
    ...{ faster: 1, sent: 0 },
  };
  const planned = rows.map(({ sharesTokens, network, each, ...row }) => ({
    ...row,
    network: sharesTokens ? network : null,
    sent: Math.max(...each.map(({ rank }) => sentBy(each, rank))),
  }));
  return [one, ...planned];
}

function sentBy(each: BenchScale['rows'][number]['each'], rank: number): number {
  return each.filter((one) => one.rank === rank).reduce((sum, { sent }) => sum + sent, 0);
}
