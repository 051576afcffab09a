/** The library in a host that treats it badly: threads that end, exits in the middle, handles that are forgotten. STRUPRUNE_LONG=1: more threads. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { isLong } from '../long';
import { build, runProgram } from './programs';

let folder: string;

test.before(() => {
  build();
  folder = mkdtempSync(join(tmpdir(), 'struprune-embed-'));
});

test.after.always(() => rmSync(folder, { recursive: true, force: true }));

test.serial(
  'worker threads load the addon, use it and end, of themselves and by force',
  async (t) => {
    const { code, signal, stdout, stderr } = await runProgram('threads.js', [folder]);
    t.deepEqual({ code, signal, stderr }, { code: 0, signal: null, stderr: '' });
    const each = (end: number) => Array.from({ length: isLong ? 4 : 2 }, () => end);
    t.deepEqual(JSON.parse(stdout), {
      ends: { whole: each(0), terminated: each(1), exiting: each(3) },
      planned: true,
    });
  },
);

for (const stage of ['survey', 'solve', 'write']) {
  test.serial(`process.exit during the stage ${stage}`, async (t) => {
    const output = join(folder, `exit-${stage}`);
    const { code, signal, stderr } = await runProgram('exit.js', [output, stage]);
    t.deepEqual({ code, signal, stderr }, { code: 7, signal: null, stderr: '' });
    t.false(existsSync(output), 'no half output');
  });
}

test.serial('process.exit does not wait for a job of a minute', async (t) => {
  const start = performance.now();
  const { code, signal, stderr } = await runProgram('exit-at-work.js');
  t.deepEqual({ code, signal, stderr }, { code: 7, signal: null, stderr: '' });
  t.true(performance.now() - start < 30_000);
});

test.serial('many engines have one listener to the end of the process', async (t) => {
  const { code, stdout, stderr } = await runProgram('many-engines.js');
  t.deepEqual({ code, stderr }, { code: 0, stderr: '' });
  t.deepEqual(JSON.parse(stdout), { with: 1, without: 0 });
});

test.serial('engines that are forgotten give their threads back', async (t) => {
  const { code, stdout, stderr } = await runProgram('forget.js', [], { flags: ['--expose-gc'] });
  t.deepEqual({ code, stderr }, { code: 0, stderr: '' });
  const { before, most, after } = JSON.parse(stdout);
  t.true(most > before, 'engines have threads');
  t.true(most < before + 300, `at most ${most} threads at once`);
  t.is(after, before);
});

test.serial('a run that is ended leaves nothing beside its journal', (t) => {
  const left = readdirSync(folder).filter((name) => name.includes('exit-'));
  t.deepEqual(
    left.filter((name) => !/^exit-\w+\.struprune-journal$/.test(name)),
    [],
  );
  t.true(left.length > 0, 'journals are there to be resumed');
});
