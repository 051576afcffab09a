/**
 * The auxiliary variables of an FFN (docs/method.md, section 7). Native code does an iteration in one pass over the tokens: what
 * hidden activations and pre-activations each would like, and gate and up fitted to those.
 */
import { type InputSteps, inputRounds, type OutputFit, type RoundsResult } from './input-rounds';

export interface AuxiliarySteps<Fit extends OutputFit> extends InputSteps<Fit> {
  /** From the input weights at hand and the output map of `fit`. */
  iterate(fit: Fit, iteration: number): Promise<void>;
}

export function auxiliaryVariables<Fit extends OutputFit>(
  solver: AuxiliarySteps<Fit>,
  start: Fit,
  iterations: number,
): Promise<RoundsResult<Fit>> {
  return inputRounds(solver, start, iterations, async (fit, iteration) => {
    await solver.iterate(fit, iteration);
    return true;
  });
}
