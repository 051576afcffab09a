/** Adam (arXiv 1412.6980): what is trained moves by its gradient's mean over the root of its mean square. */
import type { Steps } from '../turns';

/** Short memories, for a few steps of many tokens each. */
const DECAY = { mean: 0.5, square: 0.95 };
/** Beside gradients of a mean over many tokens. */
const LEAST = 1e-12;
/** Numbers between two pauses. */
const PIECE = 2 ** 14;

export type Numbers = Float64Array | Float32Array;

/** Moments of the gradients of so many steps, one of each a parameter. */
export interface AdamState {
  mean: Numbers;
  square: Numbers;
  steps: number;
}

export function adamState(parameters: number): AdamState {
  return { mean: new Float64Array(parameters), square: new Float64Array(parameters), steps: 0 };
}

/** A step down the gradient, in place. */
export function* adamStep(
  parameters: Numbers,
  gradient: Numbers,
  state: AdamState,
  rate: number,
): Steps<void> {
  state.steps += 1;
  const unbiased = {
    mean: 1 - DECAY.mean ** state.steps,
    square: 1 - DECAY.square ** state.steps,
  };
  for (const [i, g] of gradient.entries()) {
    const mean = DECAY.mean * state.mean[i]! + (1 - DECAY.mean) * g;
    const square = DECAY.square * state.square[i]! + (1 - DECAY.square) * g * g;
    state.mean[i] = mean;
    state.square[i] = square;
    const size = Math.sqrt(square / unbiased.square) + LEAST;
    parameters[i]! -= (rate * mean) / unbiased.mean / size;
    if (i % PIECE === 0) yield;
  }
}
