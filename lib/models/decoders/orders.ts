import type { PruneResult } from '../../pruning/result';

/** What rank 0 asks of the others (lib/engine/team.ts): their share of something, or to end with what the run gave. */
export type Order =
  | { task: 'trials' }
  | { task: 'trials without'; gone: readonly number[] }
  | { task: 'solve'; removed: Int32Array }
  /** To say what it has done in each stage. */
  | { task: 'stages' }
  | { task: 'end'; result: PruneResult };
