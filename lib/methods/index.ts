/** Every method by name. To add one: a file, and its line here. */
import { StruPruneError } from '../errors';
import { fasp } from './fasp';
import { flap } from './flap';
import { gisp } from './gisp';
import { magnitudeL2 } from './magnitude-l2';
import { osscar } from './osscar';
import { reap } from './reap';
import { struprune } from './struprune';
import type { Method } from './types';
import { tyrLocal } from './tyr-local';
import { unipruning } from './unipruning';
import { wandaSp } from './wanda-sp';

export type * from './types';

const ALL = [
  struprune,
  magnitudeL2,
  wandaSp,
  flap,
  unipruning,
  fasp,
  osscar,
  tyrLocal,
  gisp,
  reap,
] as const;

export const METHOD_NAMES = ALL.map(({ name }) => name);
export type MethodName = (typeof METHOD_NAMES)[number];

export const METHODS: ReadonlyMap<string, Method> = new Map<string, Method>(
  ALL.map((method) => [method.name, method]),
);

/** @throws StruPruneError ERR_ARGUMENT */
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

/** Whether a method leaves an option under Mask, Refit or Allocation to the caller. */
export function readsOption({ reads }: Method, option: string): boolean {
  return reads === 'all' || (reads as readonly string[]).includes(option);
}
