/** Error curves: what every layer would lose at every width, and what an error of each costs the network. */

import type { RidgeReport, SweepResult } from '../engine/native-solver';
import { removalCurve } from '../masks/select';
import type { SiteStatistics } from '../masks/statistics';
import { maskAfter } from '../masks/sweep';
import type { Losses } from '../methods';
import { type Dtype, FEW_STEPS } from '../model/architecture';
import type { DenseSite, OrderedSite } from '../models/front-end';
import type { OnWarning } from '../progress';
import { raisedRidge } from '../pruning/ridge-warning';
import type { Survey } from '../pruning/survey-file';
import type { SurveyInput } from '../pruning/surveys';
import { LAMBDA } from '../solver/ridge';
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

/** What a visit finds of a layer. */
interface LayerCurve {
  error: Float64Array;
  /** What its loss is the price of, or what its error is divided by. */
  scale: number;
  ridge: RidgeReport;
}

/** Of exact sweeps on dense inputs. */
export async function surveyCurves(input: CurvesInput): Promise<Survey> {
  const { network, survey } = input;
  const { layers } = network;
  const visit = async (at: number, site: DenseSite | OrderedSite): Promise<LayerCurve> => {
    const layer = layers[at]!;
    if ('errors' in site) return curveInOrder(site, layer, survey.layerWeights);
    const sweep = await site.solver.sweep({
      maxRemoved: layer.allowed.at(-1)!,
      selection: survey.selection,
      curve: survey.layerWeights === 'fisher' ? 'fisher' : 'plain',
    });
    const scale =
      survey.layerWeights === 'probe'
        ? await tryOut(site, layer, sweep, network.stored)
        : scaleOf(survey.layerWeights, site);
    const { lambda, ridgeRaised } = sweep;
    return { error: monotone(sweep.error), scale, ridge: { lambda, ridgeRaised } };
  };
  const { found, losses, metrics } = await network.visit(survey, visit);
  found.forEach(({ ridge }, at) => {
    tellOfRidge(input, layers[at]!, ridge);
  });
  const weights =
    survey.layerWeights === 'probe'
      ? pricesOf(
          layers,
          found.map(({ scale }, at) => (scale > 0 ? losses[at]! / scale : 0)),
        )
      : found.map(({ scale }) => 1 / scale);
  return { curves: found.map(({ error }) => error), weights, metrics };
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

/**
 * Nats per error of every layer. Where there was no trial, `tried` has NaN: the price lies between those of the nearest layers
 * of the same site that have one, evenly in its logarithm (docs/decisions/0045-fewer-trials.md).
 */
export function pricesOf(layers: readonly Layer[], tried: readonly number[]): number[] {
  return layers.map((layer, at) => {
    if (!Number.isNaN(tried[at]!)) return tried[at]!;
    // A layer that loses nothing has no price.
    const same = [...layers.keys()].filter((i) => layers[i]!.site === layer.site && tried[i]! > 0);
    const below = same.findLast((i) => i < at) ?? same[0];
    const above = same.find((i) => i > at) ?? below;
    if (below === undefined || above === undefined) return 0;
    const blocks = layers[above]!.block - layers[below]!.block;
    const share = blocks === 0 ? 0 : (layer.block - layers[below]!.block) / blocks;
    return tried[below]! ** (1 - share) * tried[above]! ** share;
  });
}

/**
 * Prunes the layer alone, as far as a trial goes. Gives the error that its loss is the price of: 0 where nothing would be lost, 1
 * where it is not tried out.
 */
async function tryOut(
  site: DenseSite,
  layer: Layer,
  sweep: SweepResult,
  stored: Dtype,
): Promise<number> {
  if (!site.tryOut) return 1;
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

export function tellOfRidge(
  { survey, warn }: CurvesInput,
  { block, site }: Layer,
  ridge: RidgeReport,
) {
  if (ridge.ridgeRaised === 0) return;
  warn?.(`survey, block ${block}, ${site}: ${raisedRidge(survey.lambda ?? LAMBDA, ridge.lambda)}`);
}

async function curveInOrder(
  { errors, energy, ridge, tryOut }: OrderedSite,
  layer: Layer,
  weights: SurveySpec['layerWeights'],
): Promise<LayerCurve> {
  const error = monotone(errors);
  if (weights !== 'probe') return { error, scale: weights === 'output' ? energy : 1, ridge };
  const removed = trialRemovals(layer, error);
  const scale = errors[removed]!;
  if (scale > 0) await tryOut(removed);
  return { error, scale, ridge };
}

/** What an error is divided by. */
function scaleOf(weights: SurveySpec['layerWeights'], { stream, solver }: DenseSite): number {
  if (weights === 'residual') return stream;
  return weights === 'output' ? solver.targetNormSq : 1;
}

/** Unpenalised errors may dip by a rounding error where a removal costs nothing: the rules want them rising. */
export function monotone(curve: Float64Array): Float64Array {
  let top = 0;
  return curve.map((value) => {
    top = Math.max(top, value);
    return top;
  });
}
