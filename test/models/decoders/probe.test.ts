/** What pruning a layer alone costs the model, measured; against the Fisher metric's prediction of the same. */
import { join } from 'node:path';
import test from 'ava';
import { readWindows } from '../../../lib/calibration/text';
import { openCheckpoint } from '../../../lib/checkpoint/open';
import { withEngine } from '../../../lib/engine/call';
import { Session } from '../../../lib/engine/session';
import { DenseDecoder } from '../../../lib/models/decoders/dense';
import { settingsOf } from '../../../lib/options';
import type { OnStage } from '../../../lib/progress';
import type { Survey } from '../../../lib/pruning/survey-file';
import { resolve } from '../../../lib/spec';
import type { Layer } from '../../../lib/spec/widths';
import { surveyCurves, trialRemovals } from '../../../lib/stages/curves';
import { CALIBRATION, CALIBRATION_IDS } from '../../e2e/models';

const MODEL = join(__dirname, '../../../assets/tiny');
/** None is cut: the Fisher metric has whole ones (docs/decisions/0050). */
const WINDOW = 120;
const TOKENS = 64 * WINDOW;

/** Layers with their weights and curves. */
async function surveyOf(
  layerWeights: 'probe' | 'fisher',
  scope: 'all' | 'ffn' = 'all',
  onProgress?: OnStage,
): Promise<{ layers: readonly Layer[]; survey: Survey }> {
  return withEngine({}, async (engine) => {
    const source = await openCheckpoint(MODEL);
    const settings = settingsOf({
      output: '-',
      calibration: CALIBRATION_IDS,
      sparsity: 0.2,
      scope,
      window: WINDOW,
      layerWeights,
      fisherLabels: 'sampled',
    });
    const { layers, survey, output } = resolve(source, settings);
    const ids = await readWindows(source, CALIBRATION, { window: WINDOW, maxTokens: TOKENS });
    const session = new Session(engine, source, output.stored);
    try {
      const network = new DenseDecoder({ session, ids, window: WINDOW, layers, onProgress });
      return { layers, survey: await surveyCurves({ network, survey }) };
    } finally {
      session.dispose();
    }
  });
}

/** Predicted loss of every layer's trial, nats per token. */
async function trialLosses(layerWeights: 'probe' | 'fisher'): Promise<number[]> {
  const { layers, survey } = await surveyOf(layerWeights);
  return layers.map((layer, i) => lossOf(layer, survey, i));
}

function lossOf(layer: Layer, { weights, curves }: Survey, i: number): number {
  const curve = curves[i]!;
  return weights[i]! * curve[trialRemovals(layer, curve)]!;
}

// Two independent ways to one number: the forward pass of the pruned model, and gradients of the dense one, which
// drop cross-token terms. Layers differ by a factor of 150.
test('a trial costs about what the Fisher metric on drawn labels says', async (t) => {
  const probe = await trialLosses('probe');
  const fisher = await trialLosses('fisher');
  for (const [i, nats] of probe.entries()) {
    const ratio = nats / fisher[i]!;
    t.true(ratio > 1 / 1.6 && ratio < 1.6, `layer ${i}: ${nats} nats, Fisher ${fisher[i]}`);
  }
  t.is(probe.length, 12);
});

// Twelve layers in batches of eight and four, or the six FFNs in one: other trials beside it, other rows of the batch,
// and other blocks at which a trial goes from the walk to the batch's own way.
test('what a layer costs does not depend on the trials that run with it', async (t) => {
  const steps: Parameters<OnStage>[0][] = [];
  const both = await surveyOf('probe', 'all', (step) => steps.push(step));
  const alone = await surveyOf('probe', 'ffn');
  const ffns = both.layers.flatMap(({ site }, i) => (site === 'ffn' ? [i] : []));
  t.is(ffns.length, 6);
  t.deepEqual(
    ffns.map((i) => both.survey.weights[i]),
    alone.survey.weights,
  );
  t.true(alone.survey.weights.every((weight) => weight > 0));
  // Blocks and what the batches tell of: every step once.
  t.deepEqual(
    steps.map(({ done }) => done),
    steps.map((_, i) => i + 1),
  );
  t.is(steps.at(-1)!.done, steps.at(-1)!.total);
  t.deepEqual(
    steps.flatMap(({ block }) => (block === null ? [] : [block])),
    [0, 1, 2, 3, 4, 5],
  );
});
