import { readsCurves } from '../../allocation';
import type { RunSpec } from '../../spec';
import { planOutput, uniformAllocation } from '../../spec/planned';
import { tunedPlaces } from '../../tuning/tuning';
import type { PlanInput } from './plan';

/** What the plan of a run's memory is made from: its parts, and what is known of its texts and threads. */
export function planInput(
  spec: RunSpec,
  sizes: Pick<PlanInput, 'engine' | 'tokens' | 'tuning' | 'evaluation' | 'rank'>,
): PlanInput {
  const { settings, source } = spec;
  const { architecture } = source;
  const { removed: evenly } = uniformAllocation(spec);
  const removed = readsCurves(spec.allocation.rule) ? null : evenly;
  const saves = settings.saveCalibration !== undefined;
  const whole = planOutput(spec, new Int32Array(spec.layers.length));
  const tuned = tunedPlaces(whole, settings.tuneRank);
  const copied = whole.copied.reduce((sum, { bytes }) => sum + bytes, 0);
  const { stored } = spec.output;
  return { ...spec, ...sizes, architecture, stored, evenly, removed, tuned, copied, saves };
}
