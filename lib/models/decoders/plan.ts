/**
 * What a run will need before it starts: memory stage by stage, scratch and room beside the output,
 * and work. From the architecture and the settings alone; no weight is read.
 */
import { type Flops, inTurn } from '../../engine/needs';
import { keptReserve, modelReserve, processReserve } from '../../engine/reserve';
import { evaluateNeeds } from './needs/evaluate';
import { solveNeeds } from './needs/solve';
import type { PlanInput, StageNeeds } from './needs/stage';
import { depthNeeds, halvesNeeds, searchNeeds, surveyNeeds } from './needs/survey';
import { tuneNeeds } from './needs/tune';
import { diskBytes, keptNumbers } from './needs/write';

export type { PlanInput } from './needs/stage';

export type StageName =
  | 'evaluate'
  | 'survey'
  | 'depth'
  | 'search'
  | 'confidence'
  | 'solve'
  | 'tune';

export interface StagePlan {
  stage: StageName;
  /** Peak of what the native side allocates, bytes. */
  memory: number;
  /** Bytes in scratch files at the same time. */
  scratch: number;
  /** What lies there. */
  paged: string[];
  flops: Flops;
  /** Bytes of sums that go to other ranks. */
  sent: number;
}

/**
 * Shares of the rate of products, and of sgemm's, that forward passes with Grams, and solvers in double precision, come to: rough
 * (docs/benchmarks.md, effort).
 */
export const SINGLE_SHARE = 0.75;
export const DOUBLE_SHARE = 0.2;

/** Floating-point operations of a stage, each by the time it takes where products in single precision take 1. */
export function workOf({ single, searching, double }: Flops): number {
  return (single + searching) / SINGLE_SHARE + double / DOUBLE_SHARE;
}

export interface RunPlan {
  stages: StagePlan[];
  /** Largest memory of the stages, with what the process takes beside it, bytes: what --memory limits. */
  memory: number;
  /** What the process takes beside the native side. */
  reserve: number;
  /** Largest scratch of the stages, bytes. */
  scratch: number;
  /** Bytes beside the output: the journal and the output, for a while both. An upper bound: nothing removed. */
  disk: number;
  /** Hidden states of the solve and of evaluations go to scratch, and of tiled matrices what does not fit. */
  statesPaged: boolean;
  /** Most of the GPU's memory at once, and most passes over the tokens that sums need with it; null on the CPU. */
  device: { memory: number; passes: number } | null;
}

/**
 * The plan under a limit in bytes (0 = none): hidden states and tiles are paged where they do not all fit.
 * @throws StruPruneError ERR_BUDGET when a site, a refit's pass or the head does not fit the GPU's memory
 */
export function planRun(input: PlanInput, limit: number): RunPlan {
  const resident = planWith(input, false);
  return limit === 0 || resident.memory <= limit ? resident : planWith(input, true);
}

/** The smallest limit under which the run can be done. */
export function smallestMemory(input: PlanInput): number {
  return Math.min(planWith(input, true).memory, planWith(input, false).memory);
}

function planWith(input: PlanInput, paged: boolean): RunPlan {
  const { engine, source } = input;
  const stages = stagesOf(input).map(([stage, needs]) => ({ stage, ...needs(input, paged) }));
  const all = inTurn(...stages.map(({ needs }) => needs));
  const plans = stages.map(planOf);
  const reserve =
    processReserve(engine.threads) + modelReserve(source) + keptReserve(keptNumbers(input));
  return {
    stages: plans,
    memory: reserve + all.memory,
    reserve,
    scratch: Math.max(...plans.map(({ scratch }) => scratch)),
    disk: diskBytes(input),
    statesPaged: paged,
    device: engine.device === 'cpu' ? null : { memory: all.device, passes: all.passes },
  };
}

type Stage = [name: StageName, needs: (input: PlanInput, paged: boolean) => StageNeeds];

function stagesOf({
  survey,
  depth,
  search,
  confidence,
  tuning,
  surveyOnly = false,
}: PlanInput): Stage[] {
  const surveyed = survey.needed && survey.from === undefined;
  const tuned = !surveyOnly && tuning !== null;
  return [
    ...(surveyOnly ? [] : [['evaluate', evaluateNeeds] satisfies Stage]),
    ...(surveyed ? [['survey', surveyNeeds] satisfies Stage] : []),
    ...(depth && !surveyOnly ? [['depth', depthNeeds] satisfies Stage] : []),
    ...(search > 0 && !surveyOnly ? [['search', searchNeeds] satisfies Stage] : []),
    ...(confidence && !surveyOnly ? [['confidence', halvesNeeds] satisfies Stage] : []),
    ...(surveyOnly ? [] : [['solve', solveNeeds] satisfies Stage]),
    ...(tuned ? [['tune', tuneNeeds] satisfies Stage] : []),
  ];
}

function planOf({ stage, needs, scratch, paged }: StageNeeds & { stage: StageName }): StagePlan {
  const { memory, flops, sent } = needs;
  return { stage, memory, scratch: scratch + needs.scratch, paged, flops, sent };
}
