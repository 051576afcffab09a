/**
 * The dense survey pass: what every layer would lose at every width, before anything is removed. Score methods
 * get column statistics of all calibration tokens, StruPrune error curves from exact sweeps.
 */

import { fisherMetrics } from '../../calibration/fisher';
import { orRelease, using } from '../../engine/engine';
import {
  type BlockHandle,
  type MatrixHandle,
  native,
  type StatisticsHandle,
} from '../../engine/native';
import type { Session } from '../../engine/session';
import { removalCurve } from '../../masks/select';
import type { SiteStatistics } from '../../masks/statistics';
import type { Losses } from '../../methods';
import { SITES, type Site } from '../../model/sublayers';
import { type OnStage, type OnWarning, stageReporter } from '../../progress';
import { raisedRidge } from '../../pruning/ridge-warning';
import type { NativeSolver, RidgeReport, SweepResult } from '../../solver/native-solver';
import type { SurveySpec } from '../../spec/survey';
import { type Layer, layerAt, widthOf } from '../../spec/widths';
import type { Steps } from '../../turns';
import { batchEnds, type OnStep, Probe, stepsFrom } from './probe';
import { withSolver } from './site-solver';

export interface Survey {
  /** Error curves, one a layer. */
  curves: Float64Array[];
  /** w_l of the allocation, one a layer. */
  weights: number[];
  /**
   * Fisher metrics in scratch, layer i in rows from i · hidden; the receiver (surveys.ts) releases it. Only where the solve
   * orders by them too (selection fisher).
   */
  metrics: MatrixHandle | null;
}

export interface SurveyInput {
  session: Session;
  /** Whole windows. */
  ids: Int32Array;
  window: number;
  layers: readonly Layer[];
  survey: SurveySpec;
  onProgress?: OnStage;
  onWarning?: OnWarning;
}

/** Column statistics of every layer's inputs in the dense model. */
export async function surveyColumns(
  input: SurveyInput,
  needs: SurveySpec['statistics'],
): Promise<SiteStatistics[]> {
  const { session, ids, window, layers } = input;
  const found: SiteStatistics[] = [];
  const visit = async (block: BlockHandle, layer: Layer, hidden: MatrixHandle | null) => {
    if (!hidden) {
      const columns = await native.outputColumns(session.engine.handle, block, layer.site);
      found.push({ groupSize: layer.groupSize, ...columns });
      return;
    }
    const sums = session.statistics(widthOf(layer), { gram: false });
    await using(sums, async (statistics) => {
      await session.advanceSite(block, layer.site, hidden, window, { statistics });
      found.push(await siteStatistics(session, block, layer, statistics));
    });
  };
  await session.engine.calibrating(() => walk(input, needs === 'none' ? null : ids, visit));
  // walk goes block by block in the order of the layers.
  if (found.length !== layers.length) throw new Error('a layer was left out of the survey');
  return found;
}

/** Curves for the threshold and energy rules from one-shot losses. */
export function* curvesFromScores(
  losses: Losses,
  columns: readonly SiteStatistics[],
  layers: readonly Layer[],
): Steps<Survey> {
  const curves: Float64Array[] = [];
  for (const [i, { cost }] of layers.entries()) {
    curves.push(removalCurve(losses(columns[i]!, cost)));
    yield;
  }
  return { curves, weights: layers.map(() => 1), metrics: null };
}

/** Error curves of the exact sweep on dense inputs, with what an error of each costs the model. */
export function surveyCurves(input: SurveyInput): Promise<Survey> {
  const make = input.survey.layerWeights === 'fisher' ? fisherCurves : plainCurves;
  return input.session.engine.calibrating(() => make(input));
}

/** Rows of a page of Fisher metrics. */
export const METRIC_PAGE = 256;

async function fisherCurves(input: SurveyInput): Promise<Survey> {
  const { session, layers, survey } = input;
  const { scratch } = session;
  const { hidden } = session.architecture;
  const weights = layers.map(() => 1);
  if (survey.selection === 'plain') {
    // Of one layer at a time: the curve is all that is kept of it.
    const one = session.matrix(hidden, hidden, METRIC_PAGE, scratch);
    const curves = await using(one, (metrics) => walkBack(input, metrics, () => 0));
    return { curves, weights, metrics: null };
  }
  const metrics = session.matrix(layers.length * hidden, hidden, METRIC_PAGE, scratch);
  const curves = await orRelease(metrics, () => walkBack(input, metrics, (at) => at * hidden));
  return { curves, weights, metrics };
}

/** Last block first, as the gradients come. `rowOf` places a layer's metric in the matrix. */
async function walkBack(
  input: SurveyInput,
  metrics: MatrixHandle,
  rowOf: (layer: number) => number,
): Promise<Float64Array[]> {
  const { session, ids, window, layers, survey, onProgress } = input;
  const curves: Float64Array[] = new Array(layers.length);
  const fishers = fisherMetrics(session, ids, {
    window,
    sites: (index) => SITES.filter((site) => layerAt(layers, index, site) !== -1),
    labels: survey.fisherLabels,
    seed: survey.seed,
    scratch: session.scratch,
    onProgress,
  });
  for await (const { index, block, gradients, sums } of fishers) {
    for (const site of SITES) {
      const at = layerAt(layers, index, site);
      if (at === -1) continue;
      const metric = { matrix: metrics, row: rowOf(at) };
      await native.storeMetric(session.engine.handle, gradients[site], metric.matrix, metric.row);
      const inputs = { statistics: sums[site]!, metric };
      await withSolver(session, survey.lambda, block, layers[at]!, inputs, async (solver) => {
        const sweep = await solver.sweep({
          maxRemoved: layers[at]!.allowed.at(-1)!,
          selection: survey.selection,
          curve: 'fisher',
        });
        tellOfRidge(input, layers[at]!, sweep);
        curves[at] = monotone(sweep.error);
      });
    }
  }
  return curves;
}

function tellOfRidge(input: SurveyInput, { block, site }: Layer, sweep: RidgeReport): void {
  if (sweep.ridgeRaised === 0) return;
  const place = `block ${block}, ${site}`;
  input.onWarning?.(`survey, ${place}: ${raisedRidge(input.survey.lambda, sweep.lambda)}`);
}

async function plainCurves(input: SurveyInput): Promise<Survey> {
  const { layers, survey } = input;
  const curves: Float64Array[] = [];
  const weigh = survey.layerWeights === 'probe' ? weighByTrial : weighByScale;
  const weights = await weigh(input, (curve) => curves.push(curve));
  if (curves.length !== layers.length) throw new Error('a layer was left out of the survey');
  return { curves, weights, metrics: null };
}

/** Both of these: what an error of each layer costs the model, in the order of the layers, in which `onCurve` gets their curves. */
type Weigh = (input: SurveyInput, onCurve: (curve: Float64Array) => void) => Promise<number[]>;

const weighByScale: Weigh = async (input, onCurve) => {
  const { session, ids, survey } = input;
  const { layerWeights } = survey;
  const weights: number[] = [];
  await walk(input, ids, async (block, layer, hidden) => {
    const stream =
      layerWeights === 'residual' ? await native.energyOf(session.engine.handle, hidden!) : 0;
    await solveDense(input, block, layer, hidden!, async (solver) => {
      onCurve(monotone((await curveOf(input, layer, solver)).error));
      weights.push(1 / scaleOf(layerWeights, stream, solver.targetNormSq));
    });
  });
  return weights;
};

const weighByTrial: Weigh = async (input, onCurve) => {
  const { session, ids, window, layers } = input;
  const { scratch } = session;
  const blocks = session.architecture.blocks.length;
  const ends = batchEnds(layers, blocks);
  const steps = ends.reduce((sum, end) => sum + stepsFrom(end + 1, blocks), 0);
  const probe = await Probe.make(session, ids, { window, layers: layers.length, scratch });
  try {
    const visit = (block: BlockHandle, layer: Layer, hidden: MatrixHandle | null) =>
      solveDense(input, block, layer, hidden!, async (solver) => {
        const sweep = await curveOf(input, layer, solver);
        onCurve(monotone(sweep.error));
        await probe.start(layers.indexOf(layer), layer, solver, sweep);
      });
    await walk(input, ids, visit, {
      steps,
      past: (block, site) => probe.advance(block, site),
      after: async (index, onStep) => {
        if (ends.includes(index)) await probe.runOn(index + 1, onStep);
      },
    });
    return probe.weights;
  } finally {
    await probe.dispose();
  }
};

/** A layer's exact sweep as far as its groups may go. */
async function curveOf(
  input: SurveyInput,
  layer: Layer,
  solver: NativeSolver,
): Promise<SweepResult> {
  const sweep = await solver.sweep({ maxRemoved: layer.allowed.at(-1)! });
  tellOfRidge(input, layer, sweep);
  return sweep;
}

/** Visits every layer, in the order in which they run, with a solver of its inputs in the dense model. */
export function surveySolvers(
  input: SurveyInput,
  visit: (layer: Layer, solver: NativeSolver) => Promise<void>,
): Promise<void> {
  return input.session.engine.calibrating(() =>
    walk(input, input.ids, (block, layer, hidden) =>
      solveDense(input, block, layer, hidden!, (solver) => visit(layer, solver)),
    ),
  );
}

/** What an error is divided by. */
function scaleOf(weights: SurveySpec['layerWeights'], stream: number, output: number): number {
  if (weights === 'residual') return stream;
  return weights === 'output' ? output : 1;
}

/** What follows a walk. */
interface Followers {
  /** Hears of every site that is behind, */
  past(block: BlockHandle, site: Site): Promise<void>;
  /** and of every block, of which nothing is in memory any more; tells of steps of its own, */
  after(index: number, onStep: OnStep): Promise<void>;
  /** so many in all. */
  steps: number;
}

/** Visits every block, and every layer with the hidden states before its site; the visit advances them. */
async function walk(
  { session, window, layers, onProgress }: SurveyInput,
  ids: Int32Array | null,
  visit: (block: BlockHandle, layer: Layer, hidden: MatrixHandle | null) => Promise<void>,
  followers?: Followers,
): Promise<void> {
  const total = session.architecture.blocks.length;
  const report = stageReporter(onProgress, 'survey', total + (followers?.steps ?? 0));
  let done = 0;
  const hidden = ids && (await session.embed(ids, window, session.scratch));
  try {
    for (let index = 0; index < total; index++) {
      session.engine.throwIfAborted();
      await using(await session.loadBlock(index), async (block) => {
        for (const site of SITES) {
          const layer = layers[layerAt(layers, index, site)];
          if (layer) await visit(block, layer, hidden);
          else if (hidden) await session.advanceSite(block, site, hidden, window);
          await followers?.past(block, site);
        }
      });
      report(++done, `block ${index + 1} of ${total}`, index);
      await followers?.after(index, (message) => report(++done, message));
    }
  } finally {
    if (hidden) await native.free(hidden);
  }
}

/** Runs a site on hidden states, which go on, and hands a solver of its Gram to `use`. */
async function solveDense(
  { session, window, survey }: SurveyInput,
  block: BlockHandle,
  layer: Layer,
  hidden: MatrixHandle,
  use: (solver: NativeSolver) => Promise<void>,
): Promise<void> {
  const { scratch } = session;
  const sums = session.statistics(widthOf(layer), { gram: true, scratch });
  await using(sums, async (statistics) => {
    await session.advanceSite(block, layer.site, hidden, window, { statistics });
    await withSolver(session, survey.lambda, block, layer, { statistics, metric: null }, use);
  });
}

/** Unpenalised errors may dip by a rounding error where a removal costs nothing: the rules want them rising. */
function monotone(curve: Float64Array): Float64Array {
  let top = 0;
  return curve.map((value) => {
    top = Math.max(top, value);
    return top;
  });
}

export async function siteStatistics(
  session: Session,
  block: BlockHandle,
  layer: Layer,
  statistics: StatisticsHandle,
): Promise<SiteStatistics> {
  const { tokens, sums, squares } = native.readStatistics(statistics);
  return {
    groupSize: layer.groupSize,
    ...(await native.outputColumns(session.engine.handle, block, layer.site)),
    second: squares.map((value) => value / tokens),
    mean: sums.map((value) => value / tokens),
    tokens,
  };
}
