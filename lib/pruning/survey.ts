/**
 * The dense survey pass: what every layer would lose at every width, before anything is removed. Score methods
 * get column statistics of all calibration tokens, StruPrune error curves from exact sweeps.
 */
import { fisherMetrics } from '../calibration/fisher';
import { orRelease, using } from '../engine/engine';
import {
  type BlockHandle,
  type MatrixHandle,
  native,
  type Site,
  type StatisticsHandle,
} from '../engine/native';
import { type Session, SITES } from '../engine/session';
import { removalCurve, type ScoreMethod, type SiteStatistics } from '../methods';
import { type OnStage, type OnWarning, stageReporter } from '../progress';
import type { NativeSolver, RidgeReport } from '../solver/native-solver';
import type { Steps } from '../turns';
import type { Settings } from './options';
import { Probe } from './probe';
import { raisedRidge } from './ridge-warning';
import { withSolver } from './site-solver';
import { type Layer, layerAt, widthOf } from './widths';

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
  settings: Settings;
  onProgress?: OnStage;
  onWarning?: OnWarning;
}

/** Column statistics of every layer's inputs in the dense model. */
export async function surveyColumns(
  input: SurveyInput,
  needs: ScoreMethod['statistics'],
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
      await session.advanceSite(block, layer.site, hidden, window, statistics);
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
  method: ScoreMethod,
  columns: readonly SiteStatistics[],
  layers: readonly Layer[],
): Steps<Survey> {
  const curves: Float64Array[] = [];
  for (const [i, { cost }] of layers.entries()) {
    curves.push(removalCurve(method.losses(columns[i]!, cost)));
    yield;
  }
  return { curves, weights: layers.map(() => 1), metrics: null };
}

/** Error curves of the exact sweep on dense inputs, with what an error of each costs the model. */
export function surveyCurves(input: SurveyInput): Promise<Survey> {
  const make = input.settings.layerWeights === 'fisher' ? fisherCurves : plainCurves;
  return input.session.engine.calibrating(() => make(input));
}

/** Rows of a page of Fisher metrics. */
export const METRIC_PAGE = 256;

async function fisherCurves(input: SurveyInput): Promise<Survey> {
  const { session, layers, settings } = input;
  const { hidden } = session.architecture;
  const weights = layers.map(() => 1);
  if (settings.selection === 'plain') {
    // Of one layer at a time: the curve is all that is kept of it.
    const one = session.matrix(hidden, hidden, METRIC_PAGE, settings.scratch);
    const curves = await using(one, (metrics) => walkBack(input, metrics, () => 0));
    return { curves, weights, metrics: null };
  }
  const metrics = session.matrix(layers.length * hidden, hidden, METRIC_PAGE, settings.scratch);
  const curves = await orRelease(metrics, () => walkBack(input, metrics, (at) => at * hidden));
  return { curves, weights, metrics };
}

/** Last block first, as the gradients come. `rowOf` places a layer's metric in the matrix. */
async function walkBack(
  input: SurveyInput,
  metrics: MatrixHandle,
  rowOf: (layer: number) => number,
): Promise<Float64Array[]> {
  const { session, ids, window, layers, settings, onProgress } = input;
  const curves: Float64Array[] = new Array(layers.length);
  const fishers = fisherMetrics(session, ids, {
    window,
    sites: (index) => SITES.filter((site) => layerAt(layers, index, site) !== -1),
    labels: settings.fisherLabels,
    seed: settings.seed,
    scratch: settings.scratch,
    onProgress,
  });
  for await (const { index, block, attention, ffn, sums } of fishers) {
    const fisher = { attention, ffn };
    for (const site of SITES) {
      const at = layerAt(layers, index, site);
      if (at === -1) continue;
      const metric = { matrix: metrics, row: rowOf(at) };
      await native.storeMetric(session.engine.handle, fisher[site], metric.matrix, metric.row);
      const inputs = { statistics: sums[site]!, metric };
      await withSolver(session, settings, block, layers[at]!, inputs, async (solver) => {
        const sweep = await solver.sweep({
          maxRemoved: layers[at]!.allowed.at(-1)!,
          selection: settings.selection,
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
  input.onWarning?.(`survey, ${place}: ${raisedRidge(input.settings.lambda, sweep.lambda)}`);
}

async function plainCurves(input: SurveyInput): Promise<Survey> {
  const { session, ids, window, layers, settings } = input;
  const curves: Float64Array[] = [];
  const weights: number[] = [];
  const probe =
    settings.layerWeights === 'probe'
      ? await Probe.make(session, ids, window, settings.scratch)
      : null;
  try {
    await walk(
      input,
      ids,
      async (block, layer, hidden) => {
        const stream =
          settings.layerWeights === 'residual'
            ? await native.energyOf(session.engine.handle, hidden!)
            : 0;
        await solveDense(input, block, layer, hidden!, async (solver) => {
          const sweep = await solver.sweep({ maxRemoved: layer.allowed.at(-1)! });
          tellOfRidge(input, layer, sweep);
          curves.push(monotone(sweep.error));
          if (probe) weights.push(await probe.weigh(layer, solver, sweep));
          else weights.push(1 / scaleOf(settings.layerWeights, stream, solver.targetNormSq));
        });
      },
      (block, site) => probe?.advance(block, site),
    );
  } finally {
    probe?.dispose();
  }
  if (curves.length !== layers.length) throw new Error('a layer was left out of the survey');
  return { curves, weights, metrics: null };
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
function scaleOf(weights: Settings['layerWeights'], stream: number, output: number): number {
  if (weights === 'residual') return stream;
  return weights === 'output' ? output : 1;
}

/**
 * Visits every block, and every layer with the hidden states before its site; the visit advances them. `past` hears
 * of every site that is behind.
 */
async function walk(
  { session, window, layers, onProgress, settings }: SurveyInput,
  ids: Int32Array | null,
  visit: (block: BlockHandle, layer: Layer, hidden: MatrixHandle | null) => Promise<void>,
  past?: (block: BlockHandle, site: Site) => Promise<void> | undefined,
): Promise<void> {
  const total = session.architecture.blocks.length;
  const report = stageReporter(onProgress, 'survey', total);
  const hidden = ids && (await session.embed(ids, window, settings.scratch));
  try {
    for (let index = 0; index < total; index++) {
      session.engine.throwIfAborted();
      await using(await session.loadBlock(index), async (block) => {
        for (const site of SITES) {
          const layer = layers[layerAt(layers, index, site)];
          if (layer) await visit(block, layer, hidden);
          else if (hidden) await session.advanceSite(block, site, hidden, window);
          await past?.(block, site);
        }
      });
      report(index + 1, `block ${index + 1} of ${total}`, index);
    }
  } finally {
    if (hidden) await native.free(hidden);
  }
}

/** Runs a site on hidden states, which go on, and hands a solver of its Gram to `use`. */
async function solveDense(
  { session, window, settings }: SurveyInput,
  block: BlockHandle,
  layer: Layer,
  hidden: MatrixHandle,
  use: (solver: NativeSolver) => Promise<void>,
): Promise<void> {
  const { scratch } = settings;
  const sums = session.statistics(widthOf(layer), { gram: true, scratch });
  await using(sums, async (statistics) => {
    await session.advanceSite(block, layer.site, hidden, window, statistics);
    await withSolver(session, settings, block, layer, { statistics, metric: null }, use);
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
