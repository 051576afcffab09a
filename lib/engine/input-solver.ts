/** The solvers of an FFN's input weights, on the tokens that a run of its site wrote. */
import type { Site } from '../model/sublayers';
import type { Block, FfnTokens } from './block';
import type { AnyHandle, AuxiliaryHandle, GaussNewtonHandle } from './handles';
import { native } from './native';
import type { Purpose } from './native-engine';
import type { Direction } from './native-ffn';
import { Owned } from './owned';
import type { Refit } from './refit';

export interface InputSolverOptions {
  /** The ridge: it pulls towards the block's gate and up (and their biases, the weights of a last column of ones). */
  lambda: number;
  /** Leave the biases where they are. */
  freezeBiases: boolean;
}

/** Tokens of a round: about so many in pages at even distances, of which the first is page `offset`. */
export interface Taken {
  tokens: number;
  offset: number;
}

/** An FFN of a block, and tokens with what it is to give for them. */
type Beginning = [block: Block, site: Site, tokens: FfnTokens, options: InputSolverOptions];

function argumentsOf([block, site, { inputs, targets }, options]: Beginning) {
  const { lambda, freezeBiases } = options;
  return [block.handle, site, inputs.handle, targets.handle, lambda, freezeBiases] as const;
}

/** Of a block's input weights at the start and now: the block must outlive it. */
abstract class InputSolver<H extends AnyHandle> extends Owned<H> {
  protected readonly block: Block;
  protected readonly site: Site;

  protected constructor(handle: H, [block, site]: Beginning) {
    super(handle);
    this.block = block;
    this.site = site;
  }
}

/** By Gauss-Newton steps. */
export class GaussNewton extends InputSolver<GaussNewtonHandle> {
  static async of(...begin: Beginning): Promise<GaussNewton> {
    return new GaussNewton(await native.createGaussNewton(...argumentsOf(begin)), begin);
  }

  /** At the block's input weights and the refit's output map. Gives the relative error over those tokens. */
  linearise(refit: Refit, { tokens, offset }: Taken, purpose: Purpose): Promise<number> {
    const { handle } = this.block;
    return native.linearise(this.handle, handle, this.site, refit.handle, tokens, offset, purpose);
  }

  /** The next conjugate direction; `last`: none follows, which saves half of the pass. */
  nextDirection(last: boolean, purpose: Purpose): Promise<Direction> {
    return native.nextDirection(this.handle, last, purpose);
  }

  advance(step: number): Promise<void> {
    return native.advanceAlong(this.handle, step);
  }

  /** Gives the block the input weights that the linearisation led to, rounded, or those that it began at. */
  move(forth: boolean): Promise<void> {
    return native.moveAlong(this.handle, this.block.handle, this.site, forth);
  }
}

/** By iterations of auxiliary variables. */
export class Auxiliary extends InputSolver<AuxiliaryHandle> {
  static async of(...begin: Beginning): Promise<Auxiliary> {
    return new Auxiliary(await native.createAuxiliary(...argumentsOf(begin)), begin);
  }

  /** One iteration from the block's input weights and the refit's output map. */
  iterate(refit: Refit, { tokens, offset }: Taken, purpose: Purpose): Promise<void> {
    const { handle } = this.block;
    return native.iterateAuxiliary(
      this.handle,
      handle,
      this.site,
      refit.handle,
      tokens,
      offset,
      purpose,
    );
  }

  move(forth: boolean): Promise<void> {
    return native.moveAuxiliary(this.handle, this.block.handle, this.site, forth);
  }
}
