/** How much goes. */
import { StruPruneError } from '../errors';
import { flagOf } from '../wording';
import {
  choice,
  file,
  multiplyAddsOrPercent,
  type Percent,
  parametersOrPercent,
  removal,
  sizeOrPercent,
  speedUp,
} from './kinds';
import { declare } from './option';

/** What is timed: a prompt that is read at once, or tokens that are made one by one. */
export const PACES = ['prompt', 'generation'] as const;

const TARGETS = declare(
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
    targetSpeed: {
      takes: speedUp,
      help: 'instead: how many times as fast the output shall be, 1.3, by the times of widths that --latency has',
      alternative: true,
      changes: 'run',
    },
  },
);

const ofSpeed = ({ targetSpeed }: Target) =>
  targetSpeed === undefined ? 'without --target-speed' : null;

export const TARGET = {
  ...TARGETS,
  ...declare(
    { group: 'How much' },
    {
      latency: {
        takes: file,
        help: 'latency.json of `bench latency MODEL`',
        changes: 'places', // an identity has the times that it gives
        read: [ofSpeed],
      },
      speedOf: {
        takes: choice(PACES),
        help: 'what shall be so fast: reading a prompt, or generation',
        otherwise: 'generation where --latency has it, else prompt',
        changes: 'run',
        read: [ofSpeed],
      },
    },
  ),
};

/** One of them. */
export interface Target {
  sparsity?: number;
  targetParams?: number | Percent;
  targetMacs?: number | Percent;
  targetSize?: number | Percent;
  targetSpeed?: number;
}

/** @throws StruPruneError ERR_ARGUMENT */
export function requireOneTarget(target: Target): void {
  const keys = Object.keys(TARGETS) as (keyof Target)[];
  const given = keys.filter((key) => target[key] !== undefined).map(flagOf);
  if (given.length === 1) return;
  throw new StruPruneError(
    'ERR_ARGUMENT',
    given.length ? `${given.join(' and ')} exclude each other` : 'nothing says how much to prune',
    'give one of --sparsity, --target-params, --target-macs, --target-size and --target-speed',
  );
}
