/** What a run removes where: the dense survey, where the rule or the method needs one, and the allocation. */
import {
  type Allocation,
  allocate,
  type Budget,
  type JointAllocation,
  layerEnergies,
  scopeWeights,
} from '../allocation';
import { allocateByCaller, type PlacedLayer } from '../allocation/own';
import { copyFile } from '../checkpoint/atomic';
import { asStruPruneError } from '../errors';
import type { Method, SiteStatistics } from '../methods';
import type { Settings } from '../options';
import { Own } from '../own';
import { inTurns } from '../turns';
import { type Identity, type RunFacts, surveyIdentity } from './journal/identity';
import type { Journal } from './journal/journal';
import type { Run } from './run';
import { budgetOf, surveys, uniformAllocation } from './setup';
import { curvesFromScores, type Survey, type SurveyInput } from './survey';
import { type Measured, readSurvey, requireSurvey, writeSurvey } from './survey-file';
import type { Surveys } from './surveys';
import { allocationLayers, type Layer } from './widths';

/** What goes where, and what that was decided by. */
export interface Decision {
  allocation: Allocation | JointAllocation;
  survey: Survey | null;
  /** ε_l, one a layer; null without a survey. */
  energies: Float64Array | null;
  columns: SiteStatistics[] | null;
}

export async function decide(run: Run, journal: Journal, facts: RunFacts): Promise<Decision> {
  const { settings, method, layers } = run;
  const measured = await measure(run, journal, facts);
  const columns = method?.inputs === 'dense' ? measured.columns : null;
  if (settings.allocation === 'uniform') {
    return { allocation: uniformAllocation(run), survey: null, energies: null, columns };
  }
  const survey = await curvesOf(method, measured, layers);
  const placed = allocationLayers(layers, survey.curves, survey.weights);
  const budget = budgetOf(run);
  const allocation = await allocateBy(settings, placed, budget);
  const asked = budget.counted?.perGroup ? allocation.removedWeights : budget.remove;
  const energies = layerEnergies(placed, asked / scopeWeights(placed));
  return { allocation, survey, energies, columns };
}

/** By a rule of ours or of the caller's. @throws StruPruneError ERR_ARGUMENT, ERR_NAN */
export async function allocateBy(
  settings: Pick<Settings, 'allocation' | 'energyForm' | 'temperature' | 'apart'>,
  layers: readonly PlacedLayer[],
  budget: Budget,
): Promise<Allocation | JointAllocation> {
  const { allocation: rule, energyForm: form, temperature, apart } = settings;
  if (rule instanceof Own) return allocateByCaller(rule, layers, budget);
  return inTurns(allocate(layers, budget, { rule, form, temperature, apart }));
}

/** Refuses --from-calibration with a survey that is not there or not of this run. */
export async function checkSurvey(run: Run, facts: RunFacts): Promise<void> {
  const { fromCalibration } = run.settings;
  if (fromCalibration === undefined || !surveys(run)) return;
  await requireSurvey(fromCalibration, surveyIdentity(facts));
}

/** The dense survey: of the journal where it has one, else made now. */
async function measure(run: Run, journal: Journal, facts: RunFacts): Promise<Measured> {
  const { settings, method, layers, session, ids, window, onProgress } = run;
  if (!surveys(run)) return { columns: null, survey: null };
  const identity = surveyIdentity(facts);
  const { fromCalibration } = settings;
  const kept = (await journal.hasSurvey()) && (await readKept(run, journal, identity));
  if (kept) return kept;
  if (fromCalibration !== undefined) {
    // Kept as a survey of the run's own is: a resumed run goes on with the very same.
    await copyFile(fromCalibration, journal.surveyPath, { replace: true });
    return adoptSurvey(run, journal, identity);
  }
  const input = { session, ids, window, layers, settings, onProgress, onWarning: run.warn };
  const measured = await makeSurvey(input, method, run.surveys);
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
  const { session, layers, settings } = run;
  const path = journal.surveyPath;
  const read = await readSurvey(path, session, layers, identity, settings.scratch);
  if (read.survey) run.surveys.adopt(read.survey);
  return read;
}

/** What a method asks of the dense model: column statistics, or error curves of the survey's own tokens. */
export async function makeSurvey(
  input: SurveyInput,
  method: Method | null,
  surveys: Surveys,
): Promise<Measured> {
  if (method?.selection === 'scores') {
    return { columns: await surveys.columns(input, method.statistics), survey: null };
  }
  const { ids, window, settings } = input;
  const tokens = Math.max(1, Math.floor(settings.surveyTokens / window)) * window;
  const survey = await surveys.curves({ ...input, ids: ids.subarray(0, tokens) });
  return { columns: null, survey };
}

/** The curves that an allocation reads. */
export async function curvesOf(
  method: Method | null,
  { columns, survey }: Measured,
  layers: readonly Layer[],
): Promise<Survey> {
  if (method?.selection !== 'scores') return survey!;
  return inTurns(curvesFromScores(method, columns!, layers));
}
