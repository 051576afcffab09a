import type { BlockRole } from '../model/architecture';
import type {
  BlockHandle,
  EndsHandle,
  EngineHandle,
  MatrixHandle,
  StatisticsHandle,
} from './native';
import type { ExpectedHead } from './native-divergence';

/**
 * Labels of the loss whose gradient is taken: the text's own next tokens (empirical Fisher), or tokens drawn
 * from the model's own distribution (an estimate of the true Fisher).
 */
export type FisherLabels = 'empirical' | 'sampled';

/** The backward pass. Errors: ERR_ARGUMENT, ERR_NAN, ERR_BUDGET, ERR_SCRATCH, ERR_ABORTED. */
export interface NativeBackward {
  /**
   * gradient `[tokens, hidden]` <- ∂(sum of the NLL of all labels)/∂hidden, hidden being the states after the
   * last block, of which the first `tokens` rows are read. `targets` holds the next token of every position, -1 = none. Returns the summed NLL of the
   * labels that were used, in nats, and their number. A drawn label depends on `seed` (a whole number ≥ 0)
   * and the token's index alone.
   */
  headGradient(
    engine: EngineHandle,
    ends: EndsHandle,
    options: {
      hidden: MatrixHandle;
      gradient: MatrixHandle;
      targets: Int32Array;
      labels: FisherLabels;
      seed: number;
    },
  ): Promise<{ nll: number; targets: number }>;
  /**
   * gradient `[tokens, hidden]` <- ∂(sum of KL(p ‖ q))/∂hidden, q being the next-token distributions of `hidden` and p those
   * that `mean` and `negativeEntropy` are of (expectHead), of which as many rows are read. Returns the sum, in nats.
   * `finalNorm`, `[hidden]` wide, receives the gradient of the final norm's factors, as `factors` of backwardBlock.
   */
  divergenceGradient(
    engine: EngineHandle,
    ends: EndsHandle,
    options: ExpectedHead & {
      hidden: MatrixHandle;
      gradient: MatrixHandle;
      finalNorm?: StatisticsHandle;
    },
  ): Promise<number>;
  /**
   * gradient: ∂L/∂(the block's output) becomes ∂L/∂(its input); of inputs as many rows as gradient has. `ffn` and `attention`, `[hidden]` wide with
   * a Gram and no residual, receive δ = ∂L/∂y of the outputs y of down and of o as they are added to the
   * stream (in a post-norm block: before the norm that follows). `ffnInputs` and `attentionInputs`, as wide as down's and o's columns, receive the
   * inputs of these maps. `factors`, by role (a norm, o, down, or a bias of these two), as wide as the weight has columns,
   * receive the gradients of factors of 1 on its columns: their sums are ∂L/∂(factors).
   */
  backwardBlock(
    engine: EngineHandle,
    block: BlockHandle,
    options: {
      window: number;
      inputs: MatrixHandle;
      gradient: MatrixHandle;
      ffn?: StatisticsHandle;
      attention?: StatisticsHandle;
      ffnInputs?: StatisticsHandle;
      attentionInputs?: StatisticsHandle;
      factors?: Partial<Record<BlockRole, StatisticsHandle>>;
    },
  ): Promise<void>;
}
