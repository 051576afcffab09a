import type { BlockRole, Site } from '../model/sublayers';
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
   * gradient: ∂L/∂(the block's output) becomes ∂L/∂(its input); of inputs as many rows as gradient has. Of the sites that
   * are named, `output`, `[hidden]` wide without a residual, receives δ = ∂L/∂y of the output y as it is added to the
   * stream (in a post-norm block: before the norm that follows), and `input`, as wide as the output map has columns, what
   * goes into that map. Of the tensors that `factors` names (a
   * norm, an output map or its bias) each, as wide as the weight has columns, receives the gradients of factors of 1 on its
   * columns: their sums are ∂L/∂(factors).
   */
  backwardBlock(
    engine: EngineHandle,
    block: BlockHandle,
    options: {
      window: number;
      inputs: MatrixHandle;
      gradient: MatrixHandle;
      sums?: { [site in Site]?: { output?: StatisticsHandle; input?: StatisticsHandle } };
      factors?: { [role in BlockRole]?: StatisticsHandle };
    },
  ): Promise<void>;
}
