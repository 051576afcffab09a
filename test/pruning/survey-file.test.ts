/** Surveys on the disk. test/e2e/resume.test.ts has those of whole runs. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { type ArrayPlan, writeArrays } from '../../lib/checkpoint/arrays-file';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { Engine } from '../../lib/engine/engine';
import { AS_IS, Session } from '../../lib/engine/session';
import { readSurvey, writeSurvey } from '../../lib/pruning/survey-file';
import type { Layer } from '../../lib/spec/widths';

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
    metrics.write(row, new Float32Array(cols).fill(row + 1));
  }
  const before = process.memoryUsage().arrayBuffers;
  let most = before;
  const timer = setInterval(() => {
    most = Math.max(most, process.memoryUsage().arrayBuffers);
  }, 1);
  t.teardown(() => clearInterval(timer));
  const identity = { checkpoint: 'any' };
  const survey = { curves: [], weights: [], metrics };
  await writeSurvey(path, { columns: null, survey }, identity, {});
  metrics[Symbol.dispose]();
  const read = (await readSurvey(path, engine, [], identity, folder)).survey!.metrics!;
  // A piece of the matrix and one of the file, of 96 MiB.
  t.true(most - before < 4 * MIB, `${(most - before) / MIB} MiB of array buffers`);
  for (const row of [...marks, 5000]) {
    const [value] = read.read(row, 1);
    t.is(value, marks.includes(row) ? row + 1 : 0);
  }
  read[Symbol.dispose]();
});

const layer = { block: 0, site: 'ffn', groups: 4, cost: 1, groupSize: 1 } as const;
const layers: Layer[] = [{ ...layer, allowed: Int32Array.of(0, 1, 2, 3) }];

test('a survey with less in it than its layers need, or of nobody, is refused by name', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'struprune-survey-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  await using engine = new Engine({ threads: 1, device: 'cpu' });
  const identity = { checkpoint: 'any' };
  const array = (name: string, ...values: number[]): ArrayPlan => ({
    name,
    dtype: 'F64',
    shape: [values.length],
    pieces: () => [Float64Array.from(values)],
  });
  const curve = array('curve.0', 0, 1, 2, 3);
  const weights = array('weights', 1);
  const read = async (stored: string, ...arrays: ArrayPlan[]) => {
    const path = join(folder, 'survey');
    const metadata = { kind: 'struprune survey', identity: stored };
    await writeArrays(path, arrays, metadata, { replace: true });
    return readSurvey(path, engine, layers, identity, folder);
  };
  const sound = JSON.stringify(identity);
  t.deepEqual((await read(sound, weights, curve)).survey!.weights, [1]);
  const refuses = (message: RegExp, stored: string, ...arrays: ArrayPlan[]) =>
    t.throwsAsync(read(stored, ...arrays), { code: 'ERR_CHECKPOINT', message });
  await refuses(/curve\.0 .* too few numbers/, sound, weights, array('curve.0', 0, 1, 2));
  await refuses(/weights .* too few numbers/, sound, array('weights'), curve);
  await refuses(/has no curve\.0/, sound, weights);
  const norms = array('columns.0.weightNormSq', 1, 1, 1);
  await refuses(/columns\.0\.weightNormSq .* too few/, sound, norms);
  for (const broken of ['', '{', '[]', 'null', '{"checkpoint":{"toString":1}}']) {
    await refuses(/is no calibration of this program/, broken, weights, curve);
  }
});
