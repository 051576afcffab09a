/** How much goes. */
import { StruPruneError } from '../errors';
import { flagOf } from '../wording';
import {
  multiplyAddsOrPercent,
  type Percent,
  parametersOrPercent,
  removal,
  sizeOrPercent,
} from './kinds';
import { declare } from './option';

export const TARGET = declare(
  { group: 'How much' },
  {
    sparsity: {
      takes: removal,
      help: "share of the blocks' linear weights to remove, 0.2 or 20%",
      alternative: true,
      changes: 'run',
      also: ['allocate', 'graph'],
    },
    targetParams: {
      takes: parametersOrPercent,
      help: 'instead: parameters that the output may have, 1.5M, or 75% of those that the model has',
      alternative: true,
      changes: 'run',
      also: ['allocate', 'graph'],
    },
    targetMacs: {
      takes: multiplyAddsOrPercent,
      help: 'instead: multiply-adds that the maps may take for a token, or for a sample of a graph, 1.5G, or 75% of what they take now',
      alternative: true,
      changes: 'run',
      also: ['allocate', 'graph'],
    },
    targetSize: {
      takes: sizeOrPercent,
      help: "instead: largest size of the output's weight files, 200MiB, or 75% of what they would take with nothing removed",
      alternative: true,
      changes: 'run',
      also: ['allocate', 'graph'],
    },
  },
);

/** One of them. */
export interface Target {
  sparsity?: number;
  targetParams?: number | Percent;
  targetMacs?: number | Percent;
  targetSize?: number | Percent;
}

/** @throws StruPruneError ERR_ARGUMENT */
export function requireOneTarget(target: Target): void {
  const keys = Object.keys(TARGET) as (keyof Target)[];
  const given = keys.filter((key) => target[key] !== undefined).map(flagOf);
  if (given.length === 1) return;
  throw new StruPruneError(
    'ERR_ARGUMENT',
    given.length ? `${given.join(' and ')} exclude each other` : 'nothing says how much to prune',
    'give one of --sparsity, --target-params, --target-macs and --target-size',
  );
}
