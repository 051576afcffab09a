/** prune() and plan() in this process with sites on the emulated GPU: the journal, and memory on both sides. STRUPRUNE_LONG=1: more rows. */
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Engine } from '../../lib/engine/engine';
import { type NativeAddon, native } from '../../lib/engine/native';
import type { SumKinds } from '../../lib/engine/native-block';
import type { Site } from '../../lib/model/sublayers';
import type { PruneOptions } from '../../lib/options';
import { packageRoot } from '../../lib/package-root';
import { plan } from '../../lib/plan';
import { prune } from '../../lib/prune';
import type { PruneResult } from '../../lib/pruning/result';
import { hashesOf } from '../e2e/files';
import { CALIBRATION_IDS, workspace } from '../e2e/models';
import { stopAfter } from '../e2e/stop-after';
import { isLong, long } from '../long';
import { emulatedLibrary } from './emulation';
import { fakeDriver } from './fake-driver';

const work = workspace();
test.after.always(() => work.remove());
const library = emulatedLibrary();
/** The very object that the library calls. */
const addon = require('node-gyp-build')(packageRoot()) as NativeAddon;

/** The driver is asked in a child process, which inherits these. */
async function useEmulation(t: ExecutionContext): Promise<void> {
  Object.assign(process.env, await fakeDriver(t, {}), library);
}

const WINDOW = 32;
const options = (more: Partial<PruneOptions>): PruneOptions => ({
  output: join(work.emptyFolder(), 'out'),
  calibration: CALIBRATION_IDS,
  calibrationTokens: 16 * WINDOW,
  tuneTokens: 0,
  surveyTokens: 4 * WINDOW,
  window: WINDOW,
  sparsity: 0.2,
  threads: 1,
  device: 'cuda:0',
  deviceMemory: 64 * 2 ** 20,
  ...more,
});

test.serial(
  'a journal of the GPU goes on there with the same bytes, and not on the CPU',
  async (t) => {
    await useEmulation(t);
    const model = work.model('llama2');
    const whole = await prune(model, options({}));
    t.regex(whole.device, /^emulated GPU, .*67108864 bytes$/);
    t.is(whole.settings.ffnSolver, 'gauss-newton');
    const refits = whole.layerStats.filter(({ site }) => site === 'ffn');
    t.true(refits.every(({ inputRefit }) => inputRefit !== null));
    const settings = options({ resume: true });
    const journal = await stopAfter(1, model, settings);
    const kept = hashesOf(journal);
    for (const [more, message] of [
      [{ device: 'cpu' }, /device emulated GPU, .*, now cpu/],
      [{ deviceMemory: 32 * 2 ** 20 }, /67108864 bytes, now .* 33554432 bytes/],
      [{ fullPrecision: true }, /precision bf16x3, now f32/],
    ] as const) {
      await t.throwsAsync(prune(model, { ...settings, ...more }), {
        code: 'ERR_ARGUMENT',
        message,
      });
      t.deepEqual(hashesOf(journal), kept);
    }
    const resumed = await prune(model, settings);
    t.deepEqual(resumed.resumedBlocks, [0]);
    t.deepEqual(hashesOf(settings.output), hashesOf(whole.output));
  },
);

test.serial('full precision there: other bytes, which a journal goes on with', async (t) => {
  await useEmulation(t);
  const model = work.model('llama2');
  const rounded = await prune(model, options({}));
  const whole = await prune(model, options({ fullPrecision: true }));
  t.notDeepEqual(hashesOf(whole.output), hashesOf(rounded.output));
  const settings = options({ fullPrecision: true, resume: true });
  await stopAfter(1, model, settings);
  t.deepEqual((await prune(model, settings)).resumedBlocks, [0]);
  t.deepEqual(hashesOf(settings.output), hashesOf(whole.output));
});

for (const ffnSolver of ['output', 'gauss-newton'] as const) {
  test.serial(
    `a solve on dense inputs is replayed as it was, FFN solver ${ffnSolver}`,
    async (t) => {
      await useEmulation(t);
      const model = work.model('llama2');
      const dense = { sequential: false, alpha: 0, beta: 0, ffnSolver };
      const whole = await prune(model, options(dense));
      const settings = options({ ...dense, resume: true });
      await stopAfter(1, model, settings);
      const repeated: [Site, SumKinds & { inputs: boolean }][] = [];
      const { runSite } = addon;
      addon.runSite = (...args) => {
        const { repeats } = args[2];
        if (repeats) repeated.push([args[1], repeats]);
        return runSite(...args);
      };
      t.teardown(() => Object.assign(addon, { runSite }));
      await prune(model, settings);
      // The replay streams as the solve did, also where memory is so tight that its sums left less room.
      t.true(repeated.length > 0);
      for (const [site, { inputs, ...sums }] of repeated) {
        t.deepEqual(sums, { collects: true, gram: true, feedback: false });
        t.is(inputs, site === 'ffn' && ffnSolver !== 'output');
      }
      t.deepEqual(hashesOf(settings.output), hashesOf(whole.output));
    },
  );
}

/** From here on every piece of linear algebra in doubles goes to the GPU, however small. */
function sendAlgebra(t: ExecutionContext): void {
  const { attachGpu } = addon;
  addon.attachGpu = (engine, more) => attachGpu(engine, { ...more, leastFlops: 0 });
  t.teardown(() => Object.assign(addon, { attachGpu }));
}

test.serial('linear algebra on the GPU: the masks and the errors of the CPU', async (t) => {
  await useEmulation(t);
  const model = work.model('llama2');
  const run = async () => {
    const { device, deviceMemory, threads, ...more } = options({ scope: 'all' });
    const engine = new Engine({ device, deviceMemory, threads, fullPrecision: true });
    const result = await prune(model, { ...more, engine });
    const { algebra } = native.gpuTimesOf(engine.handle)!;
    await engine.dispose();
    return { ...result, algebra };
  };
  const wanted = await run();
  t.is(wanted.algebra, 0, 'these matrices are not worth it');
  sendAlgebra(t);
  const got = await run();
  t.true(got.algebra > 0);
  const masks = ({ layers }: PruneResult) =>
    layers.map(({ keptFfnSha256, keptKvSha256 }) => [keptFfnSha256, keptKvSha256]);
  t.deepEqual(masks(got), masks(wanted));
  got.layerStats.forEach(({ relativeError }, at) => {
    const there = wanted.layerStats[at]!.relativeError!;
    t.true(Math.abs(relativeError! - there) <= 1e-6 * there, `${relativeError} and ${there}`);
  });
});

test.serial('no inputs of an output map come back from a GPU', async (t) => {
  await useEmulation(t);
  const { runSite, applySite } = addon;
  addon.runSite = (...args) => {
    t.is(args[2].keep, undefined);
    return runSite(...args);
  };
  addon.applySite = () => {
    throw new Error('on the CPU');
  };
  t.teardown(() => Object.assign(addon, { runSite, applySite }));
  const { layers } = await prune(work.model('llama2'), options({}));
  t.true(layers.length > 0);
});

const ROWS: [model: string, more: Partial<PruneOptions>][] = [
  ['llama2', { scope: 'all', alpha: 0.5, beta: 0.5 }],
  ['opt-post', { method: 'flap' }],
  ['llama2', { ffnSolver: 'auxiliary' }],
  // Part of every Gram matrix at a time.
  ['llama3-tied', { allocation: 'uniform', alpha: 0, beta: 0, deviceMemory: 600 * 2 ** 10 }],
  ...long<[model: string, more: Partial<PruneOptions>]>([
    ['llama2', {}],
    ['llama2', { ffnSolver: 'output' }],
    ['opt-pre', { gaussNewtonSteps: 1 }],
  ]),
];
const HERE_AND_THERE = ROWS.flatMap(([name, more]) =>
  // Where memory is tight, whether a matrix fits is not known beforehand.
  [false, true]
    .filter((algebra) => !(algebra && 'deviceMemory' in more))
    // Each of both with a row of its own.
    .filter(
      (algebra) =>
        isLong ||
        algebra === (name === 'llama2' && !('ffnSolver' in more)) ||
        'deviceMemory' in more,
    )
    .map((algebra) => ({ name, more, algebra })),
);
for (const { name, more, algebra } of HERE_AND_THERE) {
  const title = `${name}, ${JSON.stringify(more)}${algebra ? ', algebra on the GPU' : ''}`;
  test.serial(`planned memory is enough: ${title}`, async (t) => {
    await useEmulation(t);
    if (algebra) sendAlgebra(t);
    const model = work.model(name);
    const planned = await plan(model, options(more));
    const given = options({ ...more, memory: planned.memory });
    const { peakBudgetBytes, peakDeviceBytes } = await prune(model, given);
    const { memory } = planned.device!;
    t.true(peakDeviceBytes! <= memory, `GPU: needed ${peakDeviceBytes}, planned ${memory}`);
    t.true(memory <= 1.25 * peakDeviceBytes!, `GPU: needed ${peakDeviceBytes}, planned ${memory}`);
    t.true(memory <= options(more).deviceMemory!);
    t.true(
      peakBudgetBytes <= planned.memory - planned.reserve,
      `needed ${peakBudgetBytes} of ${planned.memory}`,
    );
    t.is(planned.device!.passes > 1, 'deviceMemory' in more);
  });
}

test.serial('what a GPU cannot hold is refused before work, by plan and by prune', async (t) => {
  await useEmulation(t);
  const model = work.model('llama2');
  const more = { deviceMemory: 2 ** 17 };
  const refused = { code: 'ERR_BUDGET', message: /of the GPU's memory, .*raise deviceMemory/ };
  await t.throwsAsync(plan(model, options(more)), refused);
  await t.throwsAsync(
    prune(model, { ...options(more), onProgress: () => t.fail('work began') }),
    refused,
  );
});
