/** A mask by a function of the caller's, whose result is checked here. */

import type { Metric } from '../engine/native-solver';
import type { Solver } from '../engine/solver';
import { StruPruneError } from '../errors';
import type { Site } from '../model/sublayers';
import type { Own } from '../own';
import type { Structure } from '../solver/structures/types';

/** A solver that is somebody else's. */
export type LentSolver = Omit<
  Solver,
  'handle' | typeof Symbol.dispose | typeof Symbol.asyncDispose
>;

/** One site's problem. */
export interface MaskTask {
  /**
   * Every step that our own searches are made of: sweep, ADMM, swaps, refit. Await one before the next. What the search
   * does not dispose of their results goes when it ends.
   */
  solver: LentSolver;
  /** What is removed, what each group costs, and the projection onto a budget. */
  structure: Structure;
  /** Weights that may stay. */
  budget: number;
  /** Groups that must stay: the allocation has chosen the width. */
  keep: number;
  /** A bias may absorb the mean. */
  bias: boolean;
  /** What an error is to be measured in. */
  metric: Metric;
  block: number;
  site: Site;
}

/** `[groups]`, 1 = keep, 0 = remove; exactly `keep` ones. */
export type MaskFunction = (task: MaskTask) => ArrayLike<number> | Promise<ArrayLike<number>>;

/** @throws StruPruneError ERR_ARGUMENT for another mask than was asked for; whatever the function throws */
export async function maskByCaller(search: Own<MaskFunction>, task: MaskTask): Promise<Uint8Array> {
  const { solver, takeBack } = lend(task.solver);
  const returned = await Promise.resolve(search.call({ ...task, solver })).finally(takeBack);
  const { structure, keep, block, site } = task;
  const refuse = (what: string) => {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `the mask search ${search} ${what} in block ${block}, ${site}`,
      `return ${structure.groups} entries, of which ${keep} are 1 and the others 0`,
    );
  };
  if (returned?.length !== structure.groups) {
    refuse(`returned ${returned?.length ?? 'no'} entries for ${structure.groups} groups`);
  }
  const entries = Array.from(returned);
  const odd = entries.findIndex((entry) => entry !== 0 && entry !== 1);
  if (odd !== -1) refuse(`returned ${String(entries[odd])} for group ${odd}`);
  const kept = entries.reduce((sum, entry) => sum + entry, 0);
  if (kept !== keep) refuse(`keeps ${kept} groups`);
  return Uint8Array.from(entries);
}

/** The solver for a function of the caller's, and what disposes of all that it gave. */
function lend(solver: LentSolver): { solver: LentSolver; takeBack: () => void } {
  const held: Disposable[] = [];
  const holding = async <O extends Disposable>(made: Promise<O>): Promise<O> => {
    const owned = await made;
    held.push(owned);
    return owned;
  };
  const { columnCount, groupCount, targetNormSq } = solver;
  const lent: LentSolver = {
    ...{ columnCount, groupCount, targetNormSq },
    columns: () => solver.columns(),
    costs: (keep, options) => solver.costs(keep, options),
    sweep: (options) => solver.sweep(options),
    swap: (keep, options) => solver.swap(keep, options),
    refit: (keep, options) => holding(solver.refit(keep, options)),
    slice: (keep, options) => holding(solver.slice(keep, options)),
    admm: (options) => holding(solver.admm(options)),
  };
  return {
    solver: lent,
    takeBack: () => {
      for (const owned of held) owned[Symbol.dispose]();
    },
  };
}
