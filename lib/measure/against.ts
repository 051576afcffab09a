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

/** Sums over the positions that have a target. */
interface Sums {
  targets: number;
  kl: number;
  same: number;
}

/** Compares batch after batch. */
export class Beside {
  readonly #dense: Session;
  readonly #sums = { targets: 0, nll: 0, kl: 0, same: 0 };

  constructor(dense: Session) {
    this.#dense = dense;
  }

  get blocks(): number {
    return this.#dense.architecture.blocks.length;
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
      const sums = sumsOf(compared, targets);
      this.#sums.targets += sums.targets;
      this.#sums.nll += sumOf(nll);
      this.#sums.kl += sums.kl;
      this.#sums.same += sums.same;
    });
  }

  get means(): Against {
    const meanNll = this.#sums.nll / this.#sums.targets;
    return { perplexity: Math.exp(meanNll), meanNll, ...meansOf(this.#sums) };
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

export function sumsOf({ kl, best, referenceBest }: TokenComparison, targets: Int32Array): Sums {
  const at = [...targets.keys()].filter((i) => targets[i]! >= 0);
  const same = at.filter((i) => best[i] === referenceBest[i]).length;
  return { targets: at.length, kl: sumOf(kl), same };
}

export function meansOf({ targets, kl, same }: Sums): Pick<Against, 'klToDense' | 'top1Agreement'> {
  return { klToDense: kl / targets, top1Agreement: same / targets };
}

/** NaN stands where there is no target. */
function sumOf(values: Float64Array): number {
  return values.reduce((sum, value) => (Number.isNaN(value) ? sum : sum + value), 0);
}

/** The same. */
export function meanOf(values: Float64Array): number {
  return sumOf(values) / values.filter((value) => !Number.isNaN(value)).length;
}
