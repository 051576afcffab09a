/**
 * The refit of an FFN's gate and up on their kept channels, between the mask and the slice's way into the file
 * (docs/method.md, section 7): glue between a block and the iterations under lib/solver/.
 */
import { using } from '../../engine/engine';
import { type BlockHandle, type MatrixHandle, native } from '../../engine/native';
import { type Session, siteColumns } from '../../engine/session';
import { StruPruneError } from '../../errors';
import type { LayerStats } from '../../pruning/result';
import { type AuxiliarySteps, auxiliaryVariables } from '../../solver/auxiliary';
import { type GaussNewtonSteps, gaussNewton } from '../../solver/gauss-newton';
import type { RoundsResult } from '../../solver/input-rounds';
import type { NativeRefit } from '../../solver/native-solver';
import type { RefitSpec } from '../../spec/refit';
import type { Layer } from '../../spec/widths';
import { withSolver } from './site-solver';

/** What the FFN reads and what it is to give, a row a calibration token. */
export interface FfnTokens {
  inputs: MatrixHandle;
  targets: MatrixHandle;
}

/** Room for them; biases of gate and up are weights of a last column of ones. */
export function makeFfnTokens(
  session: Session,
  block: BlockHandle,
  rows: number,
  pageRows: number,
  scratch: string,
): FfnTokens {
  const { hidden } = session.architecture;
  const ones = native.blockShape(block, 'ffn.upBias') === null ? 0 : 1;
  const inputs = session.matrix(rows, hidden + ones, pageRows, scratch);
  try {
    return { inputs, targets: session.matrix(rows, hidden, pageRows, scratch) };
  } catch (error) {
    native.release(inputs);
    throw error;
  }
}

export interface InputRefit {
  /** Of the output map on the new input weights; `start` where nothing was gained. */
  refit: NativeRefit;
  report: NonNullable<LayerStats['inputRefit']>;
}

/**
 * Refits the input weights of a block that was sliced to its kept channels, whose output map is the original's. `start` is
 * the refit of that map on the input weights as they are. The output map is left as it is.
 */
export async function refitInputs(
  session: Session,
  refit: RefitSpec,
  block: BlockHandle,
  layer: Layer,
  tokens: FfnTokens,
  start: NativeRefit,
  bias: boolean,
): Promise<InputRefit> {
  const { handle } = session.engine;
  const { inputs, targets } = tokens;
  const { lambda, inputs: by } = refit;
  const { site } = layer;
  if (by.by === 'none') throw new StruPruneError('ERR_INTERNAL', 'no inputs are refitted');
  const before = start.relativeError;
  const freezes = refit.bias === 'keep';
  const fitOutput = () => refitOutput(session, lambda, block, layer, tokens, bias);
  const done = ({ fit, taken }: RoundsResult<NativeRefit>): InputRefit => ({
    refit: fit,
    report: { before, rounds: taken },
  });
  if (by.by === 'auxiliary') {
    const variables = await native.createAuxiliary(
      handle,
      block,
      site,
      inputs,
      targets,
      lambda,
      freezes,
    );
    return using(variables, async (solver) => {
      const steps: AuxiliarySteps<NativeRefit> = {
        iterate: (fit, iteration) =>
          native.iterateAuxiliary(handle, solver, block, site, fit, by.tokens, iteration),
        move: (forth) => native.moveAuxiliary(handle, solver, block, site, forth),
        refit: fitOutput,
      };
      return done(await auxiliaryVariables(steps, start, by.iterations));
    });
  }
  const newton = await native.createGaussNewton(
    handle,
    block,
    site,
    inputs,
    targets,
    lambda,
    freezes,
  );
  return using(newton, async (solver) => {
    const steps: GaussNewtonSteps<NativeRefit> = {
      linearise: async (fit, round) => {
        await native.linearise(handle, solver, block, site, fit, by.tokens, round);
      },
      nextDirection: (last) => native.nextDirection(handle, solver, last),
      advance: (step) => native.advanceAlong(handle, solver, step),
      move: (forth) => native.moveAlong(handle, solver, block, site, forth),
      refit: fitOutput,
    };
    return done(await gaussNewton(steps, start, by));
  });
}

/** The exact refit of the output map on what the block's input weights make of all tokens. */
function refitOutput(
  session: Session,
  lambda: number,
  block: BlockHandle,
  layer: Layer,
  { inputs, targets }: FfnTokens,
  bias: boolean,
): Promise<NativeRefit> {
  const { handle } = session.engine;
  const width = siteColumns(block, layer.site);
  const sums = session.statistics(width, {
    gram: true,
    residual: session.architecture.hidden,
    scratch: session.scratch,
  });
  return using(sums, async (statistics) => {
    await native.collectHidden(handle, block, layer.site, inputs, targets, statistics);
    const everything = new Uint8Array(width).fill(1);
    return withSolver(session, lambda, block, layer, { statistics, metric: null }, (solver) =>
      solver.refit(everything, { bias, stored: session.stored.matrices }),
    );
  });
}
