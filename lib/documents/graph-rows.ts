/** What `bench graphs` measured, as lines of a table: the dense graph first. */
import type { BenchGraphRow, BenchGraphs, BenchMeasuredGraph } from './bench';

export interface GraphLine extends BenchMeasuredGraph {
  label: string;
  sparsity: number;
  /** Time of the dense graph ÷ that of this one, on one and on two threads. */
  faster: [one: number, two: number];
}

const LABELS = { refit: 'pruned and refitted', 'slice-l2': 'sliced by L2 norm' } as const;

const labelOf = ({ method, name }: BenchGraphRow) => (method === 'rival' ? name! : LABELS[method]);

export function graphRows({ dense, rows }: BenchGraphs): GraphLine[] {
  const line = (label: string, sparsity: number, one: BenchMeasuredGraph): GraphLine => ({
    ...one,
    label,
    sparsity,
    faster: [
      dense.secondsOneThread / one.secondsOneThread,
      dense.secondsTwoThreads / one.secondsTwoThreads,
    ],
  });
  return [line('dense', 0, dense), ...rows.map((row) => line(labelOf(row), row.sparsity, row))];
}
