/**
 * One block's turn: for attention and then the FFN, choose the groups that stay, refit or compensate what is
 * left, slice the weights, and take the hidden states on through the result (method.md, section 1).
 */

import { createHash } from 'node:crypto';
import { orRelease } from '../../engine/engine';
import {
  type AnyHandle,
  type BlockHandle,
  type MatrixHandle,
  type MetricPlace,
  native,
} from '../../engine/native';
import type { SumKinds } from '../../engine/native-gpu';
import type { Session } from '../../engine/session';
import { findMask, type MaskReport } from '../../masks';
import { scoreOf } from '../../masks/scores';
import { keepBest } from '../../masks/select';
import type { SiteStatistics } from '../../masks/statistics';
import type { Site } from '../../model/sublayers';
import type { LayerStats } from '../../pruning/result';
import type { NativeRefit, NativeSolver } from '../../solver/native-solver';
import type { RunSpec } from '../../spec';
import { keptIndices, type Layer, maskOf, widthOf } from '../../spec/widths';
import { type FfnTokens, makeFfnTokens, refitInputs } from './input-refit';
import { withSolver } from './site-solver';
import { keptColumns, sliceSite } from './slice';
import { structureOf } from './structure';
import { siteStatistics } from './survey';

/** The hidden states that a run carries from block to block. */
export interface Streams {
  window: number;
  /** Folder for hidden states; '' = in memory. */
  scratch: string;
  /** Of the model pruned so far (of the dense one when not sequential); null where nothing is calibrated. */
  hidden: MatrixHandle | null;
  /** Of the dense model, before the site at hand; only with feedback. */
  dense: MatrixHandle | null;
  /** One window that runs through what will be in the file. */
  check: MatrixHandle;
}

export interface SitePlan {
  layer: Layer;
  /** Groups to remove. */
  removed: number;
  /** ε_l, w_l and what the survey predicted for the removals. */
  energy: number | null;
  weight: number | null;
  predicted: number | null;
  /** Fisher metric of the survey; null without one. */
  metric: MetricPlace | null;
  /** Column statistics of the dense survey, where the method scores on them. */
  columns: SiteStatistics | null;
}

/** What a solve works by. */
export type SolveSpec = Pick<RunSpec, 'gather' | 'mask' | 'refit'>;

export interface SolveContext {
  session: Session;
  spec: SolveSpec;
  streams: Streams;
}

export interface SiteResult {
  kept: Int32Array;
  stats: LayerStats;
}

/** Solves one site of a loaded block in place. `plan` null: the site is out of scope. */
export async function solveSite(
  context: SolveContext,
  index: number,
  block: BlockHandle,
  site: Site,
  plan: SitePlan | null,
): Promise<SiteResult | null> {
  const start = performance.now();
  const { session, streams } = context;
  let outcome = UNTOUCHED;
  if (plan === null || isUntouched(context, plan)) {
    if (streams.dense) await session.advanceSite(block, site, streams.dense, streams.window);
    await native.finishSite(session.engine.handle, block, site);
    if (streams.hidden) await session.advanceSite(block, site, streams.hidden, streams.window);
  } else if (plan.columns) {
    // Nothing has to run.
    const kept = await sliceByScores(context, index, block, plan, plan.columns);
    await native.finishSite(session.engine.handle, block, site);
    outcome = { ...UNTOUCHED, kept };
  } else {
    outcome = await collectAndSolve(context, index, block, plan);
  }
  if (plan === null) return null;
  const { kept, ...errors } = outcome;
  return {
    kept: kept ?? Int32Array.from({ length: plan.layer.groups }, (_, g) => g),
    stats: {
      index,
      site,
      removed: plan.removed,
      groups: plan.layer.groups,
      energy: plan.energy,
      weight: plan.weight,
      predicted: plan.predicted,
      ...errors,
      seconds: (performance.now() - start) / 1000,
    },
  };
}

/** Whether the site's weights stay as they are, but for rounding. */
export function isUntouched({ streams }: SolveContext, { removed }: SitePlan): boolean {
  return removed === 0 && streams.dense === null;
}

/** Whether a site reads what the blocks before it have become, and not what they were. */
export function solvesSequentially({ gather }: Pick<SolveSpec, 'gather'>): boolean {
  return gather.inputs === 'sequential';
}

/** Whether a site's input maps are refitted too, so that what it reads has to go through it again. */
export function refitsInputs({ refit }: Pick<SolveSpec, 'refit'>, site: Site): boolean {
  return site === 'ffn' && refit.inputs.by !== 'none';
}

/**
 * Whether the states go on through the finished site as a whole, and not by the inputs of its output map that the solve
 * kept: those have changed with the input maps or, on a GPU, take longer to come back than to be computed again.
 */
export function runsAgain(context: SolveContext, site: Site): boolean {
  return refitsInputs(context.spec, site) || context.session.engine.device !== 'cpu';
}

/** The sums that a solve makes of a site. */
export function sumsOf({ spec, streams }: SolveContext): SumKinds {
  return {
    collects: true,
    gram: spec.gather.statistics === 'gram',
    feedback: streams.dense !== null,
  };
}

/** What a solve did; `kept` null: nothing was removed. */
type Outcome = Pick<
  LayerStats,
  'relativeError' | 'lambda' | 'ridgeRaised' | 'swaps' | 'admm' | 'inputRefit'
> & {
  kept: Int32Array | null;
};
const UNTOUCHED: Outcome = {
  kept: null,
  relativeError: null,
  lambda: null,
  ridgeRaised: 0,
  swaps: null,
  admm: null,
  inputRefit: null,
};

/** Keeps the groups of the best one-shot scores, as they are. */
async function sliceByScores(
  { session, spec }: SolveContext,
  index: number,
  block: BlockHandle,
  { layer, removed }: SitePlan,
  columns: SiteStatistics,
): Promise<Int32Array> {
  const { handle } = session.engine;
  const kept = keepBest(scoreOf(spec.mask.search).of(columns), removed);
  if (spec.refit.output === 'mean-bias') {
    const mask = maskOf(kept, layer.groups);
    const removedMeans = columns.mean!.map((mean, j) =>
      mask[Math.floor(j / layer.groupSize)] ? 0 : mean,
    );
    await native.addMeanBias(handle, block, layer.site, removedMeans);
  }
  await sliceSite(session, index, block, layer, kept, null);
  return kept;
}

/** Gathers the site's statistics on the run's own hidden states, solves, and takes the states on. */
async function collectAndSolve(
  context: SolveContext,
  index: number,
  block: BlockHandle,
  plan: SitePlan,
): Promise<Outcome> {
  const { session, spec, streams } = context;
  const { layer } = plan;
  const { handle } = session.engine;
  const { site } = layer;
  const hidden = streams.hidden!;
  const width = widthOf(layer);
  const { rows: tokens, pageRows } = native.matrixShape(hidden);
  const { gram: withGram } = sumsOf(context);
  const sequential = solvesSequentially(spec);
  const { scratch } = session;
  const made: AnyHandle[] = [];
  const hold = <Handle extends AnyHandle>(handle: Handle) => {
    made.push(handle);
    return handle;
  };
  try {
    const target = streams.dense
      ? hold(await denseTarget(session, block, site, streams.dense, streams))
      : null;
    const residual = target ? session.architecture.hidden : 0;
    const statistics = hold(session.statistics(width, { gram: withGram, residual, scratch }));
    const ffn = refitsInputs(spec, site)
      ? makeFfnTokens(session, block, tokens, pageRows, scratch)
      : undefined;
    if (ffn) made.push(ffn.inputs, ffn.targets);
    const keep =
      sequential && !runsAgain(context, site)
        ? hold(session.matrix(tokens, width, pageRows, scratch))
        : undefined;
    await native.runSite(handle, block, site, {
      window: streams.window,
      hidden,
      advance: !sequential,
      statistics,
      keep,
      ...ffn,
      denseBefore: target ?? undefined,
      denseAfter: target ? streams.dense! : undefined,
      alpha: target ? spec.refit.alpha : 0,
      beta: target ? spec.refit.beta : 0,
    });
    let outcome: Outcome;
    if (withGram) {
      const sums = { statistics, metric: plan.metric };
      const solved = await withSolver(session, spec.refit.lambda, block, layer, sums, (solver) =>
        solve(context, index, block, plan, solver),
      );
      await native.free(statistics);
      outcome = await sliceAndRefit(context, index, block, plan, solved, ffn);
    } else {
      const columns = await siteStatistics(session, block, layer, statistics);
      const kept = await sliceByScores(context, index, block, plan, columns);
      outcome = { ...UNTOUCHED, kept };
    }
    await native.finishSite(handle, block, site);
    if (keep) {
      const columns = keptColumns(session, index, site, outcome.kept!);
      await native.applySite(handle, block, site, keep, columns, hidden);
    } else if (sequential) {
      await session.advanceSite(block, site, hidden, streams.window);
    }
    return outcome;
  } finally {
    for (const handle of made) await native.free(handle);
  }
}

/** Copies the dense states before the site and takes the originals through the dense site. */
async function denseTarget(
  session: Session,
  block: BlockHandle,
  site: Site,
  dense: MatrixHandle,
  { window, scratch }: Streams,
): Promise<MatrixHandle> {
  const { rows, cols, pageRows } = native.matrixShape(dense);
  const before = session.matrix(rows, cols, pageRows, scratch);
  return orRelease(before, async () => {
    await native.copyMatrix(session.engine.handle, dense, before);
    await session.advanceSite(block, site, dense, window);
    return before;
  });
}

/** A mask and the refit of the output map on it; the block is as it was. */
interface Solved {
  report: MaskReport;
  refit: NativeRefit;
  /** Whether the refit fits a bias. */
  bias: boolean;
}

async function solve(
  { session, spec: { mask, refit: recipe } }: SolveContext,
  index: number,
  block: BlockHandle,
  { layer, removed, metric }: SitePlan,
  solver: NativeSolver,
): Promise<Solved> {
  const hasBias = native.blockShape(block, `${layer.site}.outBias`) !== null;
  const bias = recipe.bias === 'add' || (recipe.bias === 'refit' && hasBias);
  const structure = structureOf(session.architecture, layer);
  const keep = layer.groups - removed;
  const problem = {
    solver,
    structure,
    budget: layer.cost * keep,
    bias,
    metric: metric ? mask.metric : ('plain' as const),
    place: { block: index, site: layer.site, keep },
  };
  const report: MaskReport =
    removed === 0
      ? { keep: new Uint8Array(layer.groups).fill(1), lambda: null, ridgeRaised: 0 }
      : await findMask(problem, mask);
  const refit =
    recipe.output === 'exact'
      ? await solver.refit(report.keep, { bias, stored: session.stored.matrices })
      : await solver.slice(report.keep);
  return { report, refit, bias };
}

/** Takes a solution over into the block; with the tokens of an FFN its input maps are refitted too. */
async function sliceAndRefit(
  { session, spec }: SolveContext,
  index: number,
  block: BlockHandle,
  { layer }: SitePlan,
  { report, refit: first, bias }: Solved,
  ffn: FfnTokens | undefined,
): Promise<Outcome> {
  const kept = keptIndices(report.keep);
  let refit = first;
  let inputRefit: Outcome['inputRefit'] = null;
  try {
    if (ffn) {
      await sliceSite(session, index, block, layer, kept, null);
      const refined = await refitInputs(session, spec.refit, block, layer, ffn, first, bias);
      refit = refined.refit;
      inputRefit = refined.report;
      await native.setOutput(session.engine.handle, block, layer.site, refit);
    } else {
      await sliceSite(session, index, block, layer, kept, refit);
    }
    const last = report.admm?.history.at(-1);
    return {
      kept,
      relativeError: refit.relativeError,
      ...(report.ridgeRaised > refit.ridgeRaised ? ridgeOf(report) : ridgeOf(refit)),
      swaps: report.swaps ?? null,
      admm: last
        ? {
            iterations: report.admm!.history.length,
            converged: report.admm!.converged,
            primal: last.primal,
            dual: last.dual,
            history: report.admm!.history,
          }
        : null,
      inputRefit,
    };
  } finally {
    refit.release();
  }
}

function ridgeOf({ lambda, ridgeRaised }: Pick<MaskReport, 'lambda' | 'ridgeRaised'>) {
  return { lambda, ridgeRaised };
}

export function fingerprint(kept: Int32Array): string {
  return createHash('sha256')
    .update(new Uint8Array(kept.buffer, kept.byteOffset, kept.byteLength))
    .digest('hex');
}
