/** Time against quality: one word that sets the options which decide it. */
import { choice } from './kinds';
import { declare } from './option';

export type Effort = 'quick' | 'balanced' | 'best';

export const EFFORTS = ['quick', 'balanced', 'best'] as const satisfies readonly Effort[];

export const EFFORT = declare(
  { group: 'Effort' },
  {
    effort: {
      takes: choice(EFFORTS),
      help: 'time against quality: the defaults of tokens, FFN solver and tuning (SmolLM2 at 40 %: 3.3, 7.7 and 10.4 minutes on two cores with AMX for a perplexity of 45.1, 37.3 and 36.4, dense 22.6)',
      default: 'balanced',
      changes: 'nothing', // by itself: what it decides does
      also: ['survey'],
    },
  },
);
