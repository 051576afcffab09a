/** Part after part: solved into the journal, layer by layer, or run through where the journal has it already. */

import type { Metric } from '../engine/native-solver';
import type { Solver } from '../engine/solver';
import { findMask, type MaskReport } from '../masks';
import { type ExpertTrial, findExperts } from '../masks/experts';
import { scoreOf } from '../masks/scores';
import { keepBest } from '../masks/select';
import type { SiteStatistics } from '../masks/statistics';
import type { BlockKeep } from '../model/groups';
import { expertAt, outerSite } from '../model/sublayers';
import type { Chosen, Fit, Part, Pass, Sums } from '../models/front-end';
import { feeds } from '../options/refit';
import { stageReporter } from '../progress';
import { joinedExperts } from '../pruning/expert-stats';
import { expertWarnings } from '../pruning/expert-tokens';
import type { BlockRecord } from '../pruning/journal/journal';
import type { LayerStats } from '../pruning/result';
import { ridgeWarnings } from '../pruning/ridge-warning';
import { fitOf } from '../solver/fit';
import { LAMBDA } from '../solver/ridge';
import { joinsExperts, keptIndices, type Layer, maskOf } from '../spec/widths';
import type { Decision } from './allocate';
import type { Stage, Work } from './stage';

export interface Solved {
  keeps: BlockKeep[];
  layerStats: LayerStats[];
  /** Loss of what is written on a little of the calibration data. */
  expected: number;
  resumedBlocks: number[];
}

export const solve: Stage<Decision, Solved> = {
  name: 'solve',

  async run(work, decision) {
    const solved = await solveParts(work, decision);
    const { layerStats } = solved;
    const warnings = [
      ...ridgeWarnings(layerStats, work.refit.lambda ?? LAMBDA),
      ...expertWarnings(layerStats),
    ];
    warnings.forEach(work.warn);
    return solved;
  },
};

async function solveParts(work: Work, decision: Decision): Promise<Solved> {
  const { network, engine, gather, refit } = work;
  const { parts, part } = network;
  const resumed = work.journal.finished;
  const plans = plansOf(work, decision);
  const metrics = decision.survey?.metrics ?? null;
  const idle = decision.columns !== null || resumed === parts;
  await using pass = await decision.shrinking.begin({ gather, refit, metrics, idle });
  const report = stageReporter(work.onProgress, 'solve', parts);
  const keeps: BlockKeep[] = [];
  const layerStats: LayerStats[] = [];
  for (let index = 0; index < parts; index++) {
    engine.throwIfAborted();
    const mine = plans.filter(({ layer }) => layer.block === index);
    const take = index < resumed ? replayPart : solvePart;
    const { keep, stats } = await take(work, pass, index, mine);
    keeps.push(keep);
    layerStats.push(...stats);
    report(index + 1, `${part} ${index + 1} of ${parts}`, index, index < resumed);
  }
  const expected = await pass.measure();
  const resumedBlocks = [...keeps.keys()].slice(0, resumed);
  return { keeps, layerStats: joinedExperts(layerStats), expected, resumedBlocks };
}

/** Out of the journal. */
async function replayPart(
  work: Work,
  pass: Pass,
  index: number,
  plans: readonly LayerPlan[],
): Promise<BlockRecord> {
  const record = await work.journal.block(index);
  const changed = plans.filter((plan) => !isUntouched(work, plan));
  await pass.replay(
    index,
    record,
    changed.map(({ layer }) => layer),
  );
  return record;
}

/** Into the journal. */
async function solvePart(
  work: Work,
  pass: Pass,
  index: number,
  plans: readonly LayerPlan[],
): Promise<Pick<BlockRecord, 'keep' | 'stats'>> {
  const keep: BlockKeep = {};
  const stats: LayerStats[] = [];
  await using part = await pass.open(index);
  for (const plan of plans) {
    if (isGone(keep, plan)) continue;
    const solved = await solveLayer(work, part, plan);
    keep[plan.layer.site] = solved.kept;
    stats.push(solved.stats);
  }
  const { roles, chunks } = await part.finish();
  await work.journal.putBlock(index, { keep, stats, roles }, chunks);
  return { keep, stats };
}

interface LayerPlan {
  layer: Layer;
  /** Groups to remove. */
  removed: number;
  /** ε_l, w_l and what the survey predicted for the removals. */
  energy: number | null;
  weight: number | null;
  predicted: number | null;
  /** The same of other removals. */
  loss: ((removed: number) => number) | null;
  /** What its mask is found by. */
  metric: Metric;
  /** Column statistics of the dense survey, where the method scores on them. */
  columns: SiteStatistics | null;
}

function plansOf(
  { network, mask }: Work,
  { allocation, survey, energies, columns, gone }: Decision,
): LayerPlan[] {
  const metric = survey?.metrics ? mask.metric : 'plain';
  const { layers } = network;
  const plans = layers.map((layer, at) => {
    const removed = allocation.removed[at]!;
    const loss = survey && ((count: number) => survey.weights[at]! * survey.curves[at]![count]!);
    return {
      layer,
      removed,
      energy: energies ? energies[at]! : null,
      weight: survey ? survey.weights[at]! : null,
      predicted: gone.get(at) ?? loss?.(removed) ?? null,
      loss,
      metric,
      columns: columns ? columns[at]! : null,
    };
  });
  return joinsExperts(layers) ? plans.map((plan) => ofEach(plan, plans)) : plans;
}

/** Where whole experts go too, those inside of a block lose as much, whichever of them stay. */
function ofEach(plan: LayerPlan, plans: readonly LayerPlan[]): LayerPlan {
  const { block, site } = plan.layer;
  if (expertAt(site) === null) return plan;
  const mine = plans.filter(({ layer }) => layer.block === block);
  const whole = mine.find(({ layer }) => layer.site === outerSite(site))!;
  const { removed } = mine.find(({ layer }) => expertAt(layer.site) === 0)!;
  // They take over the tokens of those that go.
  const more = whole.layer.groups / (whole.layer.groups - whole.removed);
  const predicted = plan.loss === null ? null : plan.loss(removed) * more;
  return { ...plan, removed, predicted };
}

/** Whether it is inside an expert that has gone. */
function isGone({ experts }: BlockKeep, { layer: { site } }: LayerPlan): boolean {
  const expert = expertAt(site);
  return expert !== null && experts?.includes(expert) === false;
}

/** Whether a layer's weights stay as they are, but for rounding. */
function isUntouched({ refit }: Pick<Work, 'refit'>, { removed }: LayerPlan): boolean {
  return removed === 0 && !feeds(refit);
}

async function solveLayer(
  work: Work,
  part: Part,
  plan: LayerPlan,
): Promise<{ kept: Int32Array; stats: LayerStats }> {
  const start = performance.now();
  const { layer, removed, energy, weight, predicted } = plan;
  const { kept, ...outcome } = await shrinkLayer(work, part, plan);
  const { block: index, site, groups } = layer;
  const seconds = (performance.now() - start) / 1000;
  const about = { index, site, removed, groups, energy, weight, predicted };
  return { kept, stats: { ...about, ...outcome, seconds } };
}

/** What a solve did. */
type Outcome = Pick<
  LayerStats,
  'relativeError' | 'lambda' | 'ridgeRaised' | 'swaps' | 'admm' | 'inputRefit' | 'expertTokens'
> & { kept: Int32Array };

const UNMEASURED = {
  relativeError: null,
  lambda: null,
  ridgeRaised: 0,
  swaps: null,
  admm: null,
  inputRefit: null,
  expertTokens: null,
};

async function shrinkLayer(work: Work, part: Part, plan: LayerPlan): Promise<Outcome> {
  const { layer, removed, columns } = plan;
  if (removed === layer.groups) {
    await part.drop!(layer);
    return { ...UNMEASURED, kept: new Int32Array() };
  }
  if (isUntouched(work, plan)) {
    await part.leave(layer);
    return { ...UNMEASURED, kept: Int32Array.from({ length: layer.groups }, (_, g) => g) };
  }
  if (columns) {
    const chosen = byScores(work, plan, columns);
    await part.cut(layer, chosen);
    return { ...UNMEASURED, kept: chosen.kept };
  }
  const { chosen, fit, tokens } = await part.shrink(layer, (sums) => choose(work, plan, sums));
  const { kept, report, trials } = chosen;
  const routed = tokens === undefined ? null : { expertTokens: [tokens] };
  return { kept, ...UNMEASURED, ...trials, ...routed, ...(fit && measured(report, fit)) };
}

interface Choice extends Chosen {
  /** Of a mask that was searched for; null: scores or trials decided. */
  report: MaskReport | null;
  /** What was measured of experts. */
  trials?: Pick<LayerStats, 'relativeError' | 'expertTokens'>;
}

async function choose(work: Work, plan: LayerPlan, sums: Sums): Promise<Choice> {
  if (sums.by === 'order') return inOrder(plan);
  if (sums.by === 'trials') return byTrials(work, plan, sums.trial);
  return sums.by === 'gram' ? bySolver(work, plan, sums) : byScores(work, plan, sums.columns);
}

/** Keeps the first units; the front end knows what becomes of the weights. */
function inOrder({ layer, removed }: LayerPlan): Choice {
  const kept = Int32Array.from({ length: layer.groups - removed }, (_, unit) => unit);
  return { kept, refit: null, bias: false, means: null, report: null };
}

/** Keeps whole experts, as they are. */
async function byTrials(
  { mask }: Work,
  { removed }: LayerPlan,
  trial: ExpertTrial,
): Promise<Choice> {
  const { kept, tokens, relativeError } = await findExperts(mask.experts!, trial, removed);
  const trials = { relativeError, expertTokens: [...tokens] };
  return { kept, refit: null, bias: false, means: null, report: null, trials };
}

/** Keeps the groups of the best one-shot scores, as they are. */
function byScores(
  { mask: { search }, refit }: Work,
  { layer, removed }: LayerPlan,
  columns: SiteStatistics,
): Choice {
  const kept = keepBest(scoreOf(search).of(columns), removed);
  const mask = maskOf(kept, layer.groups);
  const gone = (mean: number, j: number) => (mask[Math.floor(j / layer.groupSize)] ? 0 : mean);
  const means = refit.output === 'mean-bias' ? columns.mean!.map(gone) : null;
  return { kept, refit: null, bias: false, means, report: null };
}

/** A mask, and the refit on it. */
async function bySolver(
  { network, mask, refit: recipe }: Work,
  { layer, removed, metric }: LayerPlan,
  { solver, hasBias }: { solver: Solver; hasBias: boolean },
): Promise<Choice> {
  const { block, site, groups, cost } = layer;
  const bias = recipe.bias === 'add' || (recipe.bias === 'refit' && hasBias);
  const structure = network.structureOf(layer);
  const keep = groups - removed;
  const place = { block, site, keep };
  const problem = { solver, structure, budget: cost * keep, bias, metric, place };
  const report: MaskReport =
    removed === 0
      ? { keep: new Uint8Array(groups).fill(1), lambda: null, ridgeRaised: 0 }
      : await findMask(problem, mask);
  const exact = recipe.output === 'exact';
  const refit = await fitOf(solver, report.keep, { exact, bias, stored: network.stored });
  return { kept: keptIndices(report.keep), refit, bias, means: null, report };
}

function measured(report: MaskReport | null, fit: Fit) {
  const { relativeError, inputRefit } = fit;
  const ridge = report && report.ridgeRaised > fit.ridgeRaised ? report : fit;
  const admm = report?.admm;
  const last = admm?.history.at(-1);
  return {
    relativeError,
    lambda: ridge.lambda,
    ridgeRaised: ridge.ridgeRaised,
    swaps: report?.swaps ?? null,
    admm: last
      ? {
          iterations: admm!.history.length,
          converged: admm!.converged,
          primal: last.primal,
          dual: last.dual,
          history: admm!.history,
        }
      : null,
    inputRefit,
  };
}
