/** GISP's order of all groups serves every sparsity. What it keeps stands in baselines.test.ts. */
import test from 'ava';
import { plan } from '../../lib/plan';
import { prune } from '../../lib/prune';
import { hashesOf } from '../e2e/files';
import { CALIBRATION_IDS, workspace } from '../e2e/models';

const work = workspace();
test.after.always(() => work.remove());

const WINDOW = 32;
const model = work.model('llama3-tied');
const options = (sparsity: number) => ({
  ...{
    output: work.path('out'),
    calibration: CALIBRATION_IDS,
    sparsity,
    window: WINDOW,
    threads: 1,
  },
  ...{ calibrationTokens: 16 * WINDOW, surveyTokens: 8 * WINDOW, method: 'gisp' as const },
});

test.serial('a survey serves another sparsity, at which no layer loses more', async (t) => {
  const saveCalibration = work.path('order');
  const small = await prune(model, { ...options(0.4), saveCalibration });
  const direct = options(0.2);
  await prune(model, direct);
  const reused = options(0.2);
  const stages = new Set<string>();
  const onProgress = ({ stage }: { stage: string }) => stages.add(stage);
  const large = await prune(model, { ...reused, fromCalibration: saveCalibration, onProgress });
  t.false(stages.has('survey'));
  t.deepEqual(hashesOf(reused.output), hashesOf(direct.output));
  t.true(small.layerStats.every(({ removed }, at) => removed >= large.layerStats[at]!.removed));
});

test.serial('a plan says what gradients take, whatever goes', async (t) => {
  const surveyOf = async (sparsity: number) => {
    const { stages } = await plan(model, options(sparsity));
    return stages.find(({ stage }) => stage === 'survey')!;
  };
  const { flops, memory, scratch } = await surveyOf(0.2);
  t.true(flops.single > 0 && memory > 0 && scratch > 0);
  t.deepEqual((await surveyOf(0.4)).flops, flops);
});

test.serial('gradients are of the tokens that are asked for', async (t) => {
  const of = async (surveyTokens: number) => {
    const { layers, warnings } = await prune(model, { ...options(0.3), surveyTokens });
    t.deepEqual(
      warnings.filter((warning) => warning.includes('effect')),
      [],
    );
    return layers.map(({ keptFfnSha256 }) => keptFfnSha256);
  };
  t.notDeepEqual(await of(2 * WINDOW), await of(16 * WINDOW));
});
