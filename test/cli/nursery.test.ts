/** What the program's own heap takes of --memory. */
import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { run, scratch } from './run';

const SCRIPT = `process.on('exit', () => {
  const spaces = require('node:v8').getHeapSpaceStatistics();
  process.stdout.write(' nursery ' + spaces.find((space) => space.space_name === 'new_space').space_size);
});`;
const bytesIn = (stdout: string) => Number(/ nursery (\d+)$/.exec(stdout)![1]);

test('the nursery of the heap does not grow while the program is loaded', async (t) => {
  const script = join(await scratch(t), 'exit.js');
  await writeFile(script, SCRIPT);
  const empty = execFileSync(process.execPath, ['-r', script, '-e', '0'], { encoding: 'utf8' });
  const { stdout } = await run(['formats'], { env: { NODE_OPTIONS: `--require ${script}` } });
  // An empty program has touched one of its two halves.
  t.true(bytesIn(stdout) <= 2 * bytesIn(empty), `${stdout.slice(-30)}, of an empty one${empty}`);
});
