/** Opens what was written, still under its temporary name, and measures it. */
import { StruPruneError } from '../errors';
import type { PruneResult } from '../pruning/result';
import type { Stage } from './stage';

/** Largest difference of the loss between the run and the written file. */
const TOLERANCE = 1e-4;

/** `expected`: what the run left. */
export interface ToVerify {
  path: string;
  expected: number;
}

export const verify: Stage<ToVerify, PruneResult['verification']> = {
  name: 'verify',

  async run({ network }, { path, expected }) {
    const actual = await network.measure(path);
    if (Math.abs(actual - expected) <= TOLERANCE) return { expected, actual };
    throw new StruPruneError(
      'ERR_VERIFY',
      `the written file gives a loss of ${actual} where the run had ${expected}`,
      'nothing was kept; please report this with the command',
    );
  },
};
