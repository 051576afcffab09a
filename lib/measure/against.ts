/** A model's next tokens beside those of the dense model that it was made of. */
import { compareHeads } from '../engine/ends';
import type { Matrix } from '../engine/matrix';
import type { TokenComparison } from '../engine/native-ends';
import { using } from '../engine/owned';
import type { Session } from '../engine/session';

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

/** Compares batch after batch. */
export class Beside {
  readonly #dense: Session;
  readonly #sums = { targets: 0, nll: 0, kl: 0, same: 0 };

  constructor(dense: Session) {
    this.#dense = dense;
  }

  /** `hidden`: the model's last states of whole windows. */
  async add(model: Session, hidden: Matrix, batch: Batch): Promise<void> {
    const { ids, targets, window, scratch, onBlock } = batch;
    const dense = this.#dense;
    await using(await dense.embed(ids, window, 'measuring', scratch), async (states) => {
      await dense.forward(states, window, 'measuring', onBlock);
      const { nll } = await dense.score(states, targets);
      const reference = { ends: dense.ends, hidden: states, row: 0 };
      const compared = await compareHeads(reference, { ends: model.ends, hidden, row: 0 }, targets);
      const { klToDense, top1Agreement, count } = meansOf(compared, targets);
      this.#sums.targets += count;
      this.#sums.nll += count * meanOf(nll);
      this.#sums.kl += count * klToDense;
      this.#sums.same += count * top1Agreement;
    });
  }

  get means(): Against {
    const { targets, nll, kl, same } = this.#sums;
    const meanNll = nll / targets;
    return {
      perplexity: Math.exp(meanNll),
      meanNll,
      klToDense: kl / targets,
      top1Agreement: same / targets,
    };
  }
}

/** Token ids of whole windows, the next ones as targets (-1 = none), and how they go through a model. */
export interface Batch {
  ids: Int32Array;
  targets: Int32Array;
  window: number;
  scratch: string;
  onBlock: (index: number) => void;
}

/** Over the positions that have a target. */
export function meansOf(
  { kl, best, referenceBest }: TokenComparison,
  targets: Int32Array,
): Pick<Against, 'klToDense' | 'top1Agreement'> & { count: number } {
  let [count, same] = [0, 0];
  for (const [i, target] of targets.entries()) {
    if (target < 0) continue;
    count++;
    if (best[i] === referenceBest[i]) same++;
  }
  return { klToDense: meanOf(kl), top1Agreement: same / count, count };
}

/** NaN stands where there is no target. */
export function meanOf(values: Float64Array): number {
  const found = values.filter((value) => !Number.isNaN(value));
  return found.reduce((sum, value) => sum + value, 0) / found.length;
}
