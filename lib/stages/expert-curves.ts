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
  const energies = new Map<number, number>();
  await network.visitExperts(survey, async (at, site) => {
    const layer = layers[at]!;
    const most = layer.allowed.at(-1)!;
    if (site.by === 'trials') {
      const curve = await expertCurve(site.trial, most);
      const left = await leftByRefit(curve, triedExperts(layer), site);
      curves[at] = monotone(curve.error.map((error) => left * error));
      energies.set(layer.block, curve.energy);
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
    const energy = energies.get(block) ?? 0;
    return energy > 0 ? 1 / energy : 0;
  });
  return { curves, weights, metrics: null };
}

/** The part of an error that a refit of those that stay leaves. */
async function leftByRefit(
  { rounds }: ExpertCurve,
  count: number,
  { refitted }: ExpertSite & { by: 'trials' },
): Promise<number> {
  const tried = rounds.find(({ gone }) => gone.length === count);
  if (!tried || tried.error === 0) return 1;
  return Math.min(1, (await refitted(tried.gone)) / tried.error);
}
