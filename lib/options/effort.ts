/** Time against quality: one word that sets the options which decide it. */
import { choice } from './kinds';
import { declare } from './option';

export type Effort = 'quick' | 'balanced' | 'best';

export const EFFORTS = ['quick', 'balanced', 'best'] as const satisfies readonly Effort[];

/** A default that the effort decides. */
export function byEffort<T>(values: Record<Effort, T>): (settings: { effort: Effort }) => T {
  return ({ effort }) => values[effort];
}

export const EFFORT = declare(
  { group: 'Effort' },
  {
    effort: {
      takes: choice(EFFORTS),
      help: 'time against quality: the defaults of tokens, FFN solver and tuning',
      default: 'balanced',
      changes: 'nothing', // by itself: what it decides does
      also: ['survey'],
    },
  },
);
