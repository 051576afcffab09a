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

/** Calls of the native addon that only benchmarks make. */
export interface NativeBench {
  /**
   * Next-token distributions q of `model` against p of `reference`, at the positions with a target (-1 = none).
   * Errors: ERR_ARGUMENT (vocabularies or shapes differ), ERR_NAN, ERR_BUDGET, ERR_ABORTED.
   */
  compare(
    engine: EngineHandle,
    reference: HeadRun,
    model: HeadRun,
    targets: Int32Array,
  ): Promise<TokenComparison>;
}
