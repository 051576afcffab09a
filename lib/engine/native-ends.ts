import type { ModelRole, Stored, TensorRef } from '../model/architecture';
import type { NormSpec } from '../model/sublayers';
import type {
  EndsHandle,
  EngineHandle,
  FileHandle,
  MatrixHandle,
  StatisticsHandle,
} from './handles';
import type { Purpose } from './native-engine';

export interface EndsSpec {
  hidden: number;
  vocab: number;
  embeddingWidth: number;
  positionOffset: number;
  embeddingScale: number;
  /** Of logits; null: none. */
  logitCap: number | null;
  norm: NormSpec;
  /** Tensors that have to be there. */
  roles: ModelRole[];
  stored: Stored;
  /** Tokens that stand for the vocabulary, all where it is left out: distributions are over them, in this order. */
  sample?: readonly number[];
}

export type ModelRefs = Partial<Record<ModelRole, TensorRef>>;

/** Of every row. */
export interface TokenScores {
  /** -log p(target) in nats; NaN without a target. */
  nll: Float64Array;
  /** The likeliest token. */
  best: Int32Array;
}

/** A model's head and what it reads: hidden states after the last block, from `row`. */
export interface HeadRunOf<Ends, Matrix> {
  ends: Ends;
  hidden: Matrix;
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
export interface ExpectedHeadOf<Matrix> {
  /** `[tokens, embedding width]`: mean of the head's rows under p, or its inputs where logits are capped. */
  mean: Matrix;
  /** Sum of p log p, nats `[tokens]`. */
  negativeEntropy: Float64Array;
}

/**
 * Labels of the loss whose gradient is taken: the text's own next tokens (empirical Fisher), or tokens drawn
 * from the model's own distribution (an estimate of the true Fisher).
 */
export type FisherLabels = 'empirical' | 'sampled';

export interface HeadGradientOf<Matrix> {
  purpose: Purpose;
  hidden: Matrix;
  gradient: Matrix;
  /** The next token of every position, -1 = none. */
  targets: Int32Array;
  labels: FisherLabels;
  /** A whole number ≥ 0: a drawn label depends on it and on the token's index alone. */
  seed: number;
}

export interface DivergenceGradientOf<Matrix, Statistics> extends ExpectedHeadOf<Matrix> {
  purpose: Purpose;
  hidden: Matrix;
  gradient: Matrix;
  /** `[hidden]` wide: receives the gradient of the final norm's factors. */
  finalNorm?: Statistics;
}

/** Windows that are cut into short sequences: the last one of `every`, each sequence of `tokens`, which divides a window. */
export interface CutWindows {
  every: number;
  tokens: number;
}

/** Calls on a model's ends; the class Ends says what they do. */
export interface NativeEnds {
  createEnds(
    engine: EngineHandle,
    spec: EndsSpec,
    tensors: ModelRefs,
    files: readonly FileHandle[],
  ): EndsHandle;
  embed(
    ends: EndsHandle,
    ids: Int32Array,
    window: number,
    hidden: MatrixHandle,
    purpose: Purpose,
    cut?: CutWindows,
  ): Promise<void>;
  score(ends: EndsHandle, hidden: MatrixHandle, targets: Int32Array): Promise<TokenScores>;
  logits(ends: EndsHandle, hidden: MatrixHandle, row: number, count: number): Promise<Float32Array>;
  compare(
    reference: HeadRunOf<EndsHandle, MatrixHandle>,
    model: HeadRunOf<EndsHandle, MatrixHandle>,
    targets: Int32Array,
  ): Promise<TokenComparison>;
  expectHead(
    ends: EndsHandle,
    hidden: MatrixHandle,
    mean: MatrixHandle,
    purpose: Purpose,
  ): Promise<Float64Array>;
  divergenceFrom(
    ends: EndsHandle,
    reference: ExpectedHeadOf<MatrixHandle>,
    hidden: MatrixHandle,
    purpose: Purpose,
  ): Promise<Float64Array>;
  headGradient(
    ends: EndsHandle,
    options: HeadGradientOf<MatrixHandle>,
  ): Promise<{ nll: number; targets: number }>;
  divergenceGradient(
    ends: EndsHandle,
    options: DivergenceGradientOf<MatrixHandle, StatisticsHandle>,
  ): Promise<number>;
}
