/**
 * One site's turn: what it reads is summed, its weights are sliced to what is chosen by the sums, and the hidden states go on
 * through the result (method.md, section 1).
 */

import type { ExportPlan } from '../../checkpoint/export';
import type { Block, FfnTokens } from '../../engine/block';
import type { Matrix, MetricPlace } from '../../engine/matrix';
import type { SumKinds } from '../../engine/native-block';
import { disposeAll, orDispose, using } from '../../engine/owned';
import type { Session } from '../../engine/session';
import type { Architecture } from '../../model/architecture';
import { sitesOf } from '../../model/blocks';
import { sublayerAt, withoutSites } from '../../model/groups';
import type { Site } from '../../model/sublayers';
import type { Journal } from '../../pruning/journal/journal';
import type { RunSpec } from '../../spec';
import { type Layer, widthOf } from '../../spec/widths';
import type { Chosen, Fit, Shrunk, Solving, Sums } from '../front-end';
import { copyOf } from './copy';
import { siteStatistics } from './dense';
import { isOfExperts } from './experts';
import { makeFfnTokens, refitInputs } from './input-refit';
import { withSolver } from './site-solver';
import { keptColumns, sliceSite } from './slice';

/** The hidden states that a run carries from block to block. */
export interface Streams {
  window: number;
  /** Folder for hidden states; '' = in memory. */
  scratch: string;
  /** Of the model pruned so far (of the dense one when not sequential); null where nothing is calibrated. */
  hidden: Matrix | null;
  /** Of the dense model, before the site at hand; only with feedback. */
  dense: Matrix | null;
  /** One window that runs through what will be in the file. */
  check: Matrix;
}

export interface SolveContext {
  session: Session;
  spec: Solving;
  streams: Streams;
  layers: readonly Layer[];
  /** The model without what goes as a whole. */
  architecture: Architecture;
  /** Which has the finished blocks, and of what tensors they are. */
  journal: Pick<Journal, 'blockPath'>;
  plan: ExportPlan;
}

/** Whether a site reads what the blocks before it have become, and not what they were. */
export function solvesSequentially({ gather }: Pick<RunSpec, 'gather'>): boolean {
  return gather.inputs === 'sequential';
}

/** Whether a site's input maps are refitted too, so that what it reads has to go through it again. */
export function refitsInputs(
  { refit }: Pick<RunSpec, 'refit'>,
  architecture: Architecture,
  { block, site }: Layer,
): boolean {
  return refit.inputs.by !== 'none' && sublayerAt(architecture, block, site).mixer.kind === 'ffn';
}

/**
 * Whether the states go on through the finished site as a whole, and not by the inputs of its output map that the solve
 * kept: those have changed with the input maps or, on a GPU, take longer to come back than to be computed again. Of experts
 * none are kept.
 */
export function runsAgain({ session, spec }: SolveContext, layer: Layer): boolean {
  const { engine, architecture } = session;
  const onGpu = engine.device !== 'cpu';
  return onGpu || refitsInputs(spec, architecture, layer) || isOfExperts(architecture, layer);
}

/** Passes a site by that is gone: what follows the dense model goes through it. */
export async function dropSite(
  { session, spec, streams }: SolveContext,
  { block: index, site }: Layer,
): Promise<void> {
  const { window, hidden, dense } = streams;
  const followers = [dense, solvesSequentially(spec) ? null : hidden].filter((one) => one !== null);
  if (followers.length === 0) return;
  const { architecture } = session;
  const others = sitesOf(architecture, index).filter((one) => one !== site);
  const alone = withoutSites(
    architecture,
    others.map((other) => ({ block: index, site: other })),
  );
  await using(await session.loadBlock(index, alone), async (block) => {
    for (const states of followers) {
      await session.advanceSite(block, site, states, window, 'calibrating');
    }
  });
}

/** The sums that a solve makes of a site. */
export function sumsOf({ spec, streams }: SolveContext): SumKinds {
  return {
    collects: true,
    gram: spec.gather.statistics === 'gram',
    feedback: streams.dense !== null,
  };
}

/** Takes the columns as they are. */
export async function cutSite(
  session: Session,
  index: number,
  block: Block,
  layer: Layer,
  { kept, means }: Chosen,
): Promise<void> {
  if (means) await block.addMeanBias(layer.site, means);
  await sliceSite(session, index, block, layer, kept, null);
}

/** Gathers the site's sums on the run's own hidden states, has it solved, and takes the states on. */
export async function collectAndSolve<C extends Chosen>(
  context: SolveContext,
  index: number,
  block: Block,
  layer: Layer,
  choose: (sums: Sums) => Promise<C>,
): Promise<Shrunk<C>> {
  const { session, spec, streams } = context;
  const { site } = layer;
  const hidden = streams.hidden!;
  const width = widthOf(layer);
  const { gram: withGram } = sumsOf(context);
  const sequential = solvesSequentially(spec);
  const { scratch } = session;
  const made: AsyncDisposable[] = [];
  const hold = <O extends AsyncDisposable>(owned: O) => {
    made.push(owned);
    return owned;
  };
  try {
    const target = streams.dense
      ? hold(await denseTarget(session, block, site, streams.dense, streams))
      : null;
    const residual = target ? session.architecture.hidden : 0;
    const sums = { gram: withGram, residual, scratch, over: hidden };
    const statistics = hold(session.statistics(width, sums));
    const ffn = refitsInputs(spec, session.architecture, layer)
      ? makeFfnTokens(session, block, site, hidden, scratch)
      : undefined;
    if (ffn) made.push(ffn.inputs, ffn.targets);
    const keep =
      sequential && !runsAgain(context, layer)
        ? hold(session.matrixBeside(hidden, width, scratch))
        : undefined;
    await block.run(site, {
      purpose: 'calibrating',
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
    let chosen: C;
    let fit: Fit | null = null;
    if (withGram) {
      const hasBias = block.shape(`${site}.outBias`) !== null;
      const known = { statistics, metric: metricOf(context, layer) };
      chosen = await withSolver(spec.refit.lambda, block, layer, known, (solver) =>
        choose({ by: 'gram', solver, hasBias }),
      );
      await statistics[Symbol.asyncDispose]();
      fit = await sliceAndRefit(context, index, block, layer, chosen, ffn);
    } else {
      const columns = await siteStatistics(block, layer, statistics);
      chosen = await choose({ by: 'moments', columns });
      await cutSite(session, index, block, layer, chosen);
    }
    await block.finish(site);
    if (keep) {
      const columns = keptColumns(session, index, site, chosen.kept);
      await block.apply(site, keep, columns, hidden, 'calibrating');
    } else if (sequential) {
      await session.advanceSite(block, site, hidden, streams.window, 'calibrating');
    }
    return { chosen, fit };
  } finally {
    await disposeAll(made);
  }
}

function metricOf({ session, spec, layers }: SolveContext, layer: Layer): MetricPlace | null {
  const { metrics: matrix } = spec;
  return matrix && { matrix, row: layers.indexOf(layer) * session.architecture.hidden };
}

/** Copies the dense states before the site and takes the originals through the dense site. */
async function denseTarget(
  session: Session,
  block: Block,
  site: Site,
  dense: Matrix,
  { window, scratch }: Streams,
): Promise<Matrix> {
  const before = await copyOf(session, dense, scratch);
  return orDispose(before, async () => {
    await session.advanceSite(block, site, dense, window, 'calibrating');
    return before;
  });
}

/** Takes what was chosen over into the block; with the tokens of an FFN its input maps are refitted too. */
async function sliceAndRefit(
  { session, spec }: SolveContext,
  index: number,
  block: Block,
  layer: Layer,
  { kept, refit: first, bias }: Chosen,
  ffn: FfnTokens | undefined,
): Promise<Fit> {
  let refit = first!;
  let inputRefit: Fit['inputRefit'] = null;
  try {
    if (ffn) {
      await sliceSite(session, index, block, layer, kept, null);
      const refined = await refitInputs(session, spec.refit, block, layer, ffn, refit, bias);
      refit = refined.refit;
      inputRefit = refined.report;
      await block.setOutput(layer.site, refit);
    } else {
      await sliceSite(session, index, block, layer, kept, refit);
    }
    const { relativeError, lambda, ridgeRaised } = refit;
    return { relativeError, lambda, ridgeRaised, inputRefit };
  } finally {
    refit[Symbol.dispose]();
  }
}
