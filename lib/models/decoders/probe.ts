/**
 * Trials (docs/method.md, section 5): a layer is pruned alone and refitted, the rest of the dense model runs on, and its KL
 * to the dense model is what that costs, in nats per token. Some trials run on together, so that the model is read once
 * for all of them.
 */

import { cutTrial } from '../../calibration/cut-windows';
import type { Block } from '../../engine/block';
import type { Matrix } from '../../engine/matrix';
import { disposeAll, using } from '../../engine/owned';
import type { Refit } from '../../engine/refit';
import type { Session } from '../../engine/session';
import type { Architecture } from '../../model/architecture';
import type { Site } from '../../model/sublayers';
import type { Layer } from '../../spec/widths';
import { TOGETHER } from './batches';
import { Reference } from './reference';
import { sliceSite } from './slice';

/** Tokens that run through the rest of the model for every layer. */
const TOKENS = 4096;

/** Hears of a step that is done, in a line for people. */
export type OnStep = (message: string) => void;

/**
 * Follows a dense pass: `start` a layer's trial before its site, then `advance` past the site; after the blocks of
 * `batchEnds`, `runOn`.
 */
export class Probe {
  /** Nats per token of every layer whose trial has run on; else NaN. */
  readonly losses: Float64Array;
  readonly #session: Session;
  /** The model that the states go through: the dense one, or one without some of its sublayers. */
  readonly #architecture: Architecture;
  readonly #window: number;
  /** `[tokens, hidden]` of the dense model before the site at hand. */
  readonly #states: Matrix;
  /** The same of one trial. */
  readonly #own: Matrix;
  /** `[TOGETHER · tokens, hidden]`: those of the trials, a page each. */
  readonly #batch: Matrix;
  readonly #rows: number;
  readonly #reference: Reference;
  /** Layers whose trials are on their way through the model. */
  #trials: number[] = [];
  /** So many of them are past the site at hand. */
  #past = 0;

  private constructor(
    session: Session,
    {
      window,
      layers,
      architecture,
    }: { window: number; layers: number; architecture: Architecture },
    [states, own, batch]: readonly [Matrix, Matrix, Matrix],
    reference: Reference,
  ) {
    this.#session = session;
    this.#architecture = architecture;
    this.#window = window;
    this.losses = new Float64Array(layers).fill(Number.NaN);
    this.#states = states;
    this.#own = own;
    this.#batch = batch;
    this.#rows = reference.rows;
    this.#reference = reference;
  }

  /** One pass of the dense model over the first windows of `ids`. */
  static async make(
    session: Session,
    ids: Int32Array,
    {
      window,
      layers,
      scratch,
      architecture = session.architecture,
    }: { window: number; layers: number; scratch: string; architecture?: Architecture },
  ): Promise<Probe> {
    const mine = ids.subarray(0, probeTokens(ids.length, window));
    const made: AsyncDisposable[] = [];
    const keep = <T extends AsyncDisposable>(one: T) => {
      made.push(one);
      return one;
    };
    try {
      const cut = cutTrial(mine.length, window);
      const states = keep(await session.embed(mine, window, 'calibrating', scratch, cut));
      const { rows, cols, pageRows } = states;
      const own = keep(session.matrix(rows, cols, pageRows, scratch));
      await states.copyTo(own);
      const about = { window, scratch, text: ids };
      const reference = keep(await Reference.make(session, mine, own, about));
      const batch = keep(session.matrix(TOGETHER * rows, cols, Math.min(pageRows, rows), scratch));
      return new Probe(session, { window, layers, architecture }, [states, own, batch], reference);
    } catch (error) {
      await disposeAll(made);
      throw error;
    }
  }

  /** Layer number `at`, which is not in the states yet, without the groups that go. */
  async start(at: number, layer: Layer, kept: Int32Array, refit: Refit): Promise<void> {
    await this.#advancePruned(layer, refit, kept);
    await this.#join(at, this.#own);
  }

  /** As it is about to change: its trial begins with the states of now. `startWith` goes on when it has. */
  async hold(): Promise<void> {
    await this.#states.copyTo(this.#own);
  }

  /** Behind the site, which the dense states are past: the trial goes through it as `block` has it now. */
  async startWith(at: number, block: Block, site: Site): Promise<void> {
    await this.#session.advanceSite(block, site, this.#own, this.#window, 'calibrating');
    await this.#join(at, this.#own);
    this.#past = this.#trials.length;
  }

  /** The same without all of it: the states pass it by. */
  startWithout(at: number): Promise<void> {
    return this.#join(at, this.#states);
  }

  async #join(at: number, states: Matrix): Promise<void> {
    const rows = { from: 0, to: this.#trials.length * this.#rows, count: this.#rows };
    await states.copyTo(this.#batch, rows);
    this.#trials.push(at);
  }

  async advance(block: Block, site: Site): Promise<void> {
    await this.#session.advanceSite(block, site, this.#states, this.#window, 'calibrating');
    if (this.#past > 0) {
      const firstRows = this.#past * this.#rows;
      await this.#session.advanceSite(block, site, this.#batch, this.#window, 'calibrating', {
        firstRows,
      });
    }
    this.#past = this.#trials.length;
  }

  /** Takes the trials through the blocks from `next` on, and measures them. Tells of `stepsFrom(next)` steps. */
  async runOn(next: number, onStep: OnStep): Promise<void> {
    const session = this.#session;
    const total = session.architecture.blocks.length;
    const firstRows = this.#trials.length * this.#rows;
    const trials = `trials up to block ${next}`;
    for (let index = next; index < total; index++) {
      session.engine.throwIfAborted();
      if (firstRows > 0) {
        await using(await session.loadBlock(index, this.#architecture), (block) =>
          session.advance(block, this.#batch, this.#window, 'calibrating', firstRows),
        );
      }
      onStep(`${trials}: block ${index + 1} of ${total}`);
    }
    for (const [place, layer] of this.#trials.entries()) {
      const rows = { from: place * this.#rows, to: 0, count: this.#rows };
      await this.#batch.copyTo(this.#own, rows);
      this.losses[layer] = await this.#reference.divergence(this.#own);
    }
    onStep(`${trials}: predictions`);
    this.#trials = [];
    this.#past = 0;
  }

  /** Off the main thread, which the system would keep busy for as long as it takes the memory back. */
  async dispose(): Promise<void> {
    await disposeAll([this.#states, this.#own, this.#batch, this.#reference]);
  }

  /** Behind the last block: what the model itself loses against the dense one. */
  loss(): Promise<number> {
    return this.#reference.divergence(this.#states);
  }

  /** A copy of the states goes through the site, which is pruned in a copy of its block. */
  async #advancePruned(layer: Layer, refit: Refit, kept: Int32Array): Promise<void> {
    const session = this.#session;
    await this.#states.copyTo(this.#own);
    await using(await session.loadBlock(layer.block), async (block) => {
      await sliceSite(session, layer.block, block, layer, kept, refit);
      await block.finish(layer.site);
      await session.advanceSite(block, layer.site, this.#own, this.#window, 'calibrating');
    });
  }
}

/** Whole windows, at least one. */
export function probeTokens(tokens: number, window: number): number {
  return Math.min(tokens, Math.max(1, Math.floor(TOKENS / window)) * window);
}
