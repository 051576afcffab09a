import {
  type BlockHandle,
  type MetricPlace,
  native,
  type StatisticsHandle,
} from '../../engine/native';
import type { Session } from '../../engine/session';
import type { NativeSolver } from '../../solver/native-solver';
import type { Layer } from '../../spec/widths';

/** Makes a solver of a site's sums for `use` alone: its native memory goes back afterwards, whatever happens. */
export async function withSolver<T>(
  session: Session,
  lambda: number,
  block: BlockHandle,
  layer: Layer,
  sums: { statistics: StatisticsHandle; metric: MetricPlace | null },
  use: (solver: NativeSolver) => Promise<T>,
): Promise<T> {
  const solver = await native.createSolver(
    session.engine.handle,
    sums.statistics,
    block,
    layer.site,
    { lambda, group: layer.groupSize, metric: sums.metric },
  );
  try {
    return await use(solver);
  } finally {
    solver.release();
  }
}
