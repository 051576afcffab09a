/** A model's next tokens beside those of the dense model that it was made of. */
import { compareHeads } from '../engine/ends';
import type { Matrix } from '../engine/matrix';
import type { TokenComparison } from '../engine/native-ends';
import { using } from '../engine/owned';
import type { Session } from '../engine/session';
import { meanOfTokens } from '../engine/token-values';

/** Over all targets. */
export interface Against {
  /** Of the dense model. */
  perplexity: number;
  /** Of the dense model, nats per target. */
  meanNll: number;
  /** Mean KL(dense ‖ model), nats per target. */
  klToDense: number;
  /** Share of the targets where both have the same likeliest token. */
  top1Agreement: number;
}

/** Of a batch: a divergence a token, how many tokens have a target, and at how many of them both have one likeliest token. */
interface Compared {
  kl: Float64Array;
  targets: number;
  same: number;
}

/** Compares batch after batch. */
export class Beside {
  readonly #dense: Session;
  readonly #window: number;
  readonly #nll: Float64Array[] = [];
  readonly #compared: Compared[] = [];

  constructor(dense: Session, window: number) {
    this.#dense = dense;
    this.#window = window;
  }

  get blocks(): number {
    return this.#dense.architecture.blocks.length;
  }

  /** `hidden`: the model's last states of whole windows. */
  async add(model: Session, hidden: Matrix, batch: Batch): Promise<void> {
    const { ids, targets, scratch, onBlock } = batch;
    const dense = this.#dense;
    const window = this.#window;
    await using(await dense.embed(ids, window, 'measuring', scratch), async (states) => {
      await dense.forward(states, window, 'measuring', onBlock);
      const { nll } = await dense.score(states, targets);
      const reference = { ends: dense.ends, hidden: states, row: 0 };
      const compared = await compareHeads(reference, { ends: model.ends, hidden, row: 0 }, targets);
      this.#nll.push(nll);
      this.#compared.push(comparedOf(compared, targets));
    });
  }

  get means(): Against {
    const meanNll = meanOfTokens(this.#nll, this.#window);
    return { perplexity: Math.exp(meanNll), meanNll, ...meansOf(this.#compared, this.#window) };
  }
}

/** Token ids of whole windows, the next ones as targets (-1 = none), and how they go through a model. */
export interface Batch {
  ids: Int32Array;
  targets: Int32Array;
  scratch: string;
  onBlock: (index: number) => void;
}

export function comparedOf(
  { kl, best, referenceBest }: TokenComparison,
  targets: Int32Array,
): Compared {
  const at = [...targets.keys()].filter((i) => targets[i]! >= 0);
  const same = at.filter((i) => best[i] === referenceBest[i]).length;
  return { kl, targets: at.length, same };
}

/** Of batches in order. */
export function meansOf(
  compared: readonly Compared[],
  window: number,
): Pick<Against, 'klToDense' | 'top1Agreement'> {
  const count = (of: (one: Compared) => number) => compared.reduce((sum, one) => sum + of(one), 0);
  return {
    klToDense: meanOfTokens(
      compared.map(({ kl }) => kl),
      window,
    ),
    top1Agreement: count(({ same }) => same) / count(({ targets }) => targets),
  };
}
