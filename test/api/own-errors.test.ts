/** What functions of the caller's throw comes out as it is, with nothing left behind that a further run would miss. */
import { existsSync, readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import test from 'ava';
import {
  allocate,
  Engine,
  evaluate,
  exportModel,
  type MaskFunction,
  type Progress,
  type PruneOptions,
  prune,
  StruPruneError,
  survey,
} from '../../lib';
import { workspace } from '../e2e/models';
import { CALIBRATION, EVALUATION, SMALL, SMALL_SURVEY, workFolder } from './models';

const work = workFolder();
const models = workspace();
test.after.always(() => {
  work.remove();
  models.remove();
});

const MODEL = models.model('llama2');

const MINE = Object.assign(new TypeError('of mine'), { code: 'ENOENT' });
const fail = () => {
  throw MINE;
};
/** Throws at the first event of a stage after `skip` others. */
const failAt = (stage: Progress['stage'], skip = 0) => {
  let seen = 0;
  return (progress: Progress) => {
    if (progress.stage === stage && seen++ === skip) fail();
  };
};
const thrownBy = (call: Promise<unknown>) =>
  call.then(
    () => 'nothing',
    (error) => error,
  );

/** The same as a promise that rejects, which is thrown at the next event. */
const later =
  <A>(listener: (told: A) => void) =>
  async (told: A) =>
    listener(told);

const RUNS: [what: string, more: Partial<PruneOptions>, resumable: boolean][] = [
  ['onProgress, survey', { onProgress: failAt('survey', 2) }, false],
  ['onProgress, Fisher survey', { onProgress: failAt('survey', 2), layerWeights: 'fisher' }, false],
  ['onProgress, dense evaluation', { onProgress: failAt('evaluate'), eval: EVALUATION }, false],
  ['onProgress, solve', { onProgress: failAt('solve', 2) }, true],
  ['onProgress, write', { onProgress: failAt('write') }, true],
  ['onWarning', { onWarning: fail, eval: CALIBRATION }, false],
  ['onProgress, late, survey', { onProgress: later(failAt('survey', 2)) }, false],
  ['onProgress, late, solve', { onProgress: later(failAt('solve', 2)) }, true],
  ['onProgress, late, last block', { onProgress: later(failAt('write', 2)) }, true],
  ['onWarning, late', { onWarning: later(fail), eval: CALIBRATION }, false],
  ['an allocation', { allocation: { name: 'a', allocate: fail } }, true],
  ['a late allocation', { allocation: { name: 'a', allocate: async () => fail() } }, true],
  ['a mask search', { mask: { name: 'm', search: fail } }, true],
];
for (const [what, more, resumable] of RUNS) {
  test(`prune(): ${what}`, async (t) => {
    await using engine = new Engine({ threads: 1 });
    const output = `${work.path('folder')}/out`;
    const options = { ...SMALL, evalTokens: 512, output, sparsity: 0.2, engine, ...more };
    t.is(await thrownBy(prune(MODEL, options)), MINE);
    t.is(engine.memory.used, 0, 'nothing stays allocated');
    t.deepEqual(
      existsSync(dirname(output)) ? readdirSync(dirname(output)) : [],
      resumable ? ['out.struprune-journal'] : [],
    );
    if (!resumable || !more.onProgress) return;
    const { resumedBlocks } = await prune(MODEL, {
      ...options,
      onProgress: undefined,
      resume: true,
    });
    t.true(resumedBlocks.length > 0);
    t.deepEqual(readdirSync(dirname(output)), ['out']);
  });
}

test('a mask search that keeps its handles', async (t) => {
  await using engine = new Engine({ threads: 1 });
  const search: MaskFunction = async ({ solver, structure }) => {
    const state = await solver.admm();
    await state.setRho(1);
    await solver.refit(new Uint8Array(structure.groups).fill(1));
    return fail();
  };
  const output = work.path('out');
  const options = { ...SMALL, output, sparsity: 0.2, engine, allocation: 'uniform' as const };
  t.is(await thrownBy(prune(MODEL, { ...options, mask: { search } })), MINE);
  t.is(engine.memory.used, 0, 'nothing stays allocated');
});

test('errors of ours that a mask search lets through stay ours', async (t) => {
  const search: MaskFunction = async ({ solver }) => solver.refit(new Uint8Array(3)) as never;
  const options = { ...SMALL, output: work.path('out'), sparsity: 0.2, mask: { search } };
  await t.throwsAsync(prune(MODEL, options), { code: 'ERR_ARGUMENT' });
});

test('what a run has come to and nothing holds leaves no journal, and no word of going on', async (t) => {
  const search = () => {
    throw new StruPruneError('ERR_UNSUPPORTED', 'no format holds it', 'choose another');
  };
  const output = `${work.path('folder')}/out`;
  const options = { ...SMALL, output, sparsity: 0.2, mask: { search } };
  const message = 'no format holds it; choose another';
  await t.throwsAsync(prune(MODEL, options), { code: 'ERR_UNSUPPORTED', message });
  t.false(existsSync(dirname(output)));
});

test('the other calls, and values that are no errors', async (t) => {
  const text = { text: EVALUATION, window: 128, maxTokens: 512 };
  t.is(await thrownBy(evaluate(MODEL, { ...text, onProgress: fail })), MINE);
  const odd = () => {
    throw 'odd';
  };
  t.is(await thrownBy(evaluate(MODEL, { ...text, onProgress: odd })), 'odd');
  t.is(await thrownBy(survey(MODEL, { ...SMALL_SURVEY, onProgress: fail })), MINE);
  const output = work.path('export');
  t.is(await thrownBy(exportModel(MODEL, { output, onProgress: fail })), MINE);
  t.false(existsSync(output));
  const curves = await survey(MODEL, SMALL_SURVEY);
  t.is(await thrownBy(allocate(curves, { sparsity: 0.2, allocation: { allocate: fail } })), MINE);
});

for (const [when, throws] of [
  ['at once', fail],
  ['late', later(fail)],
] as const) {
  test(`onNotice, ${when}: its call ends, the engine goes on`, async (t) => {
    const text = { text: EVALUATION, window: 128, maxTokens: 512, onProgress: () => {} };
    const notices: string[] = [];
    const onNotice = (notice: string) => {
      notices.push(notice);
      return throws(undefined as never);
    };
    await using engine = new Engine({ threads: 1, onNotice });
    t.is(await thrownBy(evaluate(MODEL, { ...text, engine })), MINE);
    t.is(notices.length, 1);
    t.true((await evaluate(MODEL, { ...text, engine })).perplexity > 1);
  });
}
