/**
 * Layer weights by trial (docs/method.md, section 5): a layer is pruned alone and refitted, the rest of the dense
 * model runs on, and its KL to the dense model ÷ its error is what a unit of that error costs, in nats per token.
 */
import { orRelease, using } from '../engine/engine';
import { type BlockHandle, type MatrixHandle, native, type Site } from '../engine/native';
import type { ExpectedHead } from '../engine/native-divergence';
import { nextTokens, type Session } from '../engine/session';
import { FEW_STEPS } from '../model/architecture';
import type { NativeRefit, NativeSolver, SweepResult } from '../solver/native-solver';
import { sliceSite } from './slice';
import { keptIndices, type Layer } from './widths';

/** Tokens that run through the rest of the model for every layer. */
const TOKENS = 4096;
/** Share of a layer's groups that a trial removes: fixed, so that one survey serves every sparsity. */
const SHARE = 0.25;
/** Errors below this share of the layer's largest count as none. */
const NOTHING = 1e-3;

/** Follows a dense pass: `weigh` a layer before its site, then `advance` past it. */
export class Probe {
  readonly #session: Session;
  readonly #window: number;
  readonly #scratch: string;
  readonly #targets: Int32Array;
  /** `[tokens, hidden]` of the dense model before the site at hand. */
  readonly #states: MatrixHandle;
  /** What the dense model predicts. */
  readonly #reference: ExpectedHead;

  private constructor(
    session: Session,
    { targets, window, scratch }: { targets: Int32Array; window: number; scratch: string },
    states: MatrixHandle,
    reference: ExpectedHead,
  ) {
    this.#session = session;
    this.#window = window;
    this.#scratch = scratch;
    this.#targets = targets;
    this.#states = states;
    this.#reference = reference;
  }

  /** One pass of the dense model over the first windows of `ids`. */
  static async make(
    session: Session,
    ids: Int32Array,
    window: number,
    scratch: string,
  ): Promise<Probe> {
    const mine = ids.subarray(0, probeTokens(ids.length, window));
    const targets = nextTokens(mine, window);
    const reference = await using(await session.embed(mine, window, scratch), async (last) => {
      await session.forward(last, window);
      return expect(session, last, scratch);
    });
    const states = await orRelease(reference.mean, () => session.embed(mine, window, scratch));
    return new Probe(session, { targets, window, scratch }, states, reference);
  }

  /** Nats per token for each unit of the error curve `sweep.error`. `layer` is not in the states yet. */
  async weigh(layer: Layer, solver: NativeSolver, sweep: SweepResult): Promise<number> {
    const removed = trialRemovals(layer, sweep.error);
    if (!(sweep.error[removed]! > 0)) return 0;
    const keep = new Uint8Array(layer.groups).fill(1);
    for (const group of sweep.order.subarray(0, removed)) keep[group] = 0;
    const { matrices: stored } = this.#session.stored;
    const refit = await solver.refit(keep, { stored });
    try {
      // Few steps lose something of their own, which the predictions see too.
      const error = FEW_STEPS.includes(stored) ? refit.error : sweep.error[removed]!;
      return (await this.#divergence(layer, refit, keep)) / error;
    } finally {
      refit.release();
    }
  }

  async advance(block: BlockHandle, site: Site): Promise<void> {
    await this.#session.advanceSite(block, site, this.#states, this.#window);
  }

  dispose(): void {
    native.release(this.#states);
    native.release(this.#reference.mean);
  }

  /** Mean KL(dense ‖ pruned), nats per token. */
  async #divergence(layer: Layer, refit: NativeRefit, keep: Uint8Array): Promise<number> {
    const session = this.#session;
    const { handle } = session.engine;
    const { rows, cols, pageRows } = native.matrixShape(this.#states);
    return using(session.matrix(rows, cols, pageRows, this.#scratch), async (hidden) => {
      await native.copyMatrix(handle, this.#states, hidden);
      await using(await session.loadBlock(layer.block), (block) =>
        this.#advancePruned(block, layer, refit, keep, hidden),
      );
      for (let index = layer.block + 1; index < session.architecture.blocks.length; index++) {
        session.engine.throwIfAborted();
        await using(await session.loadBlock(index), (block) =>
          session.advance(block, hidden, this.#window),
        );
      }
      const kl = await native.divergenceFrom(handle, session.ends, this.#reference, hidden);
      const known = kl.filter((_, token) => this.#targets[token]! >= 0);
      return known.reduce((sum, value) => sum + value, 0) / known.length;
    });
  }

  /** `block` is a copy of the layer's own, which is pruned here. */
  async #advancePruned(
    block: BlockHandle,
    layer: Layer,
    refit: NativeRefit,
    keep: Uint8Array,
    hidden: MatrixHandle,
  ): Promise<void> {
    await sliceSite(this.#session, layer.block, block, layer, keptIndices(keep), refit);
    await native.finishSite(this.#session.engine.handle, block, layer.site);
    await this.#session.advanceSite(block, layer.site, hidden, this.#window);
    if (layer.site === 'attention') {
      await this.#session.advanceSite(block, 'ffn', hidden, this.#window);
    }
  }
}

/** The predictions from hidden states after the last block. */
async function expect(
  session: Session,
  last: MatrixHandle,
  scratch: string,
): Promise<ExpectedHead> {
  const { rows, pageRows } = native.matrixShape(last);
  const { hidden, embeddingProjection } = session.architecture;
  const mean = session.matrix(rows, embeddingProjection ?? hidden, pageRows, scratch);
  const { engine, ends } = session;
  const negativeEntropy = await orRelease(mean, () =>
    native.expectHead(engine.handle, ends, last, mean),
  );
  return { mean, negativeEntropy };
}

/** Whole windows, at least one. */
export function probeTokens(tokens: number, window: number): number {
  return Math.min(tokens, Math.max(1, Math.floor(TOKENS / window)) * window);
}

/**
 * The least number of groups that may go, is no less than the trial's share and costs something, or the most that may go:
 * of what goes for nothing, such as channels that never fire, a trial measures rounding errors alone.
 */
export function trialRemovals({ allowed, groups }: Layer, error: Float64Array | null): number {
  const most = allowed.at(-1)!;
  const least = error ? NOTHING * error[most]! : 0;
  const enough = (removed: number) => removed >= SHARE * groups && (error?.[removed] ?? 0) >= least;
  return allowed.find(enough) ?? most;
}
