import { StruPruneError } from '../../errors';
import { projectByRatio, roundKept } from './projection';
import type { Structure } from './types';

export interface KvHeadOptions {
  heads: number;
  kvHeads: number;
  headDim: number;
  hidden: number;
}

/** A KV head with all its query heads: rows of q, k and v, columns of o. One head at least stays. */
export function kvHeadStructure(options: KvHeadOptions): Structure {
  const { heads, kvHeads, headDim, hidden } = options;
  if (heads % kvHeads !== 0) {
    throw new StruPruneError('ERR_ARGUMENT', `${heads} query heads do not divide by ${kvHeads}`);
  }
  const queryRows = (heads / kvHeads) * headDim;
  const cost = 2 * hidden * (queryRows + headDim);
  const rule = { multiple: 1, least: 1 };
  return {
    name: 'kv-heads',
    groups: kvHeads,
    costs: new Float64Array(kvHeads).fill(cost),
    roundKept: (wanted) => roundKept(wanted, kvHeads, rule),
    project: (energies, costs, budget) => projectByRatio(energies, costs, budget, rule),
  };
}
