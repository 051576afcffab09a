/** What of a model stays on the CPU beside a GPU: experts, short convolutions; and the user is told. */
import test from 'ava';
import { evaluate } from '../../lib/evaluate';
import { plan } from '../../lib/plan';
import { prune } from '../../lib/prune';
import { CALIBRATION_IDS, EVALUATION, workspace } from '../e2e/models';
import { emulatedLibrary } from './emulation';
import { fakeDriver } from './fake-driver';

const work = workspace();
test.after.always(() => work.remove());
const library = emulatedLibrary();

const WINDOW = 48;

test.serial(
  'capped logits are scored on the GPU and compared on the CPU, which is said once',
  async (t) => {
    Object.assign(process.env, await fakeDriver(t, {}), library);
    const model = work.model('gemma2-unlike');
    const given = { text: EVALUATION, window: WINDOW, maxTokens: 4 * WINDOW, threads: 1 };
    const told: string[] = [];
    const onNotice = (text: string) => told.push(text);
    await evaluate(model, { ...given, device: 'cuda:0', onNotice });
    const note = 'distributions of capped logits are compared on the CPU';
    t.deepEqual(
      told.filter((text) => text.includes('capped')),
      [note],
    );
    const options = { window: WINDOW, calibrationTokens: 4 * WINDOW, threads: 1 };
    t.true((await plan(model, { ...options, device: 'cuda:0' })).notes.includes(note));
    t.false((await plan(model, { ...options, device: 'cpu' })).notes.includes(note));
  },
);

for (const [name, what] of [
  ['qwen2-moe', 'experts'],
  ['lfm2', 'short convolutions'],
  ['qwen3.5', 'gated delta rules and gated attention'],
] as const) {
  test.serial(`${what} run on the CPU, which is said once`, async (t) => {
    Object.assign(process.env, await fakeDriver(t, {}), library);
    const model = work.model(name);
    const given = { text: EVALUATION, window: WINDOW, maxTokens: 4 * WINDOW, threads: 1 };
    const told: string[] = [];
    const onNotice = (text: string) => told.push(text);
    const device = 'cuda:0';
    const there = await evaluate(model, { ...given, device, onNotice });
    t.deepEqual(
      told.filter((text) => text.startsWith(what)),
      [`${what} run on the CPU`],
    );
    const here = await evaluate(model, { ...given, device: 'cpu' });
    t.true(Math.abs(there.meanNll - here.meanNll) < 1e-3 * here.meanNll);
    const options = { window: WINDOW, calibrationTokens: 4 * WINDOW, scope: 'attention' } as const;
    const { notes } = await plan(model, { ...options, device, threads: 1 });
    t.true(notes.includes(`${what} run on the CPU`));
  });
}

for (const [name, scope] of [
  ['lfm2', undefined],
  ['qwen3.5', undefined],
  ['qwen2-moe', 'expert-channels'],
] as const) {
  test.serial(`${name} is pruned beside a GPU as on the CPU, within what is planned`, async (t) => {
    Object.assign(process.env, await fakeDriver(t, {}), library);
    const model = work.model(name);
    const pruned = async (device: string) => {
      const options = {
        ...{
          calibration: CALIBRATION_IDS,
          calibrationTokens: 20 * WINDOW,
          surveyTokens: 10 * WINDOW,
        },
        ...{ scope },
        ...({ window: WINDOW, sparsity: 0.2, dtype: 'f32', threads: 1, device } as const),
        ...{ eval: EVALUATION, evalTokens: 4 * WINDOW, output: work.path(device) },
      };
      const { memory, reserve } = await plan(model, options);
      const result = await prune(model, { ...options, memory });
      t.true(result.peakBudgetBytes <= memory - reserve);
      return result.perplexityAfter!;
    };
    const [there, here] = [await pruned('cuda:0'), await pruned('cpu')];
    t.true(Math.abs(there - here) < 0.01 * here, `${there} and ${here}`);
  });
}
