/** Surveys on the disk. test/e2e/resume.test.ts has those of whole runs. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { Engine } from '../../lib/engine/engine';
import { native } from '../../lib/engine/native';
import { AS_IS, Session } from '../../lib/engine/session';
import { readSurvey, writeSurvey } from '../../lib/pruning/survey-file';

const MODEL = join(__dirname, '../../assets/tiny-opt');
const MIB = 2 ** 20;

test('metrics go to the disk and come back a little at a time, whatever the garbage collector does', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'struprune-survey-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'survey');
  await using engine = new Engine({ threads: 1, memory: 64 * MIB, device: 'cpu' });
  const session = new Session(engine, await openCheckpoint(MODEL), AS_IS, folder);
  t.teardown(() => session.dispose());
  const [rows, cols] = [24 * 1024, 1024];
  const metrics = session.matrix(rows, cols, 256, folder);
  const marks = [0, 1023, rows - 1];
  for (const row of marks) {
    native.setMatrixRows(engine.handle, metrics, row, new Float32Array(cols).fill(row + 1));
  }
  const before = process.memoryUsage().arrayBuffers;
  let most = before;
  const timer = setInterval(() => {
    most = Math.max(most, process.memoryUsage().arrayBuffers);
  }, 1);
  t.teardown(() => clearInterval(timer));
  const identity = { checkpoint: 'any' };
  const survey = { curves: [], weights: [], metrics };
  await writeSurvey(path, engine, { columns: null, survey }, identity, {});
  native.release(metrics);
  const read = (await readSurvey(path, engine, [], identity, folder)).survey!.metrics!;
  // A piece of the matrix and one of the file, of 96 MiB.
  t.true(most - before < 4 * MIB, `${(most - before) / MIB} MiB of array buffers`);
  for (const row of [...marks, 5000]) {
    const [value] = native.matrixRows(engine.handle, read, row, 1);
    t.is(value, marks.includes(row) ? row + 1 : 0);
  }
  native.release(read);
});
