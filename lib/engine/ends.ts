import type { EndsHandle, EngineHandle } from './handles';
import type { Matrix } from './matrix';
import { native } from './native';
import type {
  CutWindows,
  DivergenceGradientOf,
  EndsSpec,
  ExpectedHeadOf,
  HeadGradientOf,
  HeadRunOf,
  ModelRefs,
  TokenComparison,
  TokenScores,
} from './native-ends';
import type { Purpose } from './native-engine';
import { Owned } from './owned';
import type { SourceFile } from './source-file';
import type { Statistics } from './statistics';

export type ExpectedHead = ExpectedHeadOf<Matrix>;
export type HeadRun = HeadRunOf<Ends, Matrix>;

/**
 * What stands before the first block and after the last: embedding, final norm, head, read from their files when they are
 * needed. Errors: ERR_ARGUMENT, ERR_NAN, ERR_BUDGET, ERR_SCRATCH, ERR_ABORTED.
 */
export class Ends extends Owned<EndsHandle> {
  constructor(
    engine: EngineHandle,
    spec: EndsSpec,
    tensors: ModelRefs,
    files: readonly SourceFile[],
  ) {
    const handles = files.map(({ handle }) => handle);
    super(native.createEnds(engine, spec, tensors, handles));
  }

  /** hidden `[tokens, hidden]` <- the embedding of token ids in whole windows, some of which every pass takes as cut. */
  embed(
    ids: Int32Array,
    window: number,
    hidden: Matrix,
    purpose: Purpose,
    cut?: CutWindows,
  ): Promise<void> {
    return native.embed(this.handle, ids, window, hidden.handle, purpose, cut);
  }

  /** One target a row of the last states, -1 = none. */
  score(hidden: Matrix, targets: Int32Array): Promise<TokenScores> {
    return native.score(this.handle, hidden.handle, targets);
  }

  /** `[count, vocab]`. */
  logits(hidden: Matrix, row: number, count: number): Promise<Float32Array> {
    return native.logits(this.handle, hidden.handle, row, count);
  }

  /**
   * mean `[tokens, embedding width]` <- mean of the head's rows under the next-token distributions p of `hidden`
   * `[tokens, hidden]` after the last block, in pages of the same rows; the head's inputs where logits are capped. Returns the sum of p log p, nats `[tokens]`.
   */
  expectHead(hidden: Matrix, mean: Matrix, purpose: Purpose): Promise<Float64Array> {
    return native.expectHead(this.handle, hidden.handle, mean.handle, purpose);
  }

  /** KL(p ‖ q), nats `[tokens]`, of the distributions q that this head gives for `hidden` (docs/method.md, section 5). */
  divergenceFrom(
    { mean, negativeEntropy }: ExpectedHead,
    hidden: Matrix,
    purpose: Purpose,
  ): Promise<Float64Array> {
    const reference = { mean: mean.handle, negativeEntropy };
    return native.divergenceFrom(this.handle, reference, hidden.handle, purpose);
  }

  /**
   * gradient `[tokens, hidden]` <- ∂(sum of the NLL of all labels)/∂hidden, hidden being the states after the
   * last block, of which the first `tokens` rows are read. Returns the summed NLL of the labels that were used, in nats, and
   * their number.
   */
  headGradient(options: HeadGradientOf<Matrix>): Promise<{ nll: number; targets: number }> {
    const { hidden, gradient } = options;
    const handles = { hidden: hidden.handle, gradient: gradient.handle };
    return native.headGradient(this.handle, { ...options, ...handles });
  }

  /**
   * gradient `[tokens, hidden]` <- ∂(sum of KL(p ‖ q))/∂hidden, q being the next-token distributions of `hidden` and p those
   * that `mean` and `negativeEntropy` are of (expectHead), of which as many rows are read. Returns the sum, in nats.
   */
  divergenceGradient(options: DivergenceGradientOf<Matrix, Statistics>): Promise<number> {
    const { hidden, gradient, mean, finalNorm } = options;
    return native.divergenceGradient(this.handle, {
      ...options,
      hidden: hidden.handle,
      gradient: gradient.handle,
      mean: mean.handle,
      finalNorm: finalNorm?.handle,
    });
  }
}

/**
 * Next-token distributions q of `model` against p of `reference`, at the positions with a target (-1 = none).
 * @throws ERR_ARGUMENT where vocabularies or shapes differ
 */
export function compareHeads(
  reference: HeadRun,
  model: HeadRun,
  targets: Int32Array,
): Promise<TokenComparison> {
  const handles = ({ ends, hidden, row }: HeadRun) => ({
    ends: ends.handle,
    hidden: hidden.handle,
    row,
  });
  return native.compare(handles(reference), handles(model), targets);
}
