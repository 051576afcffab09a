/** What the dense survey needs. */

import {
  inTurn,
  type Needs,
  type NeedsOf,
  NOTHING,
  type Tokens,
  times,
  together,
} from '../../../engine/needs';
import { passesOfCurve } from '../../../masks/experts';
import { STEP, timesMeasured } from '../../../masks/removal-order';
import { sitesOf } from '../../../model/blocks';
import { outerSite, type Site } from '../../../model/sublayers';
import { isWhole, type Layer, layersIn, widthOf } from '../../../spec/widths';
import { trialRemovals } from '../../../stages/curves';
import { triedExperts } from '../../../stages/expert-curves';
import { steppedLayers } from '../../../stages/search';
import { shareOfTrials, TOGETHER } from '../batches';
import { jointTokens } from '../joint';
import { probeTokens } from '../probe';
import { triedLayers } from '../tried';
import { sampleSize } from '../vocabulary';
import { channelTurnNeeds, expertRefitNeeds, trialsNeeds } from './experts';
import { solverNeeds } from './solve';
import {
  eachBlock,
  inScratch,
  layerOf,
  needsOf,
  type PlanInput,
  problemOf,
  type StageNeeds,
  throughBlocks,
} from './stage';

export function surveyNeeds(input: PlanInput, paged: boolean): StageNeeds {
  const { survey, window } = input;
  const ask = needsOf(input, paged);
  if (survey.curves !== 'sweep') return columnsNeeds(input, ask);
  const states = inScratch(surveyTokens(input), window);
  if (survey.experts) return expertsNeeds(input, ask, states);
  if (survey.layerWeights === 'fisher') return fisherNeeds(input, ask, states);
  if (survey.layerWeights === 'probe') return probeNeeds(input, ask, states);
  const needs = inTurn(
    ask.ends('embed', states),
    eachBlock(input, (block) => siteBySite(input, ask, block, states, null)),
  );
  return staged(needs, statesOnTheirWay(ask, states), ['hidden states']);
}

/** Bytes of states, with what they keep of a block's input. */
function statesOnTheirWay(ask: NeedsOf, { rows }: Tokens): number {
  return together(ask.states(rows), ask.blockInput(rows)).memory;
}

/** Column moments for a method that scores on dense statistics. */
function columnsNeeds(input: PlanInput, ask: NeedsOf): StageNeeds {
  const { survey, tokens, window } = input;
  if (survey.statistics === 'order') return orderNeeds(input, ask);
  if (survey.statistics === 'none') {
    return staged(
      eachBlock(input, (block) => ask.block(block)),
      0,
      [],
    );
  }
  const states = inScratch(tokens, window);
  const sites = (block: number) =>
    sitesOf(input.architecture, block).map((site) => {
      const at = layerOf(input, block, site);
      if (at === null) return ask.site(block, site, states);
      const width = widthOf(input.layers[at]!);
      return together(
        ask.statistics(width, { gram: false }),
        ask.site(block, site, states, { collects: true }),
      );
    });
  const needs = inTurn(
    ask.ends('embed', states),
    eachBlock(input, (block) => together(ask.block(block), inTurn(...sites(block)))),
  );
  return staged(needs, statesOnTheirWay(ask, states), ['hidden states']);
}

/** A site after the other, each with its own sums; `trial`: tokens of a trial of each, since one of blocks that are alike may be tried out. */
function siteBySite(
  input: PlanInput,
  ask: NeedsOf,
  block: number,
  states: Tokens,
  trial: Tokens | null,
  share: readonly Layer[] = input.layers,
): Needs {
  const jobs = (at: number) => {
    const layer = input.layers[at]!;
    if (!share.includes(layer)) return null;
    const curve = curveNeeds(input, ask, layer, false);
    return trial ? inTurn(curve, trialNeeds(input, ask, layer, trial)) : curve;
  };
  const past = (site: Site) => (trial ? ask.site(block, site, trial) : NOTHING);
  return sumsBySite(input, ask, block, states, { jobs, past });
}

/** The states' way through a block. `jobs`: on the sums of a layer, as long as they live; null: it has none. */
function sumsBySite(
  input: PlanInput,
  ask: NeedsOf,
  block: number,
  states: Tokens,
  { jobs, past }: { jobs(at: number): Needs | null; past(site: Site): Needs },
): Needs {
  const sites = sitesOf(input.architecture, block).map((site) => {
    const at = layerOf(input, block, site);
    const own = at === null ? null : jobs(at);
    if (at === null || own === null) return inTurn(ask.site(block, site, states), past(site));
    const sums = ask.statistics(widthOf(input.layers[at]!), { gram: true });
    const summed = ask.site(block, site, states, { collects: true, gram: true });
    return inTurn(together(sums, inTurn(summed, own)), past(site));
  });
  return together(ask.block(block), inTurn(...sites));
}

/** A layer's solver and its sweep, the sums being there. */
function curveNeeds(
  { architecture }: PlanInput,
  ask: NeedsOf,
  layer: Layer,
  fisher: boolean,
): Needs {
  const problem = problemOf(architecture, layer, { cross: false, fisher });
  const removed = layer.allowed.at(-1)! * layer.groupSize;
  return inTurn(ask.solver('createSolver', problem), ask.sweep(problem, removed));
}

/** Curves of whole experts, with a refit of those that stay without some, and of the channels inside each; and a trial of each layer then. */
function expertsNeeds(input: PlanInput, ask: NeedsOf, states: Tokens): StageNeeds {
  const { layers, survey, window } = input;
  const trial =
    survey.layerWeights === 'probe' ? inScratch(probeTokens(states.rows, window), window) : null;
  const ofLayer = (block: number, site: Site) => {
    const past = trial ? ask.site(block, site, trial) : NOTHING;
    const on = inTurn(ask.site(block, site, states), past);
    const own = layersIn(layers, block).filter((layer) => outerSite(layer.site) === site);
    const [whole, inside] = own;
    if (!whole) return on;
    const { groups, allowed } = whole;
    const turn = inside
      ? channelTurnNeeds(ask, inside, groups, states, {
          gram: true,
          solve: () => curveNeeds(input, ask, inside, false),
        })
      : NOTHING;
    const trials = trialsNeeds(ask, whole, 1 + passesOfCurve(allowed.at(-1)!), states, true);
    const refit = expertRefitNeeds(input, ask, whole, triedExperts(whole), states);
    const start = trial ? inTurn(ask.copyStates(trial), past) : NOTHING;
    return inTurn(ask.copyStates(states), on, times(groups, turn), trials, refit, start);
  };
  const needs = inTurn(
    ask.ends('embed', states),
    eachBlock(input, (block) => {
      const sites = sitesOf(input.architecture, block).map((site) => ofLayer(block, site));
      return together(ask.block(block), inTurn(...sites));
    }),
    trial ? trialsOf(input, ask, trial, layers.filter(isWhole).length) : NOTHING,
  );
  // A copy of them, and what is missing of an output.
  const own = statesOnTheirWay(ask, states) + 2 * ask.states(states.rows).memory;
  const scratch = own + (trial ? trialStates(ask, trial) : 0);
  return staged(needs, scratch, ['hidden states']);
}

/** Fisher metrics of all sites, and curves in them. */
function fisherNeeds(input: PlanInput, ask: NeedsOf, states: Tokens): StageNeeds {
  const { architecture, survey, layers } = input;
  const { hidden } = architecture;
  // The sums of both sites and of the gradients there, while the gradient comes back.
  const backward = (block: number) => {
    const own = layersIn(layers, block);
    const dims = [...sitesOf(architecture, block).map(() => hidden), ...own.map(widthOf)];
    const sums = dims.map((dim) => ({ dim, gram: true, residual: 0 }));
    const until = inTurn(...own.map((layer) => curveNeeds(input, ask, layer, true)));
    return ask.backward(block, states, sums, { until });
  };
  const { needs, scratch } = backwardsNeeds(input, ask, states, backward);
  const metrics = survey.selection === 'fisher' ? layers.length : 1;
  const kept = scratch + ask.matrix(metrics * hidden, hidden).memory;
  return staged(needs, kept, ['hidden states', 'gradients', 'Fisher metrics']);
}

/** Gradients of the dense model, and again and again of what is left of it. */
function orderNeeds(input: PlanInput, ask: NeedsOf): StageNeeds {
  const states = inScratch(surveyTokens(input), input.window);
  const backward = (block: number) => {
    const sums = layersIn(input.layers, block).map(widthOf);
    const each = sums.map((dim) => ({ dim, gram: false, residual: 0 }));
    return ask.backward(block, states, each, { factors: 'outputs' });
  };
  const { needs, scratch } = backwardsNeeds(input, ask, states, backward);
  const passes = timesMeasured(input.layers);
  const left = passes * (1 - (STEP * (passes - 1)) / 2);
  return staged(times(left, needs), scratch, ['hidden states', 'gradients']);
}

/** Forward without any sums, and back; `scratch`: bytes of what is kept in between. */
function backwardsNeeds(
  input: PlanInput,
  ask: NeedsOf,
  states: Tokens,
  backward: (block: number) => Needs,
): Pick<StageNeeds, 'needs' | 'scratch'> {
  const both = (block: number) =>
    together(ask.block(block), inTurn(ask.sites(block, states), backward(block)));
  const needs = inTurn(
    ask.ends('embed', states),
    ask.copyStates(states),
    eachBlock(input, both),
    ask.ends('headGradient', states),
  );
  const { length } = input.architecture.blocks;
  const kept = together(ask.states((length + 2) * states.rows), ask.blockInput(states.rows));
  return { needs, scratch: kept.memory };
}

/** Curves, and the weight of each layer by a trial that runs on through the model. */
function probeNeeds(input: PlanInput, ask: NeedsOf, states: Tokens): StageNeeds {
  const { layers, architecture, rank, window } = input;
  const trial = inScratch(probeTokens(states.rows, window), window);
  const tried = triedLayers(layers);
  const isTried = (layer: Layer) => tried.has(layer);
  const share = rank
    ? shareOfTrials(layers, architecture.blocks.length, rank, isTried).layers
    : layers;
  const blocksOf = (block: number) => siteBySite(input, ask, block, states, trial, share);
  const needs = inTurn(
    ask.ends('embed', states),
    // Blocks that are alike are asked for once, and of a rank's share they are not.
    rank
      ? inTurn(...architecture.blocks.map((_, block) => blocksOf(block)))
      : eachBlock(input, blocksOf),
    trialsOf(input, ask, trial, share.filter(isTried).length),
  );
  const scratch = statesOnTheirWay(ask, states) + trialStates(ask, trial);
  return staged(needs, scratch, ['hidden states']);
}

/** A trial of every whole sublayer, and again after each that goes: for half of what has to go, as a guess. */
export function depthNeeds(input: PlanInput, paged: boolean): StageNeeds {
  const { layers, evenly, window, tokens } = input;
  const ask = needsOf(input, paged);
  const trial = inScratch(probeTokens(tokens, window), window);
  const whole = layers.reduce((sum, { cost, groups }) => sum + cost * groups, 0);
  const goes = layers.reduce((sum, { cost }, at) => sum + cost * evenly[at]!, 0);
  const rounds = 1 + Math.round((layers.length * goes) / (2 * whole));
  const round = inTurn(
    ask.ends('embed', trial),
    throughBlocks(input, ask, trial),
    trialsOf(input, ask, trial, layers.length),
  );
  return staged(times(rounds, round), trialStates(ask, trial), ['hidden states']);
}

/** Two passes of half the survey's tokens, with a mask of each layer. */
export function halvesNeeds(input: PlanInput, paged: boolean): StageNeeds {
  const { window } = input;
  const ask = needsOf(input, paged);
  const windows = surveyTokens(input) / window;
  const states = inScratch(Math.ceil(windows / 2) * window, window);
  const jobs = (at: number) => solverNeeds(input, ask, at, false);
  const half = inTurn(
    ask.ends('embed', states),
    eachBlock(input, (block) =>
      sumsBySite(input, ask, block, states, { jobs, past: () => NOTHING }),
    ),
  );
  return staged(times(2, half), statesOnTheirWay(ask, states), ['hidden states']);
}

/** In every round, and once at its end: all layers pruned at once, and beside that each by a step more in a model of its own. */
export function searchNeeds(input: PlanInput, paged: boolean): StageNeeds {
  const { layers, architecture, survey, window, tokens, search } = input;
  const ask = needsOf(input, paged);
  const { sums, measuring } = jointTokens(tokens, window, survey.surveyTokens);
  const states = inScratch(sums, window);
  const trial = inScratch(measuring, window);
  const others = steppedLayers(layers.map(({ site }) => ({ scope: site }))).length;
  const blockOf = (block: number, beside: number) => {
    const all = (site: Site) => times(1 + beside / 2, ask.site(block, site, trial));
    return sumsBySite(input, ask, block, states, {
      jobs(at) {
        const layer = layers[at]!;
        const trials = times(1 + beside / layers.length, trialNeeds(input, ask, layer, trial));
        return inTurn(curveNeeds(input, ask, layer, false), trials, all(layer.site));
      },
      past: (site) => (layerOf(input, block, site) === null ? all(site) : NOTHING),
    });
  };
  const vocab = sampleSize(architecture.vocab);
  const round = (beside: number) =>
    inTurn(
      ask.ends('embed', states),
      throughBlocks(input, ask, trial),
      ask.ends('expectHead', trial, vocab),
      eachBlock(input, (block) => blockOf(block, beside)),
      times(1 + beside, ask.ends('divergenceFrom', trial, vocab)),
    );
  const { rows } = trial;
  const own = together(ask.states((3 + others) * rows), ask.blockInput((2 + others) * rows));
  const scratch = statesOnTheirWay(ask, states) + own.memory;
  return staged(inTurn(times(search, round(others)), round(0)), scratch, ['hidden states']);
}

/** The reference; then every trial from its own block on, through half of them on average. */
function trialsOf(input: PlanInput, ask: NeedsOf, trial: Tokens, trials: number): Needs {
  const vocab = sampleSize(input.architecture.vocab);
  return inTurn(
    times(1 + trials / 2, throughBlocks(input, ask, trial)),
    ask.ends('expectHead', trial, vocab),
    ask.copyStates(trial),
    times(trials, ask.ends('divergenceFrom', trial, vocab)),
  );
}

/** Bytes of the dense model's states, its predictions, one trial's and those on their way. */
function trialStates(ask: NeedsOf, { rows }: Tokens): number {
  return together(ask.states((3 + TOGETHER) * rows), ask.blockInput((2 + TOGETHER) * rows)).memory;
}

/** The start of a trial, the block and its sums being there: the refit, then its site in a block of its own. */
function trialNeeds({ architecture }: PlanInput, ask: NeedsOf, layer: Layer, trial: Tokens): Needs {
  const { block, site, groups, groupSize } = layer;
  const problem = problemOf(architecture, layer, { cross: false, fisher: false });
  const kept = (groups - trialRemovals(layer, null)) * groupSize;
  const held = ask.solver('solver', problem);
  const run = inTurn(ask.refit(problem, kept), together(held, ask.site(block, site, trial)));
  return inTurn(together(ask.block(block), run), together(held, ask.copyStates(trial)));
}

function staged(needs: Needs, scratch: number, paged: string[]): StageNeeds {
  const tiles = needs.scratch > 0;
  return {
    needs,
    scratch,
    paged: [
      ...paged,
      ...(tiles ? ['Gram matrices and factors', 'weights of the block at hand'] : []),
    ],
  };
}

function surveyTokens({ survey, window, tokens }: PlanInput): number {
  return Math.min(tokens, Math.max(1, Math.floor(survey.surveyTokens / window)) * window);
}
