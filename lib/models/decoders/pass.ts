/** The calibration tokens on their way through the blocks, of each through attention and then the FFN. */

import type { Block } from '../../engine/block';
import type { TeamHandle } from '../../engine/handles';
import type { Matrix } from '../../engine/matrix';
import { disposeAll } from '../../engine/owned';
import { nextTokens } from '../../engine/session';
import { meanOfTokens } from '../../engine/token-values';
import { sitesOf } from '../../model/blocks';
import { expertAt, outerSite, type Site } from '../../model/sublayers';
import { feeds } from '../../options/refit';
import type { Layer } from '../../spec/widths';
import type { Chosen, Part, PartContent, PartRecord, Pass, Shrunk, Sums } from '../front-end';
import { contentOf, loadFinished } from './blocks';
import { calibrationStates } from './calibration-states';
import { ExpertTurns } from './expert-turns';
import { choosesExperts, isOfExperts } from './experts';
import { replayBlock } from './replay';
import { collectAndSolve, cutSite, dropSite, type SolveContext } from './solve';

export class DecoderPass implements Pass {
  readonly #context: SolveContext;
  /** The last calibration window. */
  readonly #last: Int32Array;

  private constructor(context: SolveContext, last: Int32Array) {
    this.#context = context;
    this.#last = last;
  }

  /** `states`: folder for hidden states; '' = in memory. `team`: whose ranks share them; null: none do. */
  static async begin(
    about: Omit<SolveContext, 'streams'>,
    { ids, window, states: scratch }: { ids: Int32Array; window: number; states: string },
    team: TeamHandle | null,
  ): Promise<DecoderPass> {
    const { session, spec } = about;
    const last = ids.subarray(ids.length - window);
    const made: Matrix[] = [];
    const hold = (states: Matrix) => {
      made.push(states);
      return states;
    };
    const calibrated = async () =>
      hold(await calibrationStates(session, ids, window, scratch, team));
    const needsStates = !spec.idle && spec.gather.statistics !== 'none';
    const feedback = !spec.idle && feeds(spec.refit);
    try {
      const hidden = needsStates ? await calibrated() : null;
      const dense = feedback ? await calibrated() : null;
      const check = hold(await session.embed(last, window, 'measuring'));
      const streams = { window, scratch, hidden, dense, check };
      return new DecoderPass({ ...about, streams }, last);
    } catch (error) {
      await disposeAll(made);
      throw error;
    }
  }

  async open(index: number): Promise<Part> {
    const { session, architecture } = this.#context;
    const block = await session.loadBlock(index, architecture);
    return new DecoderPart(this.#context, index, block);
  }

  async replay(index: number, record: PartRecord, solved: readonly Layer[]): Promise<void> {
    const { journal, session, plan } = this.#context;
    const finished = () => loadFinished(journal, session, plan.tensors, index, record);
    await replayBlock(this.#context, index, record.keep, solved, finished);
  }

  /** Mean NLL of the last calibration window. */
  async measure(): Promise<number> {
    const { session, streams } = this.#context;
    const { nll } = await session.score(streams.check, nextTokens(this.#last, streams.window));
    return meanOfTokens([nll], streams.window);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { hidden, dense, check } = this.#context.streams;
    await disposeAll([hidden, dense, check]);
  }
}

class DecoderPart implements Part {
  readonly #context: SolveContext;
  readonly #index: number;
  readonly #block: Block;
  /** Sites that are still to come. */
  readonly #ahead: Site[];
  /** Of the experts at hand. */
  #turns: ExpertTurns | null = null;

  constructor(context: SolveContext, index: number, block: Block) {
    this.#context = context;
    this.#index = index;
    this.#block = block;
    this.#ahead = sitesOf(context.session.architecture, index);
  }

  async leave(layer: Layer): Promise<void> {
    const { site } = layer;
    // Those that stay as they are need no turn, and the others may come.
    if (isOfExperts(this.#context.session.architecture, layer)) return;
    await this.#next(site, () => this.#leave(site));
  }

  drop(layer: Layer): Promise<void> {
    return this.#next(layer.site, () => dropSite(this.#context, layer));
  }

  async cut(layer: Layer, chosen: Chosen): Promise<void> {
    const { session } = this.#context;
    if (expertAt(layer.site) !== null) {
      const turns = await this.#turnsOf(layer);
      return turns.cut(layer, chosen);
    }
    return this.#next(layer.site, async () => {
      await cutSite(session, this.#index, this.#block, layer, chosen);
      await this.#block.finish(layer.site);
    });
  }

  async shrink<C extends Chosen>(
    layer: Layer,
    choose: (sums: Sums) => Promise<C>,
  ): Promise<Shrunk<C>> {
    const { architecture } = this.#context.session;
    if (isOfExperts(architecture, layer)) {
      const turns = await this.#turnsOf(layer);
      const whole = choosesExperts(architecture, layer);
      return whole ? turns.choose(layer, choose) : turns.shrink(layer, choose);
    }
    return this.#next(layer.site, () =>
      collectAndSolve(this.#context, this.#index, this.#block, layer, choose),
    );
  }

  async finish(): Promise<PartContent> {
    const { session, streams, plan } = this.#context;
    await this.#next(null, async () => {});
    await session.advance(this.#block, streams.check, streams.window, 'measuring');
    return contentOf(session, plan.tensors, this.#index, this.#block);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return disposeAll([this.#turns, this.#block]);
  }

  /** Of the experts that the layer is one of. */
  async #turnsOf({ site }: Layer): Promise<ExpertTurns> {
    const outer = outerSite(site);
    this.#turns ??= await this.#next(outer, () =>
      ExpertTurns.begin(this.#context, this.#index, this.#block, outer),
    );
    return this.#turns;
  }

  /** Works on a site (null: there is none) behind those that are out of scope. */
  async #next<T>(site: Site | null, work: () => Promise<T>): Promise<T> {
    await this.#turns?.end();
    this.#turns = null;
    for (let next = this.#ahead.shift(); next && next !== site; next = this.#ahead.shift()) {
      await this.#leave(next);
    }
    return work();
  }

  async #leave(site: Site): Promise<void> {
    const { session, streams } = this.#context;
    const { window, hidden, dense } = streams;
    if (dense) await session.advanceSite(this.#block, site, dense, window, 'calibrating');
    await this.#block.finish(site);
    if (hidden) await session.advanceSite(this.#block, site, hidden, window, 'calibrating');
  }
}
