/** How much goes where. Nothing of it is kept: it is made anew of the survey, which is. */
import {
  type Allocation,
  allocate as allocateByRule,
  allocateExperts,
  allocatePairs,
  type Budget,
  type JointAllocation,
  layerEnergies,
  readsCurves,
} from '../allocation';
import { allocateByCaller, type PlacedLayer } from '../allocation/own';
import type { SiteStatistics } from '../masks/statistics';
import type { Site } from '../model/sublayers';
import type { Shrinking } from '../models/front-end';
import type { Scope } from '../options/method';
import { Own } from '../own';
import type { SearchReport } from '../pruning/result';
import type { Measured, Survey } from '../pruning/survey-file';
import { type AllocationSpec, requireForScope } from '../spec/allocation';
import type { SurveySpec } from '../spec/survey';
import { allocationLayers, type Layer, uniformly } from '../spec/widths';
import { inTurns } from '../turns';
import { curvesFromScores } from './curves';
import { allocateWithDepth, trialPrices } from './depth';
import { allocateWithInner } from './inner';
import { searchOn } from './search';
import type { Stage, Work } from './stage';

/** What goes where, and what that was decided by. */
export interface Decision extends Decided {
  /** The network on its way there. */
  shrinking: Shrinking;
  /** Column statistics of the dense network, where the method scores on them. */
  columns: SiteStatistics[] | null;
}

interface Decided {
  allocation: Allocation | JointAllocation;
  survey: Survey | null;
  /** ε_l, one a layer; null without a survey. */
  energies: Float64Array | null;
  /** Layers that go as wholes, with the predicted loss of each. */
  gone: ReadonlyMap<number, number>;
  /** null: nothing was searched for. */
  search: SearchReport | null;
}

export const allocate: Stage<Measured, Decision> = {
  name: 'allocate',

  async run(work, measured) {
    const { network, allocation, gather } = work;
    const decided = readsCurves(allocation.rule)
      ? await byCurves(work, measured)
      : evenly(work, measured);
    const shrinking = network.shrink(decided.allocation.removed);
    const columns = gather.inputs === 'survey' ? measured.columns : null;
    return { ...decided, shrinking, columns };
  },
};

const NONE: Decided['gone'] = new Map();

function evenly({ network, allocation }: Work, { survey }: Measured): Decided {
  const { layers, budget } = network;
  const evenly = uniformly(layers, budget, allocation, survey);
  return { allocation: evenly, survey, energies: null, gone: NONE, search: null };
}

async function byCurves(work: Work, measured: Measured): Promise<Decided> {
  const { layers, budget } = work.network;
  const dense = await curvesOf(work.survey, measured, layers);
  const first = allocationLayers(layers, dense.curves, dense.weights);
  const found = await decide(work, first, budget);
  const { allocation, gone = NONE, weights = dense.weights, search = null } = found;
  const placed = allocationLayers(layers, dense.curves, weights);
  const asked = budget.counted?.freed ? allocation.removedWeights : budget.remove;
  // Widths and experts of a block are choices of one site.
  const energies = work.survey.experts ? null : layerEnergies(placed, asked);
  return { allocation, survey: { ...dense, weights }, energies, gone, search };
}

async function decide(
  work: Work,
  layers: PlacedLayer[],
  budget: Budget,
): Promise<
  Pick<Decided, 'allocation'> & Partial<Pick<Decided, 'gone' | 'search'> & { weights: number[] }>
> {
  const { inner } = work.network;
  const allocate = (offered: PlacedLayer[], missing: Budget) =>
    allocateBy(work.allocation, offered, missing);
  if (work.depth) {
    return allocateWithDepth({ layers, budget, prices: await trialPrices(work), allocate });
  }
  if (inner) return { allocation: await allocateWithInner({ layers, budget, inner, allocate }) };
  if (work.search === 0) return { allocation: await allocate(layers, budget) };
  return searchOn(work, layers, (offered) => allocate(offered, budget));
}

/** By a rule of ours or of the caller's. @throws StruPruneError ERR_ARGUMENT, ERR_NAN */
export async function allocateBy(
  { rule, ...options }: AllocationSpec,
  layers: readonly PlacedLayer[],
  budget: Budget,
): Promise<Allocation | JointAllocation> {
  const scope = expertScopeOf(layers);
  if (scope !== null) {
    requireForScope(scope, rule);
    if (rule === 'threshold') return inTurns(allocateExperts(layers, budget));
    if (scope === 'moe') return allocatePairs(layers, budget);
  }
  if (rule instanceof Own) return allocateByCaller(rule, layers, budget);
  return inTurns(allocateByRule(layers, budget, { rule, ...options }));
}

/** What goes of experts; null: layers are of dense blocks. */
export function expertScopeOf(layers: readonly { scope: Site }[]): Scope | null {
  const has = (scope: Site) => layers.some((layer) => layer.scope === scope);
  if (has('experts')) return has('expert-channels') ? 'moe' : 'experts';
  return has('expert-channels') ? 'expert-channels' : null;
}

/** The curves that an allocation reads. */
export async function curvesOf(
  { curves }: SurveySpec,
  { columns, survey }: Measured,
  layers: readonly Layer[],
): Promise<Survey> {
  return curves === 'sweep' ? survey! : inTurns(curvesFromScores(curves, columns!, layers));
}
