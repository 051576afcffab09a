/** SmolLM2's Fisher metrics on real text against torch's autograd: STRUPRUNE_LONG=1 runs it; small models' are in test/calibration. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { fisherMetrics } from '../../lib/calibration/fisher';
import { readWindows } from '../../lib/calibration/text';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { Engine } from '../../lib/engine/engine';
import { Session } from '../../lib/engine/session';
import type { Statistics } from '../../lib/engine/statistics';
import { isLong } from '../long';

const TEXT = join(__dirname, '../../assets/text/evaluation.txt');
const WINDOW = 320;
const WINDOWS = 3;
const BLOCKS = [0, 14, 29];

const work = mkdtempSync(join(tmpdir(), 'struprune-fisher-'));
test.after.always(() => rmSync(work, { recursive: true, force: true }));

function torch(model: string, ids: Int32Array): { meanNll: number; grams: Float32Array } {
  const windows = Array.from({ length: WINDOWS }, (_, i) => [
    ...ids.subarray(i * WINDOW, (i + 1) * WINDOW),
  ]);
  const [input, output] = [join(work, 'ids.json'), join(work, 'grams.f32')];
  writeFileSync(input, JSON.stringify({ ids: windows, blocks: BLOCKS }));
  const env = { ...process.env, PYTHONPATH: process.env.STRUPRUNE_ORACLES };
  const script = join(__dirname, 'fisher.py');
  const printed = execFileSync('python3', [script, model, input, output], {
    env,
    encoding: 'utf8',
  });
  const bytes = new Uint8Array(readFileSync(output));
  return {
    meanNll: Number(printed.trim().split('\n').at(-1)),
    grams: new Float32Array(bytes.buffer),
  };
}

const run = isLong ? test : test.skip;

run('SmolLM2: metrics equal torch’s autograd', async (t) => {
  const model = process.env.STRUPRUNE_MODEL!;
  const source = await openCheckpoint(model);
  const ids = await readWindows(source, TEXT, { window: WINDOW, maxTokens: WINDOWS * WINDOW });
  // The metrics are torch's to float's precision.
  const engine = new Engine({ fullPrecision: true });
  const session = new Session(engine, source);
  const found = new Map<number, Float64Array[]>();
  const metrics = fisherMetrics(session, ids, { window: WINDOW, scratch: work });
  let next = await metrics.next();
  for (; !next.done; next = await metrics.next()) {
    const { index, gradients } = next.value;
    const gram = (sums: Statistics) => sums.gramRows(0, sums.dim);
    if (BLOCKS.includes(index))
      found.set(index, [gram(gradients.attention!), gram(gradients.ffn!)]);
  }
  session.dispose();
  engine.dispose();

  const wanted = torch(model, ids);
  t.true(Math.abs(next.value.meanNll - wanted.meanNll) < 1e-4);
  const { hidden } = source.architecture;
  const size = hidden * hidden;
  BLOCKS.forEach((block, at) => {
    for (const site of [0, 1]) {
      const gram = found.get(block)![site]!;
      const oracle = wanted.grams.subarray((2 * at + site) * size, (2 * at + site + 1) * size);
      const largest = oracle.reduce((top, value) => Math.max(top, Math.abs(value)), 0);
      const worst = gram.reduce((top, value, i) => Math.max(top, Math.abs(value - oracle[i]!)), 0);
      const what = `block ${block}, site ${site}: ${worst} of ${largest}`;
      t.log(what);
      t.true(largest > 0 && worst <= 1e-4 * largest, what);
    }
  });
});
