/** Gradients of factors and steps of Adam against torch (scripts/oracles/make-tune-fixtures.py). */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { Engine } from '../../lib/engine/engine';
import { Session } from '../../lib/engine/session';
import { adamState, adamStep } from '../../lib/tuning/adam';
import { endsWith } from '../../lib/tuning/ends';
import { scaledBlock } from '../../lib/tuning/factors';
import { type Gradients, gradientsOf, lessonOf } from '../../lib/tuning/passes';
import { allPlaces, namedPlaces } from './factors';

const FIXTURES = join(__dirname, '../fixtures');

interface Expected {
  rate: number;
  /** By `block.role` or `finalNorm`. */
  start: Record<string, number[]>;
  gradient: Record<string, number[]>;
  logs: Record<string, number[]>;
  /** Before every step and after the last one. */
  divergence: number[];
}

const read = (...names: string[]) => JSON.parse(readFileSync(join(FIXTURES, ...names), 'utf8'));
const NAMES = readdirSync(join(FIXTURES, 'tuning'))
  .filter((name) => name !== 'versions.json')
  .map((name) => name.replace('.json', ''));

test('the fixtures have biases, norms of heads, norms behind the sites, a parallel residual, and capped logits', (t) => {
  t.deepEqual(NAMES, [
    'gemma2-unlike',
    'gemma3-unlike',
    'gpt-neox',
    'llama-bias',
    'llama3-tied',
    'opt-post',
    'opt-pre',
    'qwen3',
  ]);
});

const difference = (a: Float64Array, b: Float64Array) => a.map((value, i) => value - b[i]!);

for (const name of NAMES) {
  for (const scratch of ['', tmpdir()]) {
    test(`${name}: factors go where torch takes them (${scratch ? 'scratch' : 'memory'})`, async (t) => {
      const expected: Expected = read('tuning', `${name}.json`);
      const inputIds: number[][] = read('models', name, 'expected.json').inputIds;
      const folder = mkdtempSync(join(tmpdir(), 'struprune-tune-'));
      // Gradients are torch's to float's precision.
      const engine = new Engine({ threads: 2, fullPrecision: true });
      const session = new Session(engine, await openCheckpoint(join(FIXTURES, 'models', name)));
      const places = allPlaces(session.architecture);
      const named = namedPlaces(places);
      t.deepEqual(named.map(([place]) => place).sort(), Object.keys(expected.start).sort());
      const flat = (values: Record<string, number[]>) => {
        const all = new Float64Array(places.count);
        for (const [place, { at }] of named) all.set(values[place]!, at);
        return all;
      };
      const reading = { window: inputIds[0]!.length, scratch };
      const dense = { ...reading, session, load: (index: number) => session.loadBlock(index) };
      const lesson = await lessonOf(dense, Int32Array.from(inputIds.flat()));
      const logs = flat(expected.start);
      const pass = async (): Promise<Gradients> => {
        const ends = await endsWith(session, places.finalNorm, logs, join(folder, 'norm.bin'));
        const load = async (index: number) =>
          scaledBlock(await session.loadBlock(index), places.blocks[index], logs);
        const found = await gradientsOf({ ...reading, session: ends, load }, places, lesson);
        ends.dispose();
        return found;
      };
      const adam = adamState(places.count);
      for (const [step, divergence] of expected.divergence.entries()) {
        const found = await pass();
        t.true(Math.abs(found.divergence - divergence) < 1e-4 * divergence, `step ${step}`);
        if (step === 0) {
          const wanted = flat(expected.gradient);
          for (const [place, { at, count }] of named) {
            const own = wanted.subarray(at, at + count);
            const off = difference(found.gradient.subarray(at, at + count), own);
            const largest = Math.max(...own.map(Math.abs));
            t.true(Math.max(...off.map(Math.abs)) < 1e-4 * largest, place);
          }
        }
        if (step < 10) adamStep(logs, found.gradient, adam, expected.rate);
      }
      // The first steps go by the sign of the gradient, and by that of a rounding error where it is 0.
      const off = difference(logs, flat(expected.logs)).map(Math.abs).sort();
      t.true(off[Math.floor(0.99 * off.length)]! < 0.01 * expected.rate, `${off.at(-1)}`);
      await lesson.dense.mean[Symbol.asyncDispose]();
      session.dispose();
      await engine.dispose();
      rmSync(folder, { recursive: true });
    });
  }
}
