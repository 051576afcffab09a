/** Error curves: what every layer would lose at every width, and what an error of each costs the network. */

import type { RidgeReport, SweepResult } from '../engine/native-solver';
import { removalCurve } from '../masks/select';
import type { SiteStatistics } from '../masks/statistics';
import { maskAfter } from '../masks/sweep';
import type { Losses } from '../methods';
import { type Dtype, FEW_STEPS } from '../model/architecture';
import type { DenseSite } from '../models/front-end';
import type { OnWarning } from '../progress';
import { raisedRidge } from '../pruning/ridge-warning';
import type { Survey } from '../pruning/survey-file';
import type { SurveyInput } from '../pruning/surveys';
import type { SurveySpec } from '../spec/survey';
import { keptIndices, type Layer } from '../spec/widths';
import type { Steps } from '../turns';

export interface CurvesInput extends SurveyInput {
  warn?: OnWarning;
}

/** Share of a layer's groups that a trial removes: fixed, so that one survey serves every sparsity. */
const SHARE = 0.25;
/** Errors below this share of the layer's largest count as none. */
const NOTHING = 1e-3;

/** Of exact sweeps on dense inputs. */
export async function surveyCurves(input: CurvesInput): Promise<Survey> {
  const { network, survey } = input;
  const { layers } = network;
  const curves: Float64Array[] = new Array(layers.length);
  const scales = new Float64Array(layers.length).fill(1);
  const { losses, metrics } = await network.visit(survey, async (at, site) => {
    const layer = layers[at]!;
    const sweep = await site.solver.sweep({
      maxRemoved: layer.allowed.at(-1)!,
      selection: survey.selection,
      curve: survey.layerWeights === 'fisher' ? 'fisher' : 'plain',
    });
    tellOfRidge(input, layer, sweep);
    curves[at] = monotone(sweep.error);
    scales[at] =
      survey.layerWeights === 'probe'
        ? await tryOut(site, layer, sweep, network.stored)
        : scaleOf(survey.layerWeights, site);
  });
  const weights =
    survey.layerWeights === 'probe'
      ? [...losses].map((loss, at) => (scales[at]! > 0 ? loss / scales[at]! : 0))
      : [...scales].map((scale) => 1 / scale);
  return { curves, weights, metrics };
}

/** Curves for the threshold and energy rules from one-shot losses. */
export function* curvesFromScores(
  losses: Losses,
  columns: readonly SiteStatistics[],
  layers: readonly Layer[],
): Steps<Survey> {
  const curves: Float64Array[] = [];
  for (const [i, { cost }] of layers.entries()) {
    curves.push(removalCurve(losses(columns[i]!, cost)));
    yield;
  }
  return { curves, weights: layers.map(() => 1), metrics: null };
}

/** Prunes the layer alone, as far as a trial goes. Gives the error that its loss is the price of; 0: nothing would be lost. */
async function tryOut(
  site: DenseSite,
  layer: Layer,
  sweep: SweepResult,
  stored: Dtype,
): Promise<number> {
  const removed = trialRemovals(layer, sweep.error);
  const error = sweep.error[removed]!;
  if (!(error > 0)) return 0;
  const keep = maskAfter(sweep.order, layer.groups, removed);
  using refit = await site.solver.refit(keep, { stored });
  await site.tryOut(keptIndices(keep), refit);
  // Few steps lose something of their own, which the predictions see too.
  return FEW_STEPS.includes(stored) ? refit.error : error;
}

/**
 * The least number of groups that may go, is no less than the trial's share and costs something, or the most that may go:
 * of what goes for nothing, such as channels that never fire, a trial measures rounding errors alone.
 */
export function trialRemovals({ allowed, groups }: Layer, error: Float64Array | null): number {
  const most = allowed.at(-1)!;
  const least = error ? NOTHING * error[most]! : 0;
  const enough = (removed: number) => removed >= SHARE * groups && (error?.[removed] ?? 0) >= least;
  return allowed.find(enough) ?? most;
}

function tellOfRidge({ survey, warn }: CurvesInput, { block, site }: Layer, sweep: RidgeReport) {
  if (sweep.ridgeRaised === 0) return;
  warn?.(`survey, block ${block}, ${site}: ${raisedRidge(survey.lambda, sweep.lambda)}`);
}

/** What an error is divided by. */
function scaleOf(weights: SurveySpec['layerWeights'], { stream, solver }: DenseSite): number {
  if (weights === 'residual') return stream;
  return weights === 'output' ? solver.targetNormSq : 1;
}

/** Unpenalised errors may dip by a rounding error where a removal costs nothing: the rules want them rising. */
function monotone(curve: Float64Array): Float64Array {
  let top = 0;
  return curve.map((value) => {
    top = Math.max(top, value);
    return top;
  });
}
