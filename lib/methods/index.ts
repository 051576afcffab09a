import { StruPruneError } from '../errors';
import { flap } from './flap';
import { magnitude } from './magnitude';
import { osscar } from './osscar';
import type { Method } from './types';
import { tyrLocal } from './tyr-local';
import { wandaSp } from './wanda-sp';

export { keepBest, removalCurve } from './select';
export * from './types';

const ALL = [magnitude, wandaSp, flap, osscar, tyrLocal] as const;

export const BASELINES = ALL.map(({ name }) => name);

/** Every baseline by name. */
export const METHODS: ReadonlyMap<string, Method> = new Map<string, Method>(
  ALL.map((method) => [method.name, method]),
);

export function methodOf(name: string): Method {
  const method = METHODS.get(name);
  if (!method) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `there is no method '${name}'`,
      `choose one of ${[...METHODS.keys()].join(', ')}`,
    );
  }
  return method;
}
