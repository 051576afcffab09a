/** Rules of the caller's own: what they see, what is refused of what they return, and how a journal knows them. */
import test from 'ava';
import {
  type AllocationFunction,
  allocate,
  type LayerCurves,
  type MaskFunction,
  prune,
  survey,
} from '../../lib';
import { maskForBudget } from '../../lib/masks/sweep';
import { hashesOf } from '../e2e/files';
import { workspace } from '../e2e/models';
import { SMALL, SMALL_SURVEY, workFolder } from './models';

const work = workFolder();
const models = workspace();
test.after.always(() => {
  work.remove();
  models.remove();
});

const MODEL = models.model('llama2');

const options = (more: object) => ({
  ...SMALL,
  output: work.path('out'),
  sparsity: 0.2,
  threads: 1,
  ...more,
});
const BUDGET = { sparsity: 0.2 };

let curves: LayerCurves;
test.before(async () => {
  curves = await survey(MODEL, { ...SMALL_SURVEY, scope: 'all', threads: 1 });
});

test('a survey has a curve of every layer, which allocations leave as they are', async (t) => {
  const { layers, total, parameters } = curves;
  t.deepEqual(
    layers.slice(0, 4).map(({ block, scope }) => [block, scope]),
    [
      [0, 'attention'],
      [0, 'ffn'],
      [1, 'attention'],
      [1, 'ffn'],
    ],
  );
  t.true(total < parameters);
  const before = structuredClone(curves);
  for (const allocation of ['uniform', 'threshold', 'energy'] as const) {
    const found = await allocate(curves, { ...BUDGET, allocation });
    t.true(found.removedWeights >= 0.2 * total && found.removedWeights < 0.25 * total);
    t.is(found.removed.length, layers.length);
  }
  await t.throwsAsync(
    allocate(curves, {
      ...BUDGET,
      allocation: {
        allocate: (given) => {
          for (const { curve, allowed } of given) [curve.fill(0), allowed.fill(1)];
          return [];
        },
      },
    }),
  );
  t.deepEqual(curves, before);
});

test('allocate() gives what prune() removes', async (t) => {
  const run = await prune(MODEL, options({ scope: 'all' }));
  const { removed } = await allocate(curves, BUDGET);
  t.deepEqual(
    run.layerStats.map((site) => site.removed),
    [...removed],
  );
});

test('what an allocation may not return', async (t) => {
  const refuses = (allocate_: AllocationFunction, message: RegExp) =>
    t.throwsAsync(allocate(curves, { ...BUDGET, allocation: { allocate: allocate_ } }), {
      code: 'ERR_ARGUMENT',
      message,
    });
  const { removed } = await allocate(curves, BUDGET);
  const changed = (value: unknown) => {
    const list: unknown[] = [...removed];
    list[3] = value;
    return list as number[];
  };
  const layer3 = /layer 3 \(block 1, ffn\), which allows 0, 8, 16, 24 … \d+/;
  await refuses(() => changed(3), layer3);
  await refuses(() => changed(-8), layer3);
  await refuses(() => changed(8.5), layer3);
  await refuses(() => changed(Number.NaN), layer3);
  await refuses(() => changed('8'), layer3);
  await refuses(() => changed(undefined), layer3);
  await refuses(() => [...removed].slice(1), /returned \d+ numbers for \d+ layers/);
  await refuses(() => undefined as never, /returned no numbers/);
  await refuses(() => removed.map(() => 0), /removes 0 weights where \d+ have to go/);
  const own = new RangeError('mine');
  const thrown = allocate(curves, {
    ...BUDGET,
    allocation: {
      allocate: () => {
        throw own;
      },
    },
  });
  t.is(await thrown.catch((error) => error), own);
  await t.throwsAsync(allocate(curves, { ...BUDGET, allocation: { allocate: 3 as never } }), {
    code: 'ERR_ARGUMENT',
    message: /option allocation/,
  });
});

const uniformByHand: AllocationFunction = (layers, { remove, total }) =>
  layers.map(({ allowed, groups }) => allowed.find((count) => count / groups >= remove / total)!);

test('prune() by an own allocation: names in result and card, resume only with the name', async (t) => {
  const allocation = { name: 'by hand 1', allocate: uniformByHand };
  const whole = await prune(MODEL, options({ scope: 'all', allocation }));
  t.is(whole.allocation, 'own "by hand 1"');
  t.regex(whole.notes.join(), /allocation was own "by hand 1", a function/);

  const stop = new AbortController();
  const settings = options({ scope: 'all', allocation });
  const onProgress = ({ stage }: { stage: string }) => stage === 'solve' && stop.abort('stop');
  const stopped = prune(MODEL, { ...settings, signal: stop.signal, onProgress });
  t.is(await stopped.catch((reason) => reason), 'stop');
  const resume = (more: object) => prune(MODEL, { ...settings, resume: true, ...more });
  await t.throwsAsync(resume({ allocation: { allocate: uniformByHand } }), {
    code: 'ERR_ARGUMENT',
    message: /resume: true needs a name for the own allocation/,
  });
  await t.throwsAsync(resume({ allocation: { ...allocation, name: 'by hand 2' } }), {
    code: 'ERR_ARGUMENT',
    message: /allocation own "by hand 1", now own "by hand 2"/,
  });
  const resumed = await resume({});
  t.deepEqual(resumed.resumedBlocks, [0]);
  t.deepEqual(hashesOf(resumed.output), hashesOf(whole.output));
});

const sweepByHand: MaskFunction = async ({ solver, structure, budget, bias, metric }) =>
  maskForBudget(await solver.sweep({ bias, selection: metric }), structure, budget);

test('prune() by an own mask search: the sweep done by hand gives the bytes of ours', async (t) => {
  const ours = await prune(MODEL, options({ allocation: 'uniform' }));
  const search: MaskFunction = (task) => {
    t.is(task.structure.groups - task.keep > 0, true);
    return sweepByHand(task);
  };
  const own = await prune(
    MODEL,
    options({ allocation: 'uniform', mask: { name: 'sweep', search } }),
  );
  t.deepEqual(own.layers, ours.layers);
  const weights = (folder: string) => hashesOf(folder)['model.safetensors'];
  t.is(weights(own.output), weights(ours.output));
});

test('what a mask search may not return', async (t) => {
  const refuses = (search: MaskFunction, message: RegExp) =>
    t.throwsAsync(prune(MODEL, options({ allocation: 'uniform', mask: { search } })), {
      code: 'ERR_ARGUMENT',
      message,
    });
  const first = ({ structure, keep }: { structure: { groups: number }; keep: number }) =>
    Array.from({ length: structure.groups }, (_, group) => (group < keep ? 1 : 0));
  await refuses(
    (task) => first({ ...task, keep: task.keep + 1 }),
    /keeps \d+ groups in block \d+, ffn; return \d+ entries, of which \d+ are 1/,
  );
  await refuses((task) => first(task).slice(1), /returned \d+ entries for \d+ groups in block/);
  await refuses((task) => first(task).map((entry) => 2 * entry), /returned 2 for group 0/);
  await refuses(() => null as never, /returned no entries/);
  t.truthy(await prune(MODEL, options({ allocation: 'uniform', mask: { search: first } })));
});
