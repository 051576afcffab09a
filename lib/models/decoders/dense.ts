/** A decoder before anything is removed: passes that sum what the layers read, forwards or, for Fisher metrics, backwards. */

import { fisherMetrics } from '../../calibration/fisher';
import type { Block } from '../../engine/block';
import type { Matrix } from '../../engine/matrix';
import { orDispose, using } from '../../engine/owned';
import type { Session } from '../../engine/session';
import type { Solver } from '../../engine/solver';
import type { Statistics } from '../../engine/statistics';
import type { SiteStatistics } from '../../masks/statistics';
import type { StatisticsNeeded } from '../../methods';
import type { Dtype } from '../../model/architecture';
import { outerSite, type Site } from '../../model/sublayers';
import { type OnStage, stageReporter } from '../../progress';
import { METRIC_PAGE } from '../../pruning/survey-file';
import { storedTypes } from '../../spec/dtypes';
import type { SurveySpec } from '../../spec/survey';
import { type Layer, layerAt, layersIn, widthOf } from '../../spec/widths';
import type {
  Dense,
  Half,
  Joint,
  JointLosses,
  TryOut,
  VisitExpertSite,
  Visited,
  VisitSite,
} from '../front-end';
import { shareOfTrials } from './batches';
import { calibrationStates } from './calibration-states';
import { visitExperts } from './expert-survey';
import { JointTrial, jointTokens } from './joint';
import { orderByGradients } from './order-by-gradients';
import type { Order } from './orders';
import { type OnStep, Probe } from './probe';
import { withSolver } from './site-solver';
import { triedLayers } from './tried';

export interface DenseInput {
  session: Session;
  /** Calibration tokens, whole windows. */
  ids: Int32Array;
  window: number;
  layers: readonly Layer[];
  onProgress?: OnStage;
}

export class DenseDecoder implements Dense {
  readonly layers: readonly Layer[];
  protected readonly session: Session;
  protected readonly ids: Int32Array;
  protected readonly window: number;
  protected readonly onProgress: OnStage | undefined;

  constructor({ session, ids, window, layers, onProgress }: DenseInput) {
    this.session = session;
    this.ids = ids;
    this.window = window;
    this.layers = layers;
    this.onProgress = onProgress;
  }

  get stored(): Dtype {
    return this.session.stored.matrices;
  }

  sample(limit = Number.POSITIVE_INFINITY): { rows: number; about: string } {
    const { source, stored } = this.session;
    const rows = this.#first(limit).length;
    const types = `${storedTypes(source, stored)}; vectors: ${stored.vectors}`;
    return { rows, about: `${rows} tokens by ${this.window}, ${types}` };
  }

  async columns({ statistics, surveyTokens }: SurveySpec): Promise<SiteStatistics[]> {
    if (statistics !== 'order') return this.#columns(statistics);
    const { session, window, layers, onProgress } = this;
    const text = { ids: this.#first(surveyTokens), window };
    const order = await orderByGradients({ session, ...text, layers, onProgress });
    // Of the weights, which take no time.
    const columns = await this.#columns('none', { report: () => {} });
    return columns.map((site, at) => ({ ...site, order: order[at] }));
  }

  /** `none`: of weights alone. */
  async #columns(needs: StatisticsNeeded, followers?: Followers): Promise<SiteStatistics[]> {
    const { session, window } = this;
    const found: SiteStatistics[] = [];
    const visit: VisitLayer = async (block, layer, hidden) => {
      if (!hidden) {
        const columns = await block.outputColumns(layer.site);
        found.push({ groupSize: layer.groupSize, ...columns });
        return;
      }
      const sums = session.statistics(widthOf(layer), { gram: false });
      await using(sums, async (statistics) => {
        await session.advanceSite(block, layer.site, hidden, window, 'calibrating', { statistics });
        found.push(await siteStatistics(block, layer, statistics));
      });
    };
    const ids = needs === 'none' ? null : this.ids;
    await this.#walk(ids, this.layers, visit, followers);
    return found;
  }

  visit<Found>(survey: SurveySpec, visit: VisitSite<Found>): Promise<Visited<Found>> {
    if (survey.layerWeights === 'fisher') return this.#visitBack(survey, visit);
    if (survey.layerWeights === 'probe') return this.#visitWithTrials(survey, visit);
    return this.#visitForwards(survey, visit);
  }

  async visitExperts(
    { surveyTokens, lambda, layerWeights }: SurveySpec,
    visit: VisitExpertSite,
  ): Promise<Float64Array> {
    const { session, window, layers, onProgress } = this;
    const { scratch } = session;
    const ids = this.#first(surveyTokens);
    const about = { session, window, layers, lambda, onProgress };
    if (layerWeights !== 'probe') {
      await visitExperts({ ...about, probe: null }, ids, visit);
      return new Float64Array(layers.length);
    }
    const probe = await Probe.make(session, ids, { window, layers: layers.length, scratch });
    try {
      await visitExperts({ ...about, probe }, ids, visit);
      return probe.losses;
    } finally {
      await probe.dispose();
    }
  }

  async half({ survey, half, visit, onPart }: Half): Promise<void> {
    const { window, layers } = this;
    const mine = everyOther(this.#first(survey.surveyTokens), window, half);
    const visitLayer: VisitLayer = (block, layer, hidden) =>
      this.#solveDense(survey, block, layer, hidden!, (solver) =>
        visit(layers.indexOf(layer), solver),
      );
    await this.#walk(mine, layers, visitLayer, { report: onPart });
  }

  async jointly({ survey, networks, visit, onPart }: Joint): Promise<JointLosses> {
    const { session, window, layers, ids } = this;
    const { scratch } = session;
    const { sums, measuring } = jointTokens(ids.length, window, survey.surveyTokens);
    const unseen = ids.subarray(ids.length - measuring);
    const made = JointTrial.make(session, unseen, ids, { window, models: networks, scratch });
    return using(await made, async (trial) => {
      const visitLayer: VisitLayer = (block, layer, hidden) =>
        this.#solveDense(survey, block, layer, hidden!, (solver) => {
          const at = layers.indexOf(layer);
          return visit(at, {
            solver,
            other: (cut) => trial.start(at, layer, cut),
            joint: (cut) => trial.cut(layer, cut),
          });
        });
      await this.#walk(ids.subarray(0, sums), layers, visitLayer, {
        report: onPart,
        past: async (block, site, index) => {
          if (layerAt(layers, index, site) === -1) await trial.advance(block, site);
        },
      });
      return trial.losses(layers.length);
    });
  }

  async #visitForwards<Found>(
    survey: SurveySpec,
    visit: VisitSite<Found>,
  ): Promise<Visited<Found>> {
    const { layers } = this;
    const found: Found[] = [];
    await this.#walk(this.#first(survey.surveyTokens), layers, async (block, layer, hidden) => {
      const scaled = survey.layerWeights === 'residual';
      const stream = scaled ? await hidden!.energy() : 0;
      await this.#solveDense(survey, block, layer, hidden!, async (solver) => {
        const at = layers.indexOf(layer);
        found[at] = await visit(at, { solver, stream, tryOut: null });
      });
    });
    return { found, losses: new Float64Array(layers.length), metrics: null };
  }

  /** Trials start before their sites and run on together. Each rank has its share of them. */
  async #visitWithTrials<Found>(
    survey: SurveySpec,
    visit: VisitSite<Found>,
  ): Promise<Visited<Found>> {
    const { session, window, layers } = this;
    const { team } = session.engine;
    await team.ask({ task: 'trials' } satisfies Order);
    const ids = this.#first(survey.surveyTokens);
    const tried = triedLayers(layers);
    const isTried = (layer: Layer) => tried.has(layer);
    const share = shareOfTrials(layers, session.architecture.blocks.length, team, isTried);
    const { scratch } = session;
    const own: { at: number; found: Found }[] = [];
    const probe = await Probe.make(session, ids, { window, layers: layers.length, scratch });
    try {
      const visitLayer: VisitLayer = (block, layer, hidden) =>
        this.#solveDense(survey, block, layer, hidden!, async (solver) => {
          const at = layers.indexOf(layer);
          const tryOut: TryOut = (kept, refit) => probe.start(at, layer, kept, refit);
          const site = { solver, stream: 0, tryOut: isTried(layer) ? tryOut : null };
          own.push({ at, found: await visit(at, site) });
        });
      await this.#walk(ids, share.layers, visitLayer, {
        steps: share.steps,
        past: (block, site) => probe.advance(block, site),
        after: async (index, onStep) => {
          if (share.ends.includes(index)) await probe.runOn(index + 1, onStep);
        },
      });
      const measured = own.map((one) => ({ ...one, loss: probe.losses[one.at]! }));
      const all = (await team.gather(measured)).flat().sort((a, b) => a.at - b.at);
      const losses = Float64Array.from(all, ({ loss }) => loss);
      return { found: all.map(({ found }) => found), losses, metrics: null };
    } finally {
      await probe.dispose();
    }
  }

  /** Last block first, as the gradients come. */
  async #visitBack<Found>(survey: SurveySpec, visit: VisitSite<Found>): Promise<Visited<Found>> {
    const { session, layers } = this;
    const { scratch } = session;
    const { hidden } = session.architecture;
    const found: Found[] = [];
    const losses = new Float64Array(layers.length);
    const keeping: VisitSite<void> = async (at, site) => {
      found[at] = await visit(at, site);
    };
    if (survey.selection === 'plain') {
      // Of one layer at a time: nothing is kept of it.
      const one = session.matrix(hidden, hidden, METRIC_PAGE, scratch);
      await using(one, (metrics) => this.#walkBack(survey, keeping, metrics, () => 0));
      return { found, losses, metrics: null };
    }
    const metrics = session.matrix(layers.length * hidden, hidden, METRIC_PAGE, scratch);
    await orDispose(metrics, () => this.#walkBack(survey, keeping, metrics, (at) => at * hidden));
    return { found, losses, metrics };
  }

  /** `rowOf` places a layer's metric in the matrix. */
  async #walkBack(
    { lambda, surveyTokens, fisherLabels: labels, seed }: SurveySpec,
    visit: VisitSite<void>,
    matrix: Matrix,
    rowOf: (layer: number) => number,
  ): Promise<void> {
    const { session, window, layers, onProgress } = this;
    const { scratch } = session;
    const sites = (index: number) => layersIn(layers, index).map(({ site }) => site);
    const options = { window, sites, labels, seed, scratch, onProgress };
    const fishers = fisherMetrics(session, this.#first(surveyTokens), options);
    for await (const { index, block, gradients, sums } of fishers) {
      for (const site of sites(index)) {
        const at = layerAt(layers, index, site);
        const metric = { matrix, row: rowOf(at) };
        await gradients[site]!.storeMetric(metric);
        const inputs = { statistics: sums[site]!, metric };
        await withSolver(lambda, block, layers[at]!, inputs, (solver) =>
          visit(at, { solver, stream: 0, tryOut: null }),
        );
      }
    }
  }

  /** Whole windows, at least one. */
  #first(limit: number): Int32Array {
    const { ids, window } = this;
    return ids.subarray(0, Math.max(1, Math.floor(limit / window)) * window);
  }

  /** Visits every block, and each of `layers` with the hidden states before its site; the visit advances them. */
  async #walk(
    ids: Int32Array | null,
    layers: readonly Layer[],
    visit: VisitLayer,
    followers?: Followers,
  ): Promise<void> {
    const { session, window, onProgress } = this;
    const total = session.architecture.blocks.length;
    let done = 0;
    const tell = stageReporter(onProgress, 'survey', total + (followers?.steps ?? 0));
    const report =
      followers?.report ?? ((index) => tell(++done, `block ${index + 1} of ${total}`, index));
    const hidden = ids && (await calibrationStates(session, ids, window, session.scratch));
    try {
      for (let index = 0; index < total; index++) {
        session.engine.throwIfAborted();
        await using(await session.loadBlock(index), async (block) => {
          for (const site of block.sites) {
            // Experts are one layer, or one each.
            const own = layersIn(layers, index).filter((layer) => outerSite(layer.site) === site);
            for (const layer of own) await visit(block, layer, hidden);
            if (own.length === 0 && hidden)
              await session.advanceSite(block, site, hidden, window, 'calibrating');
            await followers?.past?.(block, site, index);
          }
        });
        report(index);
        await followers?.after?.(index, (message) => tell(++done, message));
      }
    } finally {
      await hidden?.[Symbol.asyncDispose]();
    }
  }

  /** Runs a site on hidden states, which go on, and hands a solver of its Gram to `use`. */
  async #solveDense(
    { lambda }: SurveySpec,
    block: Block,
    layer: Layer,
    hidden: Matrix,
    use: (solver: Solver) => Promise<void>,
  ): Promise<void> {
    const { session, window } = this;
    const { scratch } = session;
    const sums = session.statistics(widthOf(layer), { gram: true, scratch });
    await using(sums, async (statistics) => {
      await session.advanceSite(block, layer.site, hidden, window, 'calibrating', { statistics });
      await withSolver(lambda, block, layer, { statistics, metric: null }, use);
    });
  }
}

type VisitLayer = (block: Block, layer: Layer, hidden: Matrix | null) => Promise<void>;

/** Of every two windows the one; all where there is one alone. */
export function everyOther(ids: Int32Array, window: number, half: 0 | 1): Int32Array {
  const windows = ids.length / window;
  if (windows < 2) return ids;
  const mine = Array.from({ length: windows }, (_, i) => i).filter((i) => i % 2 === half);
  const taken = new Int32Array(mine.length * window);
  mine.forEach((from, to) => {
    taken.set(ids.subarray(from * window, (from + 1) * window), to * window);
  });
  return taken;
}

/** What follows a walk. */
interface Followers {
  /** Hears of every site that is behind, */
  past?(block: Block, site: Site, index: number): Promise<void>;
  /** and of every block, of which nothing is in memory any more; tells of steps of its own, */
  after?(index: number, onStep: OnStep): Promise<void>;
  /** so many in all. */
  steps?: number;
  /** In the place of the survey's own report. */
  report?(index: number): void;
}

export async function siteStatistics(
  block: Block,
  layer: Layer,
  statistics: Statistics,
): Promise<SiteStatistics> {
  const { tokens, sums, squares } = statistics.read();
  return {
    groupSize: layer.groupSize,
    ...(await block.outputColumns(layer.site)),
    second: squares.map((value) => value / tokens),
    mean: sums.map((value) => value / tokens),
    tokens,
  };
}
