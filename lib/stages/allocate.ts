/** How much goes where. Nothing of it is kept: it is made anew of the survey, which is. */
import {
  type Allocation,
  allocate as allocateByRule,
  type Budget,
  type JointAllocation,
  layerEnergies,
  readsCurves,
  scopeWeights,
} from '../allocation';
import { allocateByCaller, type PlacedLayer } from '../allocation/own';
import type { ExportPlan } from '../checkpoint/export';
import type { SiteStatistics } from '../masks/statistics';
import { curvesFromScores, type Survey } from '../models/decoders/survey';
import type { Measured } from '../models/decoders/survey-file';
import { Own } from '../own';
import { runIdentity } from '../pruning/journal/identity';
import type { AllocationSpec } from '../spec/allocation';
import { budgetOf, planOutput, uniformAllocation } from '../spec/planned';
import type { SurveySpec } from '../spec/survey';
import { allocationLayers, type Layer } from '../spec/widths';
import { inTurns } from '../turns';
import type { Stage, Work } from './stage';

/** What goes where, and what that was decided by. */
export interface Decision extends Decided {
  /** The output of these widths. */
  plan: ExportPlan;
  /** Column statistics of the dense model, where the method scores on them. */
  columns: SiteStatistics[] | null;
}

interface Decided {
  allocation: Allocation | JointAllocation;
  survey: Survey | null;
  /** ε_l, one a layer; null without a survey. */
  energies: Float64Array | null;
}

export const allocate: Stage<Measured, Decision> = {
  name: 'allocate',
  identity: runIdentity,

  async run(work, measured) {
    const decided = readsCurves(work.allocation.rule)
      ? await byCurves(work, measured)
      : { allocation: uniformAllocation(work), survey: null, energies: null };
    const plan = planOutput(work, decided.allocation.removed);
    const columns = work.gather.inputs === 'survey' ? measured.columns : null;
    return { ...decided, plan, columns };
  },
};

async function byCurves(work: Work, measured: Measured): Promise<Decided> {
  const { layers } = work;
  const survey = await curvesOf(work.survey, measured, layers);
  const placed = allocationLayers(layers, survey.curves, survey.weights);
  const budget = budgetOf(work);
  const allocation = await allocateBy(work.allocation, placed, budget);
  const asked = budget.counted?.perGroup ? allocation.removedWeights : budget.remove;
  const energies = layerEnergies(placed, asked / scopeWeights(placed));
  return { allocation, survey, energies };
}

/** By a rule of ours or of the caller's. @throws StruPruneError ERR_ARGUMENT, ERR_NAN */
export async function allocateBy(
  { rule, ...options }: AllocationSpec,
  layers: readonly PlacedLayer[],
  budget: Budget,
): Promise<Allocation | JointAllocation> {
  if (rule instanceof Own) return allocateByCaller(rule, layers, budget);
  return inTurns(allocateByRule(layers, budget, { rule, ...options }));
}

/** The curves that an allocation reads. */
export async function curvesOf(
  { curves }: SurveySpec,
  { columns, survey }: Measured,
  layers: readonly Layer[],
): Promise<Survey> {
  return curves === 'sweep' ? survey! : inTurns(curvesFromScores(curves, columns!, layers));
}
