import type { RefitOptions } from '../engine/native-solver';
import type { Refit } from '../engine/refit';
import type { Solver } from '../engine/solver';

/** What becomes of the map on the groups that are kept: its exact refit, or its columns as they are. */
export function fitOf(
  solver: Solver,
  keep: Uint8Array,
  { exact, ...options }: RefitOptions & { exact: boolean },
): Promise<Refit> {
  return exact ? solver.refit(keep, options) : solver.slice(keep);
}
