/** The progress of a whole run out of that of its stages, each worth the time that the plan gives it. */
import type { OnStage, Progress } from '../../progress';
import { type RunPlan, type StagePlan, workOf } from './plan';

/** Share of a run before which its pace says nothing. */
const LEAST_SHARE = 0.01;

/** Adds `overall` to what a run's stages tell. `evaluates`: the dense and the pruned model are measured. */
export function wholeProgress(
  { stages }: Pick<RunPlan, 'stages'>,
  evaluates: boolean,
  tell: OnStage | undefined,
): OnStage | undefined {
  const phases = phasesOf(stages, evaluates);
  const total = phases.reduce((sum, { work }) => sum + work, 0);
  const start = performance.now();
  let at = 0;
  let most = 0;
  let resumed = 0;
  // Samples, what else no plan gives work to, and what an earlier run did say nothing of the pace.
  let apart = 0;
  let last = { time: start, counts: true };
  const share = ({ stage, done, total: steps }: Pick<Progress, 'stage' | 'done' | 'total'>) => {
    const found = phases.findIndex((phase, index) => index >= at && phase.stage === stage);
    if (found === -1) return most;
    at = found;
    const before = phases.slice(0, at).reduce((sum, { work }) => sum + work, 0);
    const part = steps > 0 ? Math.min(done / steps, 1) * phases[at]!.work : 0;
    most = Math.max(most, (before + part) / total);
    return most;
  };
  return (
    tell &&
    ((progress, isResumed = false) => {
      const before = most;
      const whole = share(progress);
      const time = performance.now();
      const counts = phases.some(({ stage }) => stage === progress.stage);
      if (isResumed) resumed += whole - before;
      if (isResumed || !counts || !last.counts) apart += time - last.time;
      last = { time, counts };
      const seconds = (time - start - apart) / 1000;
      const own = whole - resumed;
      const secondsLeft = own < LEAST_SHARE ? null : (seconds / own) * (1 - whole);
      tell({ ...progress, overall: { share: whole, secondsLeft } });
    })
  );
}

interface Phase {
  stage: Progress['stage'];
  /** As `workOf` counts. */
  work: number;
}

/** In their order: what is measured is measured before and after. */
function phasesOf(stages: readonly StagePlan[], evaluates: boolean): Phase[] {
  const phases = stages.map(({ stage, flops }) => ({ stage, work: workOf(flops) }));
  const measures = phases.filter(({ stage }) => stage === 'evaluate');
  const half = evaluates ? measures.map((phase) => ({ ...phase, work: phase.work / 2 })) : [];
  return [...half, ...phases.filter(({ stage }) => stage !== 'evaluate'), ...half];
}
