/**
 * Rounds on an FFN's input weights: each moves them and fits the output map anew; one that does not lower the exact error is
 * taken back, and no other follows (docs/method.md, section 7).
 */

/** An output map fitted to the input weights at hand. */
export interface OutputFit extends Disposable {
  /** ‖Y − Ŷ‖² over all calibration tokens. */
  readonly error: number;
}

export interface InputSteps<Fit extends OutputFit> {
  /** Takes the input weights to better ones for the output map of `fit`, or back to where the last round began. */
  move(forth: boolean): Promise<void>;
  /** Fits the output map to the input weights at hand. */
  refit(): Promise<Fit>;
}

export interface RoundsResult<Fit> {
  /** The last fit that was taken; `start` where no round lowered its error. */
  fit: Fit;
  /** Rounds that lowered the exact error. */
  taken: number;
}

/** `prepare` gets a round ready to move; false: there is nowhere to go. `start` passes to the result; both are disposed of on failure. */
export async function inputRounds<Fit extends OutputFit>(
  steps: InputSteps<Fit>,
  start: Fit,
  rounds: number,
  prepare: (fit: Fit, round: number) => Promise<boolean>,
): Promise<RoundsResult<Fit>> {
  let fit = start;
  try {
    for (let round = 0; round < rounds; round++) {
      if (!(await prepare(fit, round))) return { fit, taken: round };
      await steps.move(true);
      const next = await steps.refit();
      if (!(next.error < fit.error)) {
        next[Symbol.dispose]();
        await steps.move(false);
        return { fit, taken: round };
      }
      fit[Symbol.dispose]();
      fit = next;
    }
    return { fit, taken: rounds };
  } catch (error) {
    fit[Symbol.dispose]();
    throw error;
  }
}
