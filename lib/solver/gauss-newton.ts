/**
 * The Gauss-Newton iteration on an FFN's input weights (docs/method.md, section 7). Native code does each step; here are the
 * rounds and the steps of the conjugate gradients.
 */
import { type InputSteps, inputRounds, type OutputFit, type RoundsResult } from './input-rounds';

export interface GaussNewtonSteps<Fit extends OutputFit> extends InputSteps<Fit> {
  /** At the input weights at hand and the output map of `fit`. */
  linearise(fit: Fit, round: number): Promise<void>;
  /** The minimum along the next conjugate direction lies at slope ÷ curvature. */
  nextDirection(last: boolean): Promise<{ slope: number; curvature: number }>;
  advance(step: number): Promise<void>;
}

export interface GaussNewtonOptions {
  /** Linearisations, each with a refit of the output map. */
  rounds: number;
  /** Conjugate gradient steps of a round. */
  steps: number;
}

export function gaussNewton<Fit extends OutputFit>(
  solver: GaussNewtonSteps<Fit>,
  start: Fit,
  { rounds, steps }: GaussNewtonOptions,
): Promise<RoundsResult<Fit>> {
  return inputRounds(solver, start, rounds, async (fit, round) => {
    await solver.linearise(fit, round);
    return descend(solver, steps);
  });
}

/** Conjugate gradients; false where already the first direction does not lead down. */
async function descend(
  solver: Pick<GaussNewtonSteps<OutputFit>, 'nextDirection' | 'advance'>,
  steps: number,
): Promise<boolean> {
  for (let step = 0; step < steps; step++) {
    const { slope, curvature } = await solver.nextDirection(step === steps - 1);
    if (!(slope > 0 && curvature > 0)) return step > 0;
    await solver.advance(slope / curvature);
  }
  return true;
}

/**
 * Useful flops a token of its passes over an FFN of `width` channels: products of floats, two a multiplication and its
 * addition. `parts`: gate and up, or up alone.
 */
export function gaussNewtonFlops(ffn: { width: number; hidden: number; parts: number }) {
  const { width, hidden, parts } = ffn;
  const out = 2 * width * hidden;
  const all = parts * out;
  const gram = width ** 2;
  return {
    /** With what the preconditioner is made of. */
    gradient: 2 * all + 2 * out + parts * gram + hidden ** 2,
    /** There, and back where another direction follows. */
    direction: 2 * all + out,
    back: all + out,
    /** For a refit of the output map: the hidden activations, their Gram matrix and what is missed. */
    refit: all + 2 * out + gram,
  };
}
