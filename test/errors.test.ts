/** Errors of the system and of V8 that are nobody's fault have a code too. */
import test from 'ava';
import { outputError } from '../lib/checkpoint/output-error';
import { asStruPruneError, scarcity } from '../lib/errors';

const thrown = (code: string | undefined, message: string) =>
  Object.assign(new Error(message), code === undefined ? {} : { code });

const SCARCE: [what: RegExp, error: Error][] = [
  [/no more open files; .*ulimit -n/, thrown('EMFILE', "EMFILE: too many open files, open 'x'")],
  [/no more open files/, thrown('ENFILE', 'ENFILE: file table overflow')],
  [/no more open files/, thrown('ERR_WORKER_INIT_FAILED', 'Worker initialization failure: EMFILE')],
  [/no more memory/, thrown('ENOMEM', 'ENOMEM: not enough memory, read')],
  [/no more memory/, thrown('ERR_WORKER_OUT_OF_MEMORY', 'Worker terminated due to reaching it')],
  [/no more memory/, thrown(undefined, 'Array buffer allocation failed')],
  [/no more memory/, thrown('ERR_DLOPEN_FAILED', 'x.so: failed to map segment from shared object')],
];

for (const [message, error] of SCARCE) {
  test(`${error.message} is no fault of the program, nor of a file`, (t) => {
    for (const named of [asStruPruneError(error), outputError('out', error)]) {
      t.is(named.code, 'ERR_BUDGET');
      t.regex(named.message, message);
      t.is(named.cause, error);
    }
  });
}

test('other errors stay what they are', (t) => {
  t.is(asStruPruneError(new TypeError('x is not a function')).code, 'ERR_INTERNAL');
  t.is(outputError('out', thrown('ENOSPC', 'ENOSPC: no space left')).code, 'ERR_OUTPUT');
  for (const nothing of [undefined, null, 5, 'text']) t.is(scarcity(nothing), null);
});
