/** What the built files need: the addon nothing of CUDA, the CUDA library no library of CUDA. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import test from 'ava';

const RELEASE = resolve(__dirname, '../../build/Release');
const output = (command: string, ...args: string[]) =>
  execFileSync(command, args, { encoding: 'utf8' });

test('the addon needs no library and no symbol of CUDA', (t) => {
  const addon = join(RELEASE, 'struprune.node');
  const needed = output('readelf', '-d', addon).match(/NEEDED.*/g) ?? [];
  t.true(needed.length > 0);
  for (const line of needed) t.notRegex(line, /cuda|cublas|cusolver|nvidia/i);
  t.notRegex(output('nm', '-D', '--undefined-only', addon), /\b(cu[A-Z]|cuda|cublas|cusolver)\w*/);
});

const library = join(RELEASE, 'struprune_cuda.so');
(existsSync(library) ? test : test.skip)(
  'the CUDA library gives one symbol and brings the runtime along',
  (t) => {
    const defined = output('nm', '-D', '--defined-only', library).trim().split('\n');
    const names = defined.map((line) => line.split(' ').pop()!);
    t.deepEqual(
      names.filter((name) => !name.startsWith('_Z')),
      ['struprune_cuda_api'],
    );
    t.notRegex(output('readelf', '-d', library), /NEEDED.*(cuda|cublas|cusolver|stdc\+\+)/);
  },
);
