/** Block after block: solved into the journal, piece by piece, or run through where the journal has it already. */

import { using } from '../engine/engine';
import { type BlockHandle, type MatrixHandle, native } from '../engine/native';
import { nextTokens } from '../engine/session';
import type { BlockKeep } from '../model/groups';
import { SITES, type Site } from '../model/sublayers';
import { loadFinished, putBlock } from '../models/decoders/blocks';
import { replayBlock } from '../models/decoders/replay';
import {
  type SitePlan,
  type SolveContext,
  type Streams,
  solveSite,
} from '../models/decoders/solve';
import { feeds } from '../options/refit';
import { stageReporter } from '../progress';
import { runIdentity } from '../pruning/journal/identity';
import type { LayerStats } from '../pruning/result';
import { ridgeWarnings } from '../pruning/ridge-warning';
import { type Layer, layerAt } from '../spec/widths';
import type { Decision } from './allocate';
import type { Stage, Work } from './stage';

export interface Solved {
  keeps: BlockKeep[];
  layerStats: LayerStats[];
  /** Mean NLL of the last calibration window through what was written. */
  expected: number;
  resumedBlocks: number[];
}

export const solve: Stage<Decision, Solved> = {
  name: 'solve',
  identity: runIdentity,

  async run(work, decision) {
    const solved = await solveBlocks(work, decision);
    ridgeWarnings(solved.layerStats, work.refit.lambda).forEach(work.warn);
    return solved;
  },
};

async function solveBlocks(work: Work, decision: Decision): Promise<Solved> {
  const { session, journal, layers, ids, window } = work;
  const { blocks, hidden } = session.architecture;
  const { tensors } = decision.plan;
  const resumed = journal.finished;
  const streams = await openStreams(work, decision.columns !== null || resumed === blocks.length);
  const context: SolveContext = { session, spec: work, streams };
  const planFor = (index: number) => (site: Site) => {
    const at = layerAt(layers, index, site);
    return at === -1 ? null : planOf(at, layers, decision, hidden);
  };
  try {
    const report = stageReporter(work.onProgress, 'solve', blocks.length);
    const keeps: BlockKeep[] = [];
    const layerStats: LayerStats[] = [];
    for (let index = 0; index < blocks.length; index++) {
      work.engine.throwIfAborted();
      if (index < resumed) {
        const record = await journal.block(index);
        const finished = () => loadFinished(journal, session, tensors, index, record);
        await replayBlock(context, index, record.keep, planFor(index), finished);
        keeps.push(record.keep);
        layerStats.push(...record.stats);
      } else {
        await using(await session.loadBlock(index), async (block) => {
          const solved = await solveBlock(context, index, block, planFor(index));
          await session.advance(block, streams.check, window);
          await putBlock(journal, session, tensors, index, block, solved);
          keeps.push(solved.keep);
          layerStats.push(...solved.stats);
        });
      }
      report(index + 1, `block ${index + 1} of ${blocks.length}`, index);
    }
    const last = ids.subarray(ids.length - window);
    const { nll } = await session.score(streams.check, nextTokens(last, window));
    const resumedBlocks = [...keeps.keys()].slice(0, resumed);
    return { keeps, layerStats, expected: meanOf(nll), resumedBlocks };
  } finally {
    for (const matrix of [streams.hidden, streams.dense, streams.check]) {
      if (matrix) await native.free(matrix);
    }
  }
}

async function solveBlock(
  context: SolveContext,
  index: number,
  block: BlockHandle,
  planFor: (site: Site) => SitePlan | null,
): Promise<{ keep: BlockKeep; stats: LayerStats[] }> {
  const keep: BlockKeep = {};
  const stats: LayerStats[] = [];
  for (const site of SITES) {
    const solved = await context.session.engine.calibrating(() =>
      solveSite(context, index, block, site, planFor(site)),
    );
    if (!solved) continue;
    keep[site] = solved.kept;
    stats.push(solved.stats);
  }
  return { keep, stats };
}

/** `idle`: no site will read hidden states. */
async function openStreams(work: Work, idle: boolean): Promise<Streams> {
  const { engine, session, ids, window, gather, refit, states } = work;
  const needsStates = !idle && gather.statistics !== 'none';
  const feedback = !idle && feeds(refit);
  const made: MatrixHandle[] = [];
  const embed = async (tokens: Int32Array, scratch: string) => {
    made.push(await session.embed(tokens, window, scratch));
    return made.at(-1)!;
  };
  const calibrated = () => engine.calibrating(() => embed(ids, states));
  try {
    return {
      window,
      scratch: states,
      hidden: needsStates ? await calibrated() : null,
      dense: feedback ? await calibrated() : null,
      check: await embed(ids.subarray(ids.length - window), ''),
    };
  } catch (error) {
    made.forEach(native.release);
    throw error;
  }
}

function planOf(
  at: number,
  layers: readonly Layer[],
  { allocation, survey, energies, columns }: Decision,
  hidden: number,
): SitePlan {
  const removed = allocation.removed[at]!;
  return {
    layer: layers[at]!,
    removed,
    energy: energies ? energies[at]! : null,
    weight: survey ? survey.weights[at]! : null,
    predicted: survey ? survey.weights[at]! * survey.curves[at]![removed]! : null,
    metric: survey?.metrics ? { matrix: survey.metrics, row: at * hidden } : null,
    columns: columns ? columns[at]! : null,
  };
}

function meanOf(nll: Float64Array): number {
  const values = nll.filter((value) => !Number.isNaN(value));
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
