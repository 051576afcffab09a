/**
 * What every layer of experts would lose without so many of them, and without so many channels of each (docs/decisions/0048): both
 * are errors of its output after a refit, as shares of that output's energy.
 */
import { StruPruneError } from '../errors';
import { type ExpertCurve, expertCurve, roundsOfCurve } from '../masks/experts';
import type { ExpertSite } from '../models/front-end';
import type { Survey } from '../pruning/survey-file';
import type { Layer } from '../spec/widths';
import { type CurvesInput, monotone, tellOfRidge } from './curves';

/** Share of the experts with which gone the others are refitted: what that spares is taken to be the same at other shares. */
const SHARE = 0.25;

/** So many experts, the others of which are refitted. */
export function triedExperts({ allowed, groups }: Pick<Layer, 'allowed' | 'groups'>): number {
  const rounds = roundsOfCurve(allowed.at(-1)!);
  return rounds.find((gone) => gone >= SHARE * groups) ?? rounds.at(-1) ?? 0;
}

export async function surveyExperts(input: CurvesInput): Promise<Survey> {
  const { network, survey } = input;
  const { layers } = network;
  if (!network.visitExperts) {
    throw new StruPruneError('ERR_INTERNAL', 'this network has no experts');
  }
  const curves: Float64Array[] = layers.map(({ allowed }) => new Float64Array(allowed.at(-1)! + 1));
  /** Of every block: what the price of an error in its layer is made of. */
  const scales = new Map<number, { at: number; energy: number; refitted: number }>();
  const losses = await network.visitExperts(survey, async (at, site) => {
    const layer = layers[at]!;
    const most = layer.allowed.at(-1)!;
    if (site.by === 'trials') {
      const curve = await expertCurve(site.trial, most);
      const { left, refitted } = await refitWithout(curve, triedExperts(layer), site);
      curves[at] = monotone(curve.error.map((error) => left * error));
      scales.set(layer.block, { at, energy: curve.energy, refitted });
      return;
    }
    const sweep = await site.solver.sweep({
      maxRemoved: most,
      selection: 'plain',
      curve: 'plain',
    });
    curves[at] = monotone(sweep.error);
    const { lambda, ridgeRaised } = sweep;
    tellOfRidge(input, layer, { lambda, ridgeRaised });
  });
  const weights = layers.map(({ block }) => {
    const { at, energy, refitted } = scales.get(block)!;
    const [loss, scale] = survey.layerWeights === 'probe' ? [losses[at]!, refitted] : [1, energy];
    return scale > 0 ? loss / scale : 0;
  });
  return { curves, weights, metrics: null };
}

/** The error that a refit of those that stay leaves, and the part that it is of the error before. */
async function refitWithout(
  { rounds }: ExpertCurve,
  count: number,
  site: ExpertSite & { by: 'trials' },
): Promise<{ left: number; refitted: number }> {
  const tried = rounds.find(({ gone }) => gone.length === count);
  if (!tried || tried.error === 0) return { left: 1, refitted: 0 };
  const refitted = await site.refitted(tried.gone);
  return { left: Math.min(1, refitted / tried.error), refitted };
}
