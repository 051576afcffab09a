/** What pruning a layer alone costs the model, measured; against the Fisher metric's prediction of the same. */
import { join } from 'node:path';
import test from 'ava';
import { readWindows } from '../../lib/calibration/text';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { withEngine } from '../../lib/engine/engine';
import { Session } from '../../lib/engine/session';
import { settingsOf } from '../../lib/pruning/options';
import { trialRemovals } from '../../lib/pruning/probe';
import { setUp } from '../../lib/pruning/setup';
import { type Survey, surveyCurves } from '../../lib/pruning/survey';
import type { Layer } from '../../lib/pruning/widths';
import { CALIBRATION } from '../e2e/models';

const MODEL = join(__dirname, '../../assets/tiny');
const WINDOW = 128;
const TOKENS = 64 * WINDOW;

/** Predicted loss of every layer's trial, nats per token. */
async function trialLosses(layerWeights: 'probe' | 'fisher'): Promise<number[]> {
  return withEngine({}, async (engine) => {
    const source = await openCheckpoint(MODEL);
    const settings = settingsOf({
      output: '-',
      calibration: CALIBRATION,
      sparsity: 0.2,
      scope: 'all',
      window: WINDOW,
      layerWeights,
      fisherLabels: 'sampled',
    });
    const { layers, stored } = setUp(source, settings);
    const ids = await readWindows(source, CALIBRATION, { window: WINDOW, maxTokens: TOKENS });
    const session = new Session(engine, source, stored);
    try {
      const survey = await surveyCurves({ session, ids, window: WINDOW, layers, settings });
      return layers.map((layer, i) => lossOf(layer, survey, i));
    } finally {
      session.dispose();
    }
  });
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
