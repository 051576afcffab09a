/** The output, put together of finished parts under a name that nobody sees yet: the receiver shows it or aborts it. */
import type { Output, Shrinking } from '../models/front-end';
import type { Stage } from './stage';

export const write: Stage<Shrinking, Output> = {
  name: 'write',
  run: (_work, shrinking) => shrinking.write(),
};
