import type { Block } from '../../engine/block';
import type { MetricPlace } from '../../engine/matrix';
import { Solver } from '../../engine/solver';
import type { Statistics } from '../../engine/statistics';
import { ridgeOfLayer } from '../../solver/ridge';
import type { Layer } from '../../spec/widths';

/**
 * Makes a solver of a site's sums for `use` alone: its native memory goes back afterwards, whatever happens.
 * `lambda`: as it was asked for.
 */
export async function withSolver<T>(
  lambda: number | undefined,
  block: Block,
  layer: Pick<Layer, 'site' | 'groupSize'>,
  { statistics, metric }: { statistics: Statistics; metric: MetricPlace | null },
  use: (solver: Solver) => Promise<T>,
): Promise<T> {
  const sums = { columns: statistics.dim, tokens: statistics.read().tokens };
  const options = { lambda: ridgeOfLayer(lambda, sums), group: layer.groupSize, metric };
  using solver = await Solver.of(block, layer.site, statistics, options);
  return await use(solver);
}
