import type { EndsHandle, EngineHandle, MatrixHandle } from './native';

/** A model's head and what it reads: hidden states after the last block, from `row`. */
export interface HeadRun {
  ends: EndsHandle;
  hidden: MatrixHandle;
  row: number;
}

/** `[tokens]` each; NaN or -1 where there is no target. */
export interface TokenComparison {
  /** -log q(target), nats. */
  nll: Float64Array;
  /** KL(p ‖ q) over the vocabulary, nats. */
  kl: Float64Array;
  /** Likeliest token by q, and by p. */
  best: Int32Array;
  referenceBest: Int32Array;
}

/** A model's next-token distributions p, as far as divergences from them need them. */
export interface ExpectedHead {
  /** `[tokens, embedding width]`: mean of the head's rows under p. */
  mean: MatrixHandle;
  /** Sum of p log p, nats `[tokens]`. */
  negativeEntropy: Float64Array;
}

/** How far next-token distributions are from others. Errors: ERR_ARGUMENT, ERR_NAN, ERR_BUDGET, ERR_SCRATCH, ERR_ABORTED. */
export interface NativeDivergence {
  /**
   * Next-token distributions q of `model` against p of `reference`, at the positions with a target (-1 = none).
   * ERR_ARGUMENT where vocabularies or shapes differ.
   */
  compare(
    engine: EngineHandle,
    reference: HeadRun,
    model: HeadRun,
    targets: Int32Array,
  ): Promise<TokenComparison>;
  /**
   * mean `[tokens, embedding width]` <- mean of the head's rows under the next-token distributions p of `hidden`
   * `[tokens, hidden]` after the last block, in pages of the same rows. Returns the sum of p log p, nats `[tokens]`.
   */
  expectHead(
    engine: EngineHandle,
    ends: EndsHandle,
    hidden: MatrixHandle,
    mean: MatrixHandle,
  ): Promise<Float64Array>;
  /** KL(p ‖ q), nats `[tokens]`, of the distributions q that the same head gives for `hidden` (docs/method.md, section 5). */
  divergenceFrom(
    engine: EngineHandle,
    ends: EndsHandle,
    reference: ExpectedHead,
    hidden: MatrixHandle,
  ): Promise<Float64Array>;
}
