/** All layers pruned at once: what is measured is what a run that writes such a model has. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { evaluate, prune } from '../../../lib';
import { openCheckpoint } from '../../../lib/checkpoint/open';
import { withEngine } from '../../../lib/engine/call';
import { Session } from '../../../lib/engine/session';
import { maskAfter } from '../../../lib/masks/sweep';
import { DenseDecoder, everyOther } from '../../../lib/models/decoders/dense';
import { jointTokens } from '../../../lib/models/decoders/joint';
import type { JointLosses } from '../../../lib/models/front-end';
import { settingsOf } from '../../../lib/options';
import { resolve } from '../../../lib/spec';
import { keptIndices } from '../../../lib/spec/widths';

/** Under 128, so that no window is cut. */
const WINDOW = 120;
const TOKENS = 16 * WINDOW;

/** `steps`: groups that go in the network of a layer's own, by layer. */
async function jointly(
  model: string,
  ids: Int32Array,
  removed: readonly number[],
  steps: ReadonlyMap<number, number>,
): Promise<JointLosses & { parts: number[] }> {
  return withEngine({}, async (engine) => {
    const source = await openCheckpoint(model);
    const settings = settingsOf({
      output: '-',
      sparsity: 0.2,
      scope: 'all',
      window: WINDOW,
      dtype: 'f32',
    });
    const { layers, survey, output } = resolve(source, settings);
    const session = new Session(engine, source, output.stored);
    const parts: number[] = [];
    try {
      const network = new DenseDecoder({ session, ids, window: WINDOW, layers });
      const losses = await network.jointly({
        survey,
        networks: 1 + steps.size,
        onPart: (index) => parts.push(index),
        async visit(at, { solver, other, joint }) {
          const { groups, allowed } = layers[at]!;
          const { order } = await solver.sweep({ maxRemoved: allowed.at(-1)! });
          const cutTo = async (count: number, cut: typeof joint) => {
            if (count === 0) return cut(null);
            const keep = maskAfter(order, groups, count);
            using refit = await solver.refit(keep, { stored: network.stored });
            await cut({ kept: keptIndices(keep), refit });
          };
          const step = steps.get(at);
          if (step !== undefined) await cutTo(step, other);
          await cutTo(removed[at]!, joint);
        },
      });
      return { ...losses, parts };
    } finally {
      session.dispose();
    }
  });
}

const root = mkdtempSync(join(tmpdir(), 'struprune-joint-'));
test.after.always(() => rmSync(root, { recursive: true }));

/** KL to the dense model of a file that is pruned so, on its dense inputs. */
async function written(
  model: string,
  ids: Int32Array,
  removed: readonly number[],
): Promise<number> {
  const { sums, measuring } = jointTokens(ids.length, WINDOW, Number.POSITIVE_INFINITY);
  const { output } = await prune(model, {
    ...{ output: join(mkdtempSync(join(root, 'run-')), 'out'), sparsity: 1e-6, scope: 'all' },
    ...{ calibration: ids.subarray(0, sums), window: WINDOW, dtype: 'f32' },
    ...{ sequential: false, bias: 'keep', ffnSolver: 'output', tuneTokens: 0 },
    allocation: { name: 'given', allocate: () => [...removed] },
  });
  const text = ids.subarray(ids.length - measuring);
  const { against } = await evaluate(output, { text, window: WINDOW, against: model });
  return against!.klToDense;
}

const MODELS: [name: string, path: string][] = [
  ['llama3', fixture('llama3')],
  ['gpt-neox, both sublayers on one input', fixture('gpt-neox')],
];

function drawnIds(): Int32Array {
  let state = 7;
  return Int32Array.from({ length: TOKENS }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state % 100;
  });
}

function fixture(name: string): string {
  return join(__dirname, '../../fixtures/models', name);
}

for (const [name, model] of MODELS) {
  test.serial(`${name}: as a file that is pruned so, with a layer more or less too`, async (t) => {
    const ids = drawnIds();
    const source = await openCheckpoint(model);
    const { layers } = resolve(
      source,
      settingsOf({ output: '-', sparsity: 0.2, scope: 'all', window: WINDOW }),
    );
    // Every third layer stays whole.
    const removed = layers.map(({ allowed }, at) => (at % 3 === 0 ? 0 : allowed[1]!));
    const steps = new Map([
      [0, layers[0]!.allowed[1]!],
      [1, layers[1]!.allowed.at(-1)!],
      [2, 0],
    ]);
    const { loss, others, parts } = await jointly(model, ids, removed, steps);
    t.deepEqual(parts, [...source.architecture.blocks.keys()]);
    const near = (found: number, kl: number, about: string) =>
      t.true(Math.abs(found / kl - 1) < 2e-3, `${about}: ${found}, ${kl}`);
    near(loss, await written(model, ids, removed), 'joint');
    for (const [at, step] of steps) {
      const kl = await written(model, ids, removed.with(at, step));
      t.true(Math.abs(kl / loss - 1) > 1e-2, 'it differs');
      near(others[at]!, kl, `layer ${at}`);
    }
    t.is(others.filter(Number.isFinite).length, steps.size);
  });
}

test('a half has every other window', (t) => {
  const ids = Int32Array.from({ length: 10 }, (_, i) => i);
  t.deepEqual([...everyOther(ids, 2, 0)], [0, 1, 4, 5, 8, 9]);
  t.deepEqual([...everyOther(ids, 2, 1)], [2, 3, 6, 7]);
  t.is(everyOther(ids, 10, 1), ids);
});

test('what measures is not summed', (t) => {
  t.deepEqual(jointTokens(65_536, 1024, 16_384), { sums: 16_384, measuring: 4096 });
  t.deepEqual(jointTokens(16_384, 1024, 16_384), { sums: 12_288, measuring: 4096 });
  t.deepEqual(jointTokens(2048, 1024, 16_384), { sums: 1024, measuring: 1024 });
  t.deepEqual(jointTokens(256, 256, 16_384), { sums: 256, measuring: 256 });
});
