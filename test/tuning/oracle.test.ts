/** Gradients of factors and steps of Adam against torch (scripts/oracles/make-tune-fixtures.py). */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { Engine } from '../../lib/engine/engine';
import { Session } from '../../lib/engine/session';
import { adamState, adamStep } from '../../lib/tuning/adam';
import {
  type ChangeGradient,
  type ChangePlace,
  fillFirst,
  stateMemory,
  stepChanges,
} from '../../lib/tuning/changes';
import { endsWith } from '../../lib/tuning/ends';
import { type Gradients, gradientsOf, lessonOf } from '../../lib/tuning/passes';
import { type Tuning, tunedBlock } from '../../lib/tuning/tuning';
import { atOnce } from '../../lib/turns';
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
  /** Of low rank, numbers by `block.map.left` and `.right`. */
  changes: {
    rank: number;
    /** Of each one's first step. */
    rates: Record<string, number>;
    gradient: Record<string, number[]>;
    values: Record<string, number[]>;
  };
}

/** As scripts/oracles/make-tune-fixtures.py has them. */
const MAP_NAMES: Record<string, string> = { 'attention.out': 'o', 'ffn.out': 'down' };
const mapOf = (role: string) => MAP_NAMES[role] ?? role.slice(role.indexOf('.') + 1);
const firstNumbers = (count: number, phase: number) =>
  Array.from({ length: count }, (_, i) => 0.1 * Math.sin(phase + 3 * i));

/** Where each factor of a change lies among its block's numbers. */
function sidesOf(places: readonly ChangePlace[], block: number) {
  return places.flatMap(({ role, rows, cols, rank, at }) => [
    { name: `${block}.${mapOf(role)}.left`, role, at, count: rows * rank, phase: 1 },
    {
      name: `${block}.${mapOf(role)}.right`,
      role,
      at: at + rows * rank,
      count: rank * cols,
      phase: 2,
    },
  ]);
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
      const { rank, rates, ...changed } = expected.changes;
      const all = allPlaces(session.architecture, rank);
      const places = all.factors;
      const named = namedPlaces(places);
      const states = all.changes.map((own, block) => {
        const state = stateMemory([own])(own);
        fillFirst(state, block, own);
        for (const { role, at, count, phase } of sidesOf(own, block)) {
          state.values.set(firstNumbers(count, phase + mapOf(role).length + block), at);
        }
        return state;
      });
      const sides = all.changes.flatMap((own, block) =>
        sidesOf(own, block).map((side) => ({ ...side, block })),
      );
      t.deepEqual(sides.map(({ name }) => name).sort(), Object.keys(changed.values).sort());
      const gradients: ChangeGradient[] = [];
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
      const tuning: Tuning = { ...all, logs, valuesOf: async (block) => states[block]!.values };
      const learn = async (block: number, gradient: ChangeGradient) => {
        gradients[block] = gradient;
      };
      const pass = async (): Promise<Gradients> => {
        const ends = await endsWith(session, places.finalNorm, logs, join(folder, 'norm.bin'));
        const load = async (index: number) =>
          tunedBlock(await session.loadBlock(index), index, tuning);
        const of = { ...reading, session: ends, load };
        const found = await gradientsOf(of, tuning, lesson, learn);
        ends.dispose();
        return found;
      };
      const adam = adamState(places.count);
      const near = (found: Float64Array, wanted: Float64Array, place: string) => {
        const largest = Math.max(...wanted.map(Math.abs));
        t.true(Math.max(...difference(found, wanted).map(Math.abs)) < 1e-4 * largest, place);
      };
      for (const [step, divergence] of expected.divergence.entries()) {
        const found = await pass();
        t.true(Math.abs(found.divergence - divergence) < 1e-4 * divergence, `step ${step}`);
        if (step === 0) {
          const wanted = flat(expected.gradient);
          for (const [place, { at, count }] of named) {
            near(found.gradient.subarray(at, at + count), wanted.subarray(at, at + count), place);
          }
          for (const { block, name, at, count } of sides) {
            const own = Float64Array.from(gradients[block]!.numbers.subarray(at, at + count));
            near(own, Float64Array.from(changed.gradient[name]!), name);
          }
        }
        if (step === 10) break;
        atOnce(adamStep(logs, found.gradient, adam, expected.rate));
        for (const [block, state] of states.entries()) {
          atOnce(stepChanges(all.changes[block]!, state, gradients[block]!, step, expected.rate));
        }
      }
      // The first steps go by the sign of the gradient, and by that of a rounding error where it is 0.
      const off = difference(logs, flat(expected.logs)).map(Math.abs).sort();
      t.true(off[Math.floor(0.99 * off.length)]! < 0.01 * expected.rate, `${off.at(-1)}`);
      for (const { block, name, at, count } of sides) {
        const own = Float64Array.from(states[block]!.values.subarray(at, at + count));
        const off = difference(own, Float64Array.from(changed.values[name]!)).map(Math.abs).sort();
        t.true(off[Math.floor(0.95 * off.length)]! < 0.02 * rates[name]!, `${name} ${off.at(-1)}`);
      }
      await lesson.dense.mean[Symbol.asyncDispose]();
      session.dispose();
      await engine.dispose();
      rmSync(folder, { recursive: true });
    });
  }
}
