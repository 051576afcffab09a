/** Experts whose channels go: one after the other, each on the tokens that are routed to it, as any FFN. */
import type { Block } from '../../engine/block';
import type { Matrix } from '../../engine/matrix';
import { orDispose, using } from '../../engine/owned';
import type { Statistics } from '../../engine/statistics';
import { expertAt, type Site } from '../../model/sublayers';
import { type Layer, widthOf } from '../../spec/widths';
import type { Chosen, Shrunk, Sums } from '../front-end';
import { siteStatistics } from './dense';
import { withSolver } from './site-solver';
import { sliceSite } from './slice';
import { copyOf, cutSite, type SolveContext, solvesSequentially, sumsOf } from './solve';

const CHANNELS_AT_ONCE = 32;

export class ExpertTurns implements AsyncDisposable {
  readonly #context: SolveContext;
  readonly #index: number;
  readonly #block: Block;
  readonly #outer: Site;
  /** The states before the experts, where those of the run have gone on through the dense ones. */
  readonly #before: Matrix | null;
  /** Channels of those that have had their turn. */
  #width = 0;

  private constructor(
    context: SolveContext,
    index: number,
    block: Block,
    outer: Site,
    before: Matrix | null,
  ) {
    this.#context = context;
    this.#index = index;
    this.#block = block;
    this.#outer = outer;
    this.#before = before;
  }

  static async begin(
    context: SolveContext,
    index: number,
    block: Block,
    outer: Site,
  ): Promise<ExpertTurns> {
    const { session, spec, streams } = context;
    const { hidden, window, scratch } = streams;
    if (!hidden || solvesSequentially(spec)) {
      return new ExpertTurns(context, index, block, outer, null);
    }
    const before = await copyOf(session, hidden, scratch);
    return orDispose(before, async () => {
      await session.advanceSite(block, outer, hidden, window, 'calibrating');
      return new ExpertTurns(context, index, block, outer, before);
    });
  }

  /** Sums what the expert's output map reads, times its weights for the tokens, and cuts it to what is chosen by the sums. */
  async shrink<C extends Chosen>(
    layer: Layer,
    choose: (sums: Sums) => Promise<C>,
  ): Promise<Shrunk<C>> {
    const { session, streams } = this.#context;
    const block = this.#block;
    const { gram } = sumsOf(this.#context);
    const sums = session.statistics(widthOf(layer), { gram, scratch: session.scratch });
    return using(sums, async (statistics) => {
      session.engine.throwIfAborted();
      await block.turnExpert(this.#outer, {
        purpose: 'calibrating',
        window: streams.window,
        hidden: this.#before ?? streams.hidden!,
        out: expertAt(layer.site)!,
        statistics,
      });
      const { tokens } = statistics.read();
      if (tokens === 0) await addChannels(statistics);
      if (gram) return { ...(await this.#solve(layer, statistics, choose)), tokens };
      const columns = await siteStatistics(block, layer, statistics);
      const chosen = await choose({ by: 'moments', columns });
      await this.cut(layer, chosen);
      return { chosen, fit: null, tokens };
    });
  }

  async cut(layer: Layer, chosen: Chosen): Promise<void> {
    await cutSite(this.#context.session, this.#index, this.#block, layer, chosen);
    this.#width = Math.max(this.#width, chosen.kept.length);
  }

  /** Behind the last one: the run's states go on. */
  async end(): Promise<void> {
    const { session, spec, streams } = this.#context;
    const { hidden, window } = streams;
    this.#block.resize(this.#outer, this.#width);
    await this.#block.finish(this.#outer);
    if (hidden && solvesSequentially(spec)) {
      await session.advanceSite(this.#block, this.#outer, hidden, window, 'calibrating');
    }
    await this[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#before?.[Symbol.asyncDispose]();
  }

  async #solve<C extends Chosen>(
    layer: Layer,
    statistics: Statistics,
    choose: (sums: Sums) => Promise<C>,
  ): Promise<Shrunk<C>> {
    const { session, spec } = this.#context;
    const block = this.#block;
    const sums = { statistics, metric: null };
    const chosen = await withSolver(spec.refit.lambda, block, layer, sums, (solver) =>
      // Its bias is times the weights too, and stays.
      choose({ by: 'gram', solver, hasBias: false }),
    );
    using refit = chosen.refit!;
    await sliceSite(session, this.#index, block, layer, chosen.kept, refit);
    this.#width = Math.max(this.#width, chosen.kept.length);
    const { relativeError, lambda, ridgeRaised } = refit;
    return { chosen, fit: { relativeError, lambda, ridgeRaised, inputRefit: null } };
  }
}

/** As if each channel were read once, by itself: the weights alone decide. */
async function addChannels(statistics: Statistics): Promise<void> {
  const { dim } = statistics;
  for (let first = 0; first < dim; first += CHANNELS_AT_ONCE) {
    const count = Math.min(CHANNELS_AT_ONCE, dim - first);
    const rows = new Float32Array(count * dim);
    for (let i = 0; i < count; i++) rows[i * dim + first + i] = 1;
    await statistics.add(rows, 'calibrating');
  }
}
