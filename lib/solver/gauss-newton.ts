/**
 * The Gauss-Newton iteration on an FFN's input weights (docs/method.md, section 7). Native code does each step; here are the
 * rounds, the steps of the conjugate gradients, and whether a round is taken.
 */

/** An output map fitted to the input weights at hand. */
export interface OutputFit {
  /** ‖Y − Ŷ‖² over all calibration tokens. */
  readonly error: number;
  release(): void;
}

export interface GaussNewtonSteps<Fit extends OutputFit> {
  /** At the input weights at hand and the output map of `fit`. */
  linearise(fit: Fit, round: number): Promise<void>;
  /** The minimum along the next conjugate direction lies at slope ÷ curvature. */
  nextDirection(last: boolean): Promise<{ slope: number; curvature: number }>;
  advance(step: number): Promise<void>;
  /** Takes the input weights to where the linearisation led (true), or back. */
  move(forth: boolean): Promise<void>;
  /** Fits the output map to the input weights at hand. */
  refit(): Promise<Fit>;
}

export interface GaussNewtonOptions {
  /** Linearisations, each with a refit of the output map. */
  rounds: number;
  /** Conjugate gradient steps of a round. */
  steps: number;
}

export interface GaussNewtonResult<Fit> {
  /** The last fit that was taken; `start` where no round lowered its error. */
  fit: Fit;
  /** Rounds that lowered the exact error. */
  taken: number;
}

/** Runs rounds until one does not lower the exact error; that one is taken back. `start` passes to the result. */
export async function gaussNewton<Fit extends OutputFit>(
  solver: GaussNewtonSteps<Fit>,
  start: Fit,
  { rounds, steps }: GaussNewtonOptions,
): Promise<GaussNewtonResult<Fit>> {
  let fit = start;
  for (let round = 0; round < rounds; round++) {
    await solver.linearise(fit, round);
    if (!(await descend(solver, steps))) return { fit, taken: round };
    await solver.move(true);
    const next = await solver.refit();
    if (!(next.error < fit.error)) {
      next.release();
      await solver.move(false);
      return { fit, taken: round };
    }
    fit.release();
    fit = next;
  }
  return { fit, taken: rounds };
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
