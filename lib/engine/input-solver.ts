/** The solvers of an FFN's input weights, on the tokens that a run of its site wrote. */
import type { Site } from '../model/sublayers';
import type { Block, FfnTokens } from './block';
import type { AuxiliaryHandle, GaussNewtonHandle } from './handles';
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

/** Of a block's input weights at the start and now: the block must outlive it. */
export class GaussNewton extends Owned<GaussNewtonHandle> {
  readonly #block: Block;
  readonly #site: Site;

  private constructor(handle: GaussNewtonHandle, block: Block, site: Site) {
    super(handle);
    this.#block = block;
    this.#site = site;
  }

  static async of(
    block: Block,
    site: Site,
    { inputs, targets }: FfnTokens,
    { lambda, freezeBiases }: InputSolverOptions,
  ): Promise<GaussNewton> {
    const [x, y] = [inputs.handle, targets.handle];
    const made = await native.createGaussNewton(block.handle, site, x, y, lambda, freezeBiases);
    return new GaussNewton(made, block, site);
  }

  /** At the block's input weights and the refit's output map. Gives the relative error over those tokens. */
  linearise(refit: Refit, { tokens, offset }: Taken, purpose: Purpose): Promise<number> {
    const { handle } = this.#block;
    return native.linearise(this.handle, handle, this.#site, refit.handle, tokens, offset, purpose);
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
    return native.moveAlong(this.handle, this.#block.handle, this.#site, forth);
  }
}

/** As GaussNewton, for iterations of auxiliary variables. */
export class Auxiliary extends Owned<AuxiliaryHandle> {
  readonly #block: Block;
  readonly #site: Site;

  private constructor(handle: AuxiliaryHandle, block: Block, site: Site) {
    super(handle);
    this.#block = block;
    this.#site = site;
  }

  static async of(
    block: Block,
    site: Site,
    { inputs, targets }: FfnTokens,
    { lambda, freezeBiases }: InputSolverOptions,
  ): Promise<Auxiliary> {
    const [x, y] = [inputs.handle, targets.handle];
    const made = await native.createAuxiliary(block.handle, site, x, y, lambda, freezeBiases);
    return new Auxiliary(made, block, site);
  }

  /** One iteration from the block's input weights and the refit's output map. */
  iterate(refit: Refit, { tokens, offset }: Taken, purpose: Purpose): Promise<void> {
    const { handle } = this.#block;
    return native.iterateAuxiliary(
      this.handle,
      handle,
      this.#site,
      refit.handle,
      tokens,
      offset,
      purpose,
    );
  }

  move(forth: boolean): Promise<void> {
    return native.moveAuxiliary(this.handle, this.#block.handle, this.#site, forth);
  }
}
