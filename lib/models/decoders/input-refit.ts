/**
 * The refit of an FFN's gate and up on their kept channels, between the mask and the slice's way into the file
 * (docs/method.md, section 7): glue between a block and the iterations under lib/solver/.
 */
import type { Block, FfnTokens } from '../../engine/block';
import { Auxiliary, GaussNewton } from '../../engine/input-solver';
import type { Matrix } from '../../engine/matrix';
import { using } from '../../engine/owned';
import type { Refit } from '../../engine/refit';
import type { Session } from '../../engine/session';
import { StruPruneError } from '../../errors';
import type { Site } from '../../model/sublayers';
import type { LayerStats } from '../../pruning/result';
import { type AuxiliarySteps, auxiliaryVariables } from '../../solver/auxiliary';
import { type GaussNewtonSteps, gaussNewton } from '../../solver/gauss-newton';
import type { RoundsResult } from '../../solver/input-rounds';
import { LAMBDA } from '../../solver/ridge';
import type { RefitSpec } from '../../spec/refit';
import type { Layer } from '../../spec/widths';
import { withSolver } from './site-solver';

/** Room for an FFN's tokens; biases of gate and up are weights of a last column of ones. */
export function makeFfnTokens(
  session: Session,
  block: Block,
  site: Site,
  states: Matrix,
  scratch: string,
): FfnTokens {
  const { hidden } = session.architecture;
  const ones = block.shape(`${site}.upBias`) === null ? 0 : 1;
  const inputs = session.matrixBeside(states, hidden + ones, scratch);
  try {
    return { inputs, targets: session.matrixBeside(states, hidden, scratch) };
  } catch (error) {
    inputs[Symbol.dispose]();
    throw error;
  }
}

export interface InputRefit {
  /** Of the output map on the new input weights; `start` where nothing was gained. */
  refit: Refit;
  report: NonNullable<LayerStats['inputRefit']>;
}

/**
 * Refits the input weights of a block that was sliced to its kept channels, whose output map is the original's. `start` is
 * the refit of that map on the input weights as they are. The output map is left as it is.
 */
export async function refitInputs(
  session: Session,
  refit: RefitSpec,
  block: Block,
  layer: Layer,
  tokens: FfnTokens,
  start: Refit,
  bias: boolean,
): Promise<InputRefit> {
  const { lambda, inputs: by } = refit;
  const { site } = layer;
  if (by.by === 'none') throw new StruPruneError('ERR_INTERNAL', 'no inputs are refitted');
  const before = start.relativeError;
  const options = { lambda: lambda ?? LAMBDA, freezeBiases: refit.bias === 'keep' };
  const fitOutput = () => refitOutput(session, lambda, block, layer, tokens, bias);
  const done = ({ fit, taken }: RoundsResult<Refit>): InputRefit => ({
    refit: fit,
    report: { before, rounds: taken },
  });
  if (by.by === 'auxiliary') {
    return using(await Auxiliary.of(block, site, tokens, options), async (solver) => {
      const steps: AuxiliarySteps<Refit> = {
        iterate: (fit, offset) => solver.iterate(fit, { tokens: by.tokens, offset }, 'calibrating'),
        move: (forth) => solver.move(forth),
        refit: fitOutput,
      };
      return done(await auxiliaryVariables(steps, start, by.iterations));
    });
  }
  return using(await GaussNewton.of(block, site, tokens, options), async (solver) => {
    const steps: GaussNewtonSteps<Refit> = {
      linearise: async (fit, offset) => {
        await solver.linearise(fit, { tokens: by.tokens, offset }, 'searching');
      },
      nextDirection: (last) => solver.nextDirection(last, 'searching'),
      advance: (step) => solver.advance(step),
      move: (forth) => solver.move(forth),
      refit: fitOutput,
    };
    return done(await gaussNewton(steps, start, by));
  });
}

/** The exact refit of the output map on what the block's input weights make of all tokens. */
function refitOutput(
  session: Session,
  lambda: number | undefined,
  block: Block,
  layer: Layer,
  tokens: FfnTokens,
  bias: boolean,
): Promise<Refit> {
  const width = block.width(layer.site);
  const sums = session.statistics(width, {
    gram: true,
    residual: session.architecture.hidden,
    scratch: session.scratch,
    over: tokens.inputs,
  });
  return using(sums, async (statistics) => {
    await block.collectHidden(layer.site, tokens, statistics, 'calibrating');
    const everything = new Uint8Array(width).fill(1);
    return withSolver(lambda, block, layer, { statistics, metric: null }, (solver) =>
      solver.refit(everything, { bias, stored: session.stored.matrices }),
    );
  });
}
