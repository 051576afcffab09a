/** What a run removes where: the dense survey, where the rule or the method needs one, and the allocation. */
import {
  type Allocation,
  allocate,
  type Budget,
  type JointAllocation,
  layerEnergies,
  readsCurves,
  scopeWeights,
} from '../allocation';
import { allocateByCaller, type PlacedLayer } from '../allocation/own';
import { copyFile } from '../checkpoint/atomic';
import { asStruPruneError } from '../errors';
import type { SiteStatistics } from '../masks/statistics';
import { Own } from '../own';
import type { AllocationSpec } from '../spec/allocation';
import { budgetOf, uniformAllocation } from '../spec/planned';
import type { SurveySpec } from '../spec/survey';
import { allocationLayers, type Layer } from '../spec/widths';
import { inTurns } from '../turns';
import { type Identity, type RunFacts, surveyIdentity } from './journal/identity';
import type { Journal } from './journal/journal';
import type { Run } from './run';
import { curvesFromScores, type Survey, type SurveyInput } from './survey';
import { type Measured, readSurvey, requireSurvey, writeSurvey } from './survey-file';
import type { Surveys } from './surveys';

/** What goes where, and what that was decided by. */
export interface Decision {
  allocation: Allocation | JointAllocation;
  survey: Survey | null;
  /** ε_l, one a layer; null without a survey. */
  energies: Float64Array | null;
  columns: SiteStatistics[] | null;
}

export async function decide(run: Run, journal: Journal, facts: RunFacts): Promise<Decision> {
  const { allocation: spec, gather, layers } = run;
  const measured = await measure(run, journal, facts);
  const columns = gather.inputs === 'survey' ? measured.columns : null;
  if (!readsCurves(spec.rule)) {
    return { allocation: uniformAllocation(run), survey: null, energies: null, columns };
  }
  const survey = await curvesOf(run.survey, measured, layers);
  const placed = allocationLayers(layers, survey.curves, survey.weights);
  const budget = budgetOf(run);
  const allocation = await allocateBy(spec, placed, budget);
  const asked = budget.counted?.perGroup ? allocation.removedWeights : budget.remove;
  const energies = layerEnergies(placed, asked / scopeWeights(placed));
  return { allocation, survey, energies, columns };
}

/** By a rule of ours or of the caller's. @throws StruPruneError ERR_ARGUMENT, ERR_NAN */
export async function allocateBy(
  { rule, ...options }: AllocationSpec,
  layers: readonly PlacedLayer[],
  budget: Budget,
): Promise<Allocation | JointAllocation> {
  if (rule instanceof Own) return allocateByCaller(rule, layers, budget);
  return inTurns(allocate(layers, budget, { rule, ...options }));
}

/** Refuses --from-calibration with a survey that is not there or not of this run. */
export async function checkSurvey(run: Run, facts: RunFacts): Promise<void> {
  const { from, needed } = run.survey;
  if (from === undefined || !needed) return;
  await requireSurvey(from, surveyIdentity(facts));
}

/** The dense survey: of the journal where it has one, else made now. */
async function measure(run: Run, journal: Journal, facts: RunFacts): Promise<Measured> {
  const { survey, layers, session, ids, window, onProgress } = run;
  if (!survey.needed) return { columns: null, survey: null };
  const identity = surveyIdentity(facts);
  const kept = (await journal.hasSurvey()) && (await readKept(run, journal, identity));
  if (kept) return kept;
  if (survey.from !== undefined) {
    // Kept as a survey of the run's own is: a resumed run goes on with the very same.
    await copyFile(survey.from, journal.surveyPath, { replace: true });
    return adoptSurvey(run, journal, identity);
  }
  const input = { session, ids, window, layers, survey, onProgress, onWarning: run.warn };
  const measured = await makeSurvey(input, run.surveys);
  await writeSurvey(journal.surveyPath, session, measured, identity, { replace: true });
  return measured;
}

/** The journal's survey; null, with a warning, where it is damaged: what it is made of is still there. */
async function readKept(run: Run, journal: Journal, identity: Identity): Promise<Measured | null> {
  try {
    return await adoptSurvey(run, journal, identity);
  } catch (error) {
    if (asStruPruneError(error).code !== 'ERR_CHECKPOINT') throw error;
    await journal.dropSurvey();
    run.warn('the survey in the journal is damaged: it is made again');
    return null;
  }
}

async function adoptSurvey(run: Run, journal: Journal, identity: Identity): Promise<Measured> {
  const { session, layers } = run;
  const path = journal.surveyPath;
  const read = await readSurvey(path, session, layers, identity, session.scratch);
  if (read.survey) run.surveys.adopt(read.survey);
  return read;
}

/** Column statistics for losses by scores, or error curves of the survey's own tokens. */
export async function makeSurvey(input: SurveyInput, surveys: Surveys): Promise<Measured> {
  const { ids, window, survey } = input;
  if (survey.curves !== 'sweep') {
    return { columns: await surveys.columns(input, survey.statistics), survey: null };
  }
  const tokens = Math.max(1, Math.floor(survey.surveyTokens / window)) * window;
  const curves = await surveys.curves({ ...input, ids: ids.subarray(0, tokens) });
  return { columns: null, survey: curves };
}

/** The curves that an allocation reads. */
export async function curvesOf(
  { curves }: SurveySpec,
  { columns, survey }: Measured,
  layers: readonly Layer[],
): Promise<Survey> {
  return curves === 'sweep' ? survey! : inTurns(curvesFromScores(curves, columns!, layers));
}
