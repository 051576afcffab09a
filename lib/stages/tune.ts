/** What the solve left, trained on data of its own, where the network can be and there are some. */
import type { Shrinking, Tuned } from '../models/front-end';
import type { Stage } from './stage';

export const tune: Stage<Shrinking, Tuned | null> = {
  name: 'tune',
  run: async (_work, shrinking) => (await shrinking.tune?.()) ?? null,
};
