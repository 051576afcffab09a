/**
 * A trial of all layers at once (docs/method.md, section 5): the model with so many groups less everywhere, and beside it the same
 * model with another number in one layer, for every layer. All go through the blocks together, next to the dense model.
 */
import { cutTrial } from '../../calibration/cut-windows';
import type { Block } from '../../engine/block';
import type { Matrix } from '../../engine/matrix';
import { disposeAll, using } from '../../engine/owned';
import type { Session } from '../../engine/session';
import type { Site } from '../../model/sublayers';
import type { Layer } from '../../spec/widths';
import type { Cut, JointLosses } from '../front-end';
import { probeTokens } from './probe';
import { Reference } from './reference';
import { sliceSite } from './slice';

export class JointTrial {
  readonly #session: Session;
  readonly #window: number;
  readonly #reference: Reference;
  /** `[tokens, hidden]`: of one of the models. */
  readonly #own: Matrix;
  /** `[models · tokens, hidden]`: the model itself, and then those that differ from it so far. */
  readonly #batch: Matrix;
  readonly #rows: number;
  /** Layers of those in the batch, behind the model itself: where each differs. */
  readonly #others: number[] = [];
  /** That of the model whose states `own` has. */
  #started: number | null = null;

  private constructor(
    session: Session,
    window: number,
    reference: Reference,
    [own, batch]: readonly [Matrix, Matrix],
  ) {
    this.#session = session;
    this.#window = window;
    this.#reference = reference;
    this.#own = own;
    this.#batch = batch;
    this.#rows = reference.rows;
  }

  /** `ids`: whole windows; `text`: what the sample of the vocabulary is of. */
  static async make(
    session: Session,
    ids: Int32Array,
    text: Int32Array,
    { window, models, scratch }: { window: number; models: number; scratch: string },
  ): Promise<JointTrial> {
    const made: AsyncDisposable[] = [];
    const keep = <T extends AsyncDisposable>(one: T) => {
      made.push(one);
      return one;
    };
    try {
      const cut = cutTrial(ids.length, window);
      const states = keep(await session.embed(ids, window, 'calibrating', scratch, cut));
      const { rows, cols, pageRows } = states;
      const own = keep(session.matrix(rows, cols, pageRows, scratch));
      const size = Math.min(pageRows, rows);
      const batch = keep(session.matrix(models * rows, cols, size, scratch));
      await states.copyTo(batch, { from: 0, to: 0, count: rows });
      const reference = keep(await Reference.make(session, ids, states, { window, scratch, text }));
      await states[Symbol.asyncDispose]();
      return new JointTrial(session, window, reference, [own, batch]);
    } catch (error) {
      await disposeAll(made);
      throw error;
    }
  }

  /** All past a site of the block as it is. */
  advance(block: Block, site: Site): Promise<void> {
    const firstRows = (1 + this.#others.length) * this.#rows;
    return this.#session.advanceSite(block, site, this.#batch, this.#window, 'calibrating', {
      firstRows,
    });
  }

  /** Layer number `at`, which is not in the states yet, in a model of its own: the others go through it by `cut`. */
  async start(at: number, layer: Layer, cut: Cut | null): Promise<void> {
    await this.#batch.copyTo(this.#own, { from: 0, to: 0, count: this.#rows });
    await this.#withCut(layer, cut, (block) =>
      this.#session.advanceSite(block, layer.site, this.#own, this.#window, 'calibrating'),
    );
    this.#started = at;
  }

  async cut(layer: Layer, cut: Cut | null): Promise<void> {
    await this.#withCut(layer, cut, (block) => this.advance(block, layer.site));
    if (this.#started === null) return;
    const to = (1 + this.#others.length) * this.#rows;
    await this.#own.copyTo(this.#batch, { from: 0, to, count: this.#rows });
    this.#others.push(this.#started);
    this.#started = null;
  }

  /** Behind the last block: KL to the dense model, nats per token. */
  async losses(layers: number): Promise<JointLosses> {
    const losses: number[] = [];
    for (let place = 0; place <= this.#others.length; place++) {
      const rows = { from: place * this.#rows, to: 0, count: this.#rows };
      await this.#batch.copyTo(this.#own, rows);
      losses.push(await this.#reference.divergence(this.#own));
    }
    const others = new Float64Array(layers).fill(Number.NaN);
    this.#others.forEach((at, i) => {
      others[at] = losses[1 + i]!;
    });
    return { loss: losses[0]!, others };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await disposeAll([this.#own, this.#batch, this.#reference]);
  }

  async #withCut(layer: Layer, cut: Cut | null, use: (block: Block) => Promise<void>) {
    const session = this.#session;
    await using(await session.loadBlock(layer.block), async (block) => {
      if (cut) {
        await sliceSite(session, layer.block, block, layer, cut.kept, cut.refit);
        await block.finish(layer.site);
      }
      await use(block);
    });
  }
}

/** Of the windows that measure at most. */
const SHARE = 1 / 4;

/** Of all tokens the first ones, for sums, and the last ones, which measure, in whole windows; the same where there is one alone. */
export function jointTokens(tokens: number, window: number, surveyTokens: number) {
  const windows = tokens / window;
  const most = probeTokens(tokens, window) / window;
  const last = Math.max(1, Math.min(most, Math.floor(windows * SHARE)));
  const first = Math.max(1, Math.min(Math.floor(surveyTokens / window), windows - last));
  return { sums: first * window, measuring: last * window };
}
