import type { Steps } from '../turns';

/** Constants and arithmetic only: the temperatures tried are then the same in every JavaScript engine. */
const GRID_RATIO = Math.SQRT2;
const GOLDEN = 0.6180339887498949;
const HOTTEST = 1024;
const GRID_STEPS = 40;
const REFINEMENTS = 20;
/** A colder temperature must be better by this much (relative): ties go to the hotter, more even one. */
const BETTER = 1e-12;

/**
 * Temperature with the smallest predicted error: a grid from 1024 down to 2^-10 in steps of √2 (energies have
 * mean 1), then golden section between the neighbours of the best one. The error is a step function of T, so
 * the best temperature seen is returned, not the last one.
 */
export function* bestTemperature(
  predictedError: (temperature: number) => Steps<number>,
): Steps<number> {
  let best = { temperature: HOTTEST, error: yield* predictedError(HOTTEST) };
  const consider = function* (temperature: number): Steps<number> {
    const error = yield* predictedError(temperature);
    if (error < best.error - BETTER * Math.abs(best.error)) best = { temperature, error };
    return error;
  };
  for (let step = 1, temperature = HOTTEST; step <= GRID_STEPS; step++) {
    temperature /= GRID_RATIO;
    yield* consider(temperature);
  }
  let low = best.temperature / GRID_RATIO;
  let high = best.temperature * GRID_RATIO;
  for (let step = 0; step < REFINEMENTS; step++) {
    const left = high - GOLDEN * (high - low);
    const right = low + GOLDEN * (high - low);
    const leftError = yield* consider(left);
    if (leftError < (yield* consider(right))) high = right;
    else low = left;
  }
  return best.temperature;
}
