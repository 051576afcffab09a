/** How much goes. */
import { StruPruneError } from '../errors';
import { flagOf } from '../wording';
import { parameters, shareBelowOne, size } from './kinds';
import { declare } from './option';

export const TARGET = declare(
  { group: 'How much' },
  {
    sparsity: {
      takes: shareBelowOne,
      help: "share of the blocks' linear weights to remove, 0.2 for 20 %",
      alternative: true,
      changes: 'run',
      also: ['allocate'],
    },
    targetParams: {
      takes: parameters,
      help: 'instead: parameters that the output may have, for example 1.5M',
      alternative: true,
      changes: 'run',
      also: ['allocate'],
    },
    targetSize: {
      takes: size,
      help: "instead: largest size of the output's weight files, for example 200MiB",
      alternative: true,
      changes: 'run',
      also: ['allocate'],
    },
  },
);

/** One of them. */
export type Target = { [Key in keyof typeof TARGET]?: number };

/** @throws StruPruneError ERR_ARGUMENT */
export function requireOneTarget(target: Target): void {
  const keys = Object.keys(TARGET) as (keyof Target)[];
  const given = keys.filter((key) => target[key] !== undefined).map(flagOf);
  if (given.length === 1) return;
  throw new StruPruneError(
    'ERR_ARGUMENT',
    given.length ? `${given.join(' and ')} exclude each other` : 'nothing says how much to prune',
    'give one of --sparsity, --target-params and --target-size',
  );
}
