/**
 * A run that does not listen to its signal, under the program's own handler of Ctrl-C: interrupt-process.ts MODEL
 * OPTIONS-JSON prints "at work" when blocks are being written.
 */
import { interruptible } from '../../lib/cli/terminal/interrupt';
import { prune } from '../../lib/prune';

const [model, options] = process.argv.slice(2);
void interruptible(() =>
  prune(model!, {
    ...JSON.parse(options!),
    onProgress: ({ stage }) => stage === 'solve' && console.log('at work'),
  }),
);
