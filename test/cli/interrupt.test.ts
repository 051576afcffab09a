/** A second Ctrl-C, while the first one is not heard; a terminal that goes. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { CALIBRATION, quickPrune, run, scratch, TINY } from './run';

for (const name of ['small', 'small.gguf']) {
  test(`twice Ctrl-C while ${name} is half made: exit at once, the journal alone is left`, async (t) => {
    const folder = await scratch(t);
    const options = {
      output: join(folder, name),
      format: name.endsWith('gguf') ? 'gguf' : 'hf',
      calibration: CALIBRATION,
      calibrationTokens: 65536,
      sparsity: 0.25,
      allocation: 'uniform',
      scratch: await scratch(t),
    };
    const loader = ['-r', require.resolve('../../scripts/lib/ts-register.js')];
    const program = join(__dirname, 'interrupt-process.ts');
    const child = spawn(process.execPath, [...loader, program, TINY, JSON.stringify(options)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    await once(child.stdout, 'data');
    const half = readdirSync(folder);
    t.deepEqual(half, [`${name}.struprune-journal`]);
    child.kill('SIGINT');
    t.regex(String((await once(child.stderr, 'data'))[0]), /once more to quit at once/);
    child.kill('SIGINT');
    t.deepEqual(await once(child, 'exit'), [130, null]);
    t.deepEqual(readdirSync(folder), half);
  });
}

test('stderr that breaks is no failure: the run goes on', async (t) => {
  const folder = await scratch(t);
  const args = quickPrune(join(folder, 'small'), '--method', 'flap', '--no-refit', '--json');
  const { code, stdout, stderr } = await run(args, {
    onStderr: (_, child) => child.stderr!.destroy(),
  });
  t.is(code, 0, stderr);
  t.is(JSON.parse(stdout).warnings.length, 1);
  t.deepEqual(readdirSync(folder), ['small']);
});

test('a terminal that goes: SIGHUP finds no stderr, and the run clears up', async (t) => {
  const folder = await scratch(t);
  const args = quickPrune(join(folder, 'small'), '--calibration-tokens', '65536');
  const { code, signal } = await run(args, {
    onStderr: (_, child) => {
      child.stderr!.destroy();
      child.kill('SIGHUP');
    },
  });
  t.deepEqual([code, signal], [129, null]);
  t.deepEqual(readdirSync(folder), []);
});
