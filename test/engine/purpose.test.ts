/** What every pass of a run says its products are for: sums over calibration tokens may be less exact than what is measured. */
import { join } from 'node:path';
import test from 'ava';
import { type NativeAddon, native } from '../../lib/engine/native';
import type { Purpose } from '../../lib/engine/native-engine';
import { evaluate } from '../../lib/evaluate';
import { TOGETHER } from '../../lib/models/decoders/batches';
import type { PruneOptions } from '../../lib/options';
import { packageRoot } from '../../lib/package-root';
import { prune } from '../../lib/prune';
import { CALIBRATION, workspace } from '../e2e/models';

const work = workspace();
test.after.always(() => work.remove());
/** The very object that the library calls. */
const addon = require('node-gyp-build')(packageRoot()) as NativeAddon;

const WINDOW = 32;
const [CALIBRATED, SURVEYED, EVALUATED] = [16 * WINDOW, 12 * WINDOW, 4 * WINDOW];
/** Of those that calibrated. */
const MEASURED = 8 * WINDOW;

/** Purposes of the passes over so many tokens, by their number, and of every call that has one. */
async function purposesOf(run: () => Promise<unknown>) {
  const rows = new Map<unknown, number>();
  const byRows: Record<number, Set<Purpose>> = {};
  const byCall: Record<string, Set<Purpose>> = {};
  const note = (name: string, purpose: Purpose, matrix?: unknown) => {
    byCall[name] ??= new Set();
    byCall[name].add(purpose);
    const tokens = rows.get(matrix);
    if (tokens === undefined) return;
    byRows[tokens] ??= new Set();
    byRows[tokens].add(purpose);
  };
  const own = { ...addon };
  Object.assign(addon, {
    createMatrix: (...args) => {
      const made = own.createMatrix(...args);
      rows.set(made, args[1]);
      return made;
    },
    embed: (...args) => {
      note('embed', args[4], args[3]);
      return own.embed(...args);
    },
    runSite: (...args) => {
      note('runSite', args[2].purpose, args[2].hidden);
      return own.runSite(...args);
    },
    applySite: (...args) => {
      note('applySite', args[5], args[4]);
      return own.applySite(...args);
    },
    backwardBlock: (...args) => {
      note('backwardBlock', args[1].purpose, args[1].gradient);
      return own.backwardBlock(...args);
    },
    headGradient: (...args) => {
      note('headGradient', args[1].purpose, args[1].hidden);
      return own.headGradient(...args);
    },
    expectHead: (...args) => {
      note('expectHead', args[3], args[1]);
      return own.expectHead(...args);
    },
    divergenceFrom: (...args) => {
      note('divergenceFrom', args[3], args[2]);
      return own.divergenceFrom(...args);
    },
    linearise: (...args) => {
      note('linearise', args[6]);
      return own.linearise(...args);
    },
    nextDirection: (...args) => {
      note('nextDirection', args[2]);
      return own.nextDirection(...args);
    },
    collectHidden: (...args) => {
      note('collectHidden', args[5]);
      return own.collectHidden(...args);
    },
    iterateAuxiliary: (...args) => {
      note('iterateAuxiliary', args[6]);
      return own.iterateAuxiliary(...args);
    },
  } satisfies Partial<NativeAddon>);
  try {
    await run();
  } finally {
    Object.assign(addon, own);
  }
  const sorted = <Key extends string>(sets: Record<Key, Set<Purpose>>) =>
    Object.fromEntries(
      Object.entries<Set<Purpose>>(sets).map(([key, set]) => [key, [...set].sort().join()]),
    );
  return { byRows: sorted(byRows), byCall: sorted(byCall) };
}

const options = (more: Partial<PruneOptions>): PruneOptions => ({
  output: join(work.emptyFolder(), 'out'),
  calibration: CALIBRATION,
  calibrationTokens: CALIBRATED,
  tuneTokens: 0,
  surveyTokens: SURVEYED,
  eval: CALIBRATION,
  evalTokens: EVALUATED,
  window: WINDOW,
  sparsity: 0.2,
  threads: 1,
  device: 'cpu',
  ...more,
});

test('the addon is the one that the library calls', (t) => {
  t.is(native.peakRss, addon.peakRss);
});

test.serial('a run by trials calibrates, searches and measures', async (t) => {
  const { byRows, byCall } = await purposesOf(() => prune(work.model('llama2'), options({})));
  t.deepEqual(byRows, {
    // What runs through the finished blocks is what the file will give.
    [WINDOW]: 'measuring',
    [EVALUATED]: 'measuring',
    [MEASURED]: 'measuring',
    [SURVEYED]: 'calibrating',
    [CALIBRATED]: 'calibrating',
    [TOGETHER * SURVEYED]: 'calibrating',
  });
  t.deepEqual(byCall, {
    embed: 'calibrating,measuring',
    runSite: 'calibrating,measuring',
    applySite: 'calibrating',
    expectHead: 'calibrating',
    divergenceFrom: 'calibrating',
    linearise: 'searching',
    nextDirection: 'searching',
    collectHidden: 'calibrating',
  });
});

test.serial('a run by the Fisher metric and auxiliary variables calibrates', async (t) => {
  const more = { layerWeights: 'fisher', ffnSolver: 'auxiliary' } as const;
  const { byRows, byCall } = await purposesOf(() => prune(work.model('llama2'), options(more)));
  t.deepEqual(byRows, {
    [WINDOW]: 'measuring',
    [EVALUATED]: 'measuring',
    [MEASURED]: 'measuring',
    [SURVEYED]: 'calibrating',
    [CALIBRATED]: 'calibrating',
  });
  t.is(byCall.headGradient, 'calibrating');
  t.is(byCall.backwardBlock, 'calibrating');
  t.is(byCall.iterateAuxiliary, 'calibrating');
});

test.serial('an evaluation measures', async (t) => {
  const run = () =>
    evaluate(work.model('llama2'), { text: CALIBRATION, window: WINDOW, maxTokens: EVALUATED });
  const { byCall } = await purposesOf(run);
  t.deepEqual(byCall, { embed: 'measuring', runSite: 'measuring' });
});
