/**
 * A layer's experts: whole ones go, then channels of those that stay, one expert after the other, each on the tokens that are routed
 * to it, as any FFN. Last of all the states go on.
 */
import type { Block } from '../../engine/block';
import type { Matrix } from '../../engine/matrix';
import { orDispose, using } from '../../engine/owned';
import type { Statistics } from '../../engine/statistics';
import type { ExpertTrial } from '../../masks/experts';
import { expertAt, type Site } from '../../model/sublayers';
import { type Layer, widthOf } from '../../spec/widths';
import type { Chosen, Shrunk, Sums } from '../front-end';
import { copyOf } from './copy';
import { siteStatistics } from './dense';
import { refitExperts } from './expert-refit';
import { refitsExperts, trialOf } from './experts';
import { withSolver } from './site-solver';
import { sliceSite } from './slice';
import { cutSite, type SolveContext, solvesSequentially, sumsOf } from './solve';

const CHANNELS_AT_ONCE = 32;

export class ExpertTurns implements AsyncDisposable {
  readonly #context: SolveContext;
  readonly #index: number;
  readonly #block: Block;
  readonly #outer: Site;
  /** The states before the experts, where those of the run have gone on through the dense ones. */
  readonly #before: Matrix | null;
  /** Of whole experts: those that stay, where some had to go. */
  #kept: Int32Array | null = null;
  /** Channels of those that have had their turn; 0: none has. */
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

  /** Measures the experts, has some of them chosen, and refits those. */
  async choose<C extends Chosen>(
    layer: Layer,
    choose: (sums: Sums) => Promise<C>,
  ): Promise<Shrunk<C>> {
    const { session, spec, streams } = this.#context;
    const block = this.#block;
    const states = { window: streams.window, hidden: this.#states };
    if (!refitsExperts(spec)) {
      const trial = trialOf(session, block, layer, { ...states, residual: null });
      const chosen = await choose({ by: 'trials', trial });
      await this.#keep(layer, chosen);
      return { chosen, fit: null };
    }
    const { hidden } = states;
    return using(session.matrixBeside(hidden, hidden.cols, session.scratch), async (residual) => {
      const missing = { ...states, residual };
      const measure = trialOf(session, block, layer, missing);
      let energy = 0;
      const trial: ExpertTrial = async (gone) => {
        const sums = await measure(gone);
        energy = sums.energy;
        return sums;
      };
      const chosen = await choose({ by: 'trials', trial });
      await this.#keep(layer, chosen);
      const report = await refitExperts(session, block, layer, missing, spec.refit.lambda);
      const relativeError = energy > 0 ? (await residual.energy()) / energy : 0;
      return { chosen, fit: { relativeError, ...report, inputRefit: null } };
    });
  }

  /** Sums what the expert's output map reads, times its weights for the tokens, and cuts it to what is chosen by the sums. */
  async shrink<C extends Chosen>(
    layer: Layer,
    choose: (sums: Sums) => Promise<C>,
  ): Promise<Shrunk<C>> {
    const { session, streams } = this.#context;
    const block = this.#block;
    const here = this.#inPlace(layer);
    const { gram } = sumsOf(this.#context);
    const { scratch } = session;
    const sums = session.statistics(widthOf(layer), { gram, scratch, over: this.#states });
    return using(sums, async (statistics) => {
      session.engine.throwIfAborted();
      await block.turnExpert(this.#outer, {
        purpose: 'calibrating',
        window: streams.window,
        hidden: this.#states,
        out: expertAt(here.site)!,
        statistics,
      });
      const { tokens } = statistics.read();
      if (tokens === 0) await addChannels(statistics);
      if (gram) return { ...(await this.#solve(here, statistics, choose)), tokens };
      const columns = await siteStatistics(block, here, statistics);
      const chosen = await choose({ by: 'moments', columns });
      await this.cut(layer, chosen);
      return { chosen, fit: null, tokens };
    });
  }

  async cut(layer: Layer, chosen: Chosen): Promise<void> {
    const here = this.#inPlace(layer);
    await cutSite(this.#context.session, this.#index, this.#block, here, chosen);
    this.#width = Math.max(this.#width, chosen.kept.length);
  }

  /** Behind the last one: the run's states go on. */
  async end(): Promise<void> {
    const { session, spec, streams } = this.#context;
    const { hidden, window } = streams;
    if (this.#width > 0) this.#block.resize(this.#outer, this.#width);
    await this.#block.finish(this.#outer);
    if (hidden && solvesSequentially(spec)) {
      await session.advanceSite(this.#block, this.#outer, hidden, window, 'calibrating');
    }
    await this[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#before?.[Symbol.asyncDispose]();
  }

  get #states(): Matrix {
    return this.#before ?? this.#context.streams.hidden!;
  }

  async #keep(layer: Layer, chosen: Chosen): Promise<void> {
    await cutSite(this.#context.session, this.#index, this.#block, layer, chosen);
    this.#kept = chosen.kept;
  }

  /** The expert where it stands among those that stay. */
  #inPlace(layer: Layer): Layer {
    const place = this.#kept?.indexOf(expertAt(layer.site)!) ?? null;
    return place === null ? layer : { ...layer, site: `${this.#outer}.${place}` };
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
