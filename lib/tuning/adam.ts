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
  for (let at = 0; at < gradient.length; at += PIECE) {
    const piece = (numbers: Numbers) => numbers.subarray(at, at + PIECE);
    const { mean, square, steps } = state;
    step(
      piece(parameters),
      piece(gradient),
      { mean: piece(mean), square: piece(square), steps },
      rate,
    );
    yield;
  }
}

function step(
  parameters: Numbers,
  gradient: Numbers,
  { mean, square, steps }: AdamState,
  rate: number,
): void {
  const unbiased = { mean: 1 - DECAY.mean ** steps, square: 1 - DECAY.square ** steps };
  for (let i = 0; i < gradient.length; i++) {
    const g = gradient[i]!;
    const first = DECAY.mean * mean[i]! + (1 - DECAY.mean) * g;
    const second = DECAY.square * square[i]! + (1 - DECAY.square) * g * g;
    mean[i] = first;
    square[i] = second;
    const size = Math.sqrt(second / unbiased.square) + LEAST;
    parameters[i]! -= (rate * first) / unbiased.mean / size;
  }
}
