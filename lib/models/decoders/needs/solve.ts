/** What solving needs, block by block, with what goes into the journal of each. */

import {
  heldRows,
  inTurn,
  type Needs,
  type NeedsOf,
  NOTHING,
  type Tokens,
  times,
  together,
} from '../../../engine/needs';
import { stepsOf } from '../../../masks';
import { passesOf } from '../../../masks/experts';
import { ffnInputs } from '../../../model/axes';
import { sitesOf } from '../../../model/blocks';
import { sublayerAt } from '../../../model/groups';
import { outerSite, type Site } from '../../../model/sublayers';
import { feeds } from '../../../options/refit';
import { type Layer, widthOf } from '../../../spec/widths';
import { choosesExperts, isOfExperts, refitsExperts } from '../experts';
import { refitsInputs, solvesSequentially } from '../solve';
import { sharesTokens } from '../team-pass';
import { channelTurnNeeds, expertRefitNeeds, trialsNeeds } from './experts';
import {
  eachBlock,
  keptMetrics,
  layerOf,
  needsOf,
  type PlanInput,
  problemOf,
  type StageNeeds,
} from './stage';
import { encodeNeeds } from './write';

/** Hidden states on their way through the blocks. */
interface Stream {
  /** Of the calibration tokens; null where a method scores without them. */
  states: Tokens | null;
  /** One window that runs through what will be in the file. */
  check: Tokens;
  feedback: boolean;
}

export function solveNeeds(input: PlanInput, paged: boolean): StageNeeds {
  const { refit, tokens, window } = input;
  const ask = needsOf(input, paged);
  const feedback = feeds(refit);
  const calibrates = input.gather.inputs !== 'survey';
  const states = calibrates ? { rows: tokens, window, paged, share: shareOf(input) } : null;
  const check = { rows: window, window, paged: false };
  const stream: Stream = { states, check, feedback };
  const rows = states ? heldRows(states) : 0;
  const all = ask.states(rows);
  const inputs = ask.blockInput(rows);
  const held = states && !paged ? together(all, feedback ? all : NOTHING) : NOTHING;
  const needs = together(
    held,
    ask.states(window),
    inTurn(
      states ? ask.ends('embed', states) : NOTHING,
      eachBlock(input, (block) => blockNeeds(input, ask, block, stream)),
      ask.ends('embed', check),
      ask.ends('score', check),
    ),
  );
  const metrics = keptMetrics(input);
  const kept = calibrates ? keptOfTokens(input, ask, rows) : 0;
  const inTiles = needs.scratch > 0;
  const spilt = paged && calibrates;
  const copies = input.layers.some((layer) => copiesStates(input, layer));
  return {
    needs,
    scratch:
      kept +
      metrics +
      (spilt
        ? (feedback ? 3 : copies ? 2 : 1) * all.memory + (feedback ? 3 : 1) * inputs.memory
        : 0),
    paged: [
      ...(kept > 0 ? ['inputs of the site at hand'] : []),
      ...(spilt ? ['hidden states'] : []),
      ...(metrics > 0 ? ['Fisher metrics'] : []),
      ...(inTiles ? ['Gram matrices and factors', 'weights of the block at hand'] : []),
    ],
  };
}

/** The rank's, where the ranks share the tokens. */
function shareOf(input: PlanInput): Tokens['share'] {
  const { engine, rank, gather } = input;
  if (!rank?.sharesTokens) return undefined;
  const solving = { gather, metrics: keptMetrics(input) > 0, idle: false };
  if (!sharesTokens({ team: rank, device: engine.device }, solving)) return undefined;
  return { rank: rank.rank, ranks: rank.size };
}

/** Whether a site's inputs are kept to take the states on; what runsAgain says of the session that there will be. */
function keepsInputs(input: PlanInput, layer: Layer): boolean {
  const { architecture, engine } = input;
  const again =
    refitsInputs(input, architecture, layer) ||
    engine.device !== 'cpu' ||
    isOfExperts(architecture, layer);
  return solvesSequentially(input) && !again;
}

/** Whether the states before experts are kept while they go on through the dense layer. */
function copiesStates(input: PlanInput, layer: Layer): boolean {
  return isOfExperts(input.architecture, layer) && !solvesSequentially(input);
}

/** Bytes of what the widest site keeps of so many tokens in scratch. */
function keptOfTokens(input: PlanInput, ask: NeedsOf, tokens: number): number {
  const { architecture, layers } = input;
  const widths = layers.map((layer) => {
    if (refitsInputs(input, architecture, layer)) {
      return ffnInputs(architecture) + architecture.hidden;
    }
    if (choosesExperts(architecture, layer)) return refitsExperts(input) ? architecture.hidden : 0;
    return keepsInputs(input, layer) ? widthOf(layer) : 0;
  });
  return ask.matrix(tokens, Math.max(0, ...widths)).memory;
}

function blockNeeds(input: PlanInput, ask: NeedsOf, block: number, stream: Stream): Needs {
  const { states, check } = stream;
  const sites = sitesOf(input.architecture, block).map((site) => {
    const checked = together(ask.blockInput(check.rows), ask.site(block, site, check));
    return states ? inTurn(checked, siteNeeds(input, ask, block, site, states, stream)) : checked;
  });
  return together(ask.block(block), inTurn(...sites, encodeNeeds(ask, block)));
}

/** Sums over the states, the solve, and the states' way through what it made. */
function siteNeeds(
  input: PlanInput,
  ask: NeedsOf,
  block: number,
  site: Site,
  states: Tokens,
  { feedback }: Stream,
): Needs {
  const { architecture, gather, layers, removed } = input;
  const at = layerOf(input, block, site);
  const on = ask.site(block, site, states);
  const inside = insideOf(input, block, site);
  const dense = feedback ? on : NOTHING;
  // Where sublayers read the block's input side by side: what states keep of it.
  const rows = heldRows(states);
  const kept = states.paged ? NOTHING : ask.blockInput(rows);
  const keptDense = feedback ? kept : NOTHING;
  const passed = (needs: Needs) => together(kept, keptDense, needs);
  const ofExperts =
    at === null ? inside : [at, ...inside].filter((l) => isOfExperts(architecture, layers[l]!));
  if (ofExperts.some((l) => removed?.[l] !== 0)) {
    return inTurn(expertsNeeds(input, ask, ofExperts, states), on);
  }
  if (at === null || (removed?.[at] === 0 && !feedback)) return passed(inTurn(on, dense));
  const layer = layers[at]!;
  // What is gone is passed by.
  if (removed?.[at] === layer.groups) {
    return passed(solvesSequentially(input) ? dense : inTurn(on, dense));
  }
  const gram = gather.statistics === 'gram';
  const refits = refitsInputs(input, architecture, layer);
  const keeps = keepsInputs(input, layer);
  const inputs = refits ? ffnInputs(architecture) : 0;
  const sums = { gram, residual: feedback ? architecture.hidden : 0 };
  // The dense states before the site.
  const copy = feedback && !states.paged ? ask.states(rows) : NOTHING;
  const goesOn = keeps ? ask.applySite(block, site, states) : on;
  const sequential = solvesSequentially(input);
  const reads = sublayerAt(architecture, block, site).input === 'read';
  // The states' own comes as they go on through the first sublayer. The dense ones' is there by then, or in their copy.
  const own = reads || !sequential ? together(kept, keptDense) : keptDense;
  // What the states go on by, until they have.
  const inputsKept = keeps && !states.paged ? ask.matrix(rows, widthOf(layer)) : NOTHING;
  const solve = together(
    copy,
    own,
    ask.statistics(widthOf(layer), sums),
    inTurn(
      ask.site(block, site, states, { collects: true, gram, feedback, keeps, inputs }),
      gram ? together(inputsKept, solverNeeds(input, ask, at, feedback)) : NOTHING,
      sequential ? together(reads ? NOTHING : kept, goesOn) : NOTHING,
    ),
  );
  const refit = refits ? inputRefitNeeds(input, ask, at, states) : NOTHING;
  return inTurn(
    reads ? together(copy, own, keptDense, dense) : together(keptDense, dense),
    copyOf(ask, states, feedback),
    solve,
    together(copy, own, refit),
  );
}

/** Whole experts, channels inside those that stay, or both. `places`: of the layers. */
function expertsNeeds(
  input: PlanInput,
  ask: NeedsOf,
  places: readonly number[],
  states: Tokens,
): Needs {
  const { layers, removed } = input;
  const going = places.filter((at) => removed?.[at] !== 0);
  const [whole, inside] = [true, false].map((is) =>
    going.filter((at) => isWhole(input, at) === is),
  );
  const all = inTurn(
    ...whole!.map((at) =>
      ofRemovals(input, at, 1, (gone) => choiceNeeds(input, ask, at, gone, states)),
    ),
    inside!.length > 0 ? turnNeeds(input, ask, inside!, places, states) : NOTHING,
  );
  if (!copiesStates(input, layers[places[0]!]!)) return all;
  const copy = states.paged ? NOTHING : ask.states(heldRows(states));
  return inTurn(ask.copyStates(states), together(copy, all));
}

/** Passes over the states that choose among experts, and the turns of those that stay in their refit. */
function choiceNeeds(
  input: PlanInput,
  ask: NeedsOf,
  at: number,
  gone: number,
  states: Tokens,
): Needs {
  const { mask } = input;
  const layer = input.layers[at]!;
  const refits = refitsExperts(input);
  const trials = trialsNeeds(ask, layer, passesOf(mask.experts!, gone), states, refits);
  return refits ? inTurn(trials, expertRefitNeeds(input, ask, layer, gone, states)) : trials;
}

/** Places of experts, channels of which may go, that run inside the site. */
function insideOf({ layers }: PlanInput, block: number, outer: Site): number[] {
  return [...layers.keys()].filter(
    (at) => layers[at]!.block === block && isInside(layers[at]!, outer),
  );
}

function isInside({ site }: Layer, outer: Site): boolean {
  return site !== outer && outerSite(site) === outer;
}

/** Each of those experts that stay in turn: its sums, and its solve. `places`: of all layers of experts. */
function turnNeeds(
  input: PlanInput,
  ask: NeedsOf,
  inside: readonly number[],
  places: readonly number[],
  states: Tokens,
): Needs {
  const { gather, layers } = input;
  const first = inside[0]!;
  const layer = layers[first]!;
  const turns = (left: number) =>
    times(
      left,
      channelTurnNeeds(ask, layer, left, states, {
        gram: gather.statistics === 'gram',
        solve: () => solverNeeds(input, ask, first, false),
      }),
    );
  const whole = places.find((at) => isWhole(input, at));
  if (whole === undefined) return turns(inside.length);
  const { groups } = layers[whole]!;
  return ofRemovals(input, whole, 0, (gone) => turns(groups - gone));
}

function isWhole({ architecture, layers }: PlanInput, at: number): boolean {
  return choosesExperts(architecture, layers[at]!);
}

function copyOf(ask: NeedsOf, states: Tokens, feedback: boolean): Needs {
  return feedback ? ask.copyStates(states) : NOTHING;
}

/** Of a number of removals that is known, or of the worst, with the work of a guess. */
function ofRemovals(
  { removed, evenly }: PlanInput,
  at: number,
  worst: number,
  needs: (removed: number) => Needs,
): Needs {
  if (removed) return needs(removed[at]!);
  return { ...needs(worst), flops: needs(evenly[at]!).flops };
}

/** The site's mask and its refit. */
export function solverNeeds(input: PlanInput, ask: NeedsOf, at: number, cross: boolean): Needs {
  const { architecture, mask, refit, layers } = input;
  const layer = layers[at]!;
  const fisher = mask.metric === 'fisher';
  const problem = problemOf(architecture, layer, { cross, fisher });
  const columns = (groups: number) => groups * layer.groupSize;
  const { groups, allowed } = layer;
  const steps = stepsOf(mask);
  const sweep = (removed: number) => ask.sweep(problem, columns(removed));
  const swap = (removed: number) => ask.swap(problem, columns(groups - removed));
  const fit = (removed: number) =>
    refit.output === 'exact'
      ? ask.refit(problem, columns(groups - removed))
      : ask.slice(problem, columns(groups - removed));
  return inTurn(
    ask.solver('createSolver', problem),
    steps.includes('sweep') ? searchNeeds(input, at, allowed.at(-1)!, sweep) : NOTHING,
    steps.includes('admm') ? ask.solver('admm', problem) : NOTHING,
    mask.swaps > 0 ? searchNeeds(input, at, 1, swap) : NOTHING,
    ofRemovals(input, at, 0, fit),
  );
}

/** A search among removals; none where nothing is to go. */
function searchNeeds(
  input: PlanInput,
  at: number,
  worst: number,
  needs: (removed: number) => Needs,
): Needs {
  return input.removed?.[at] === 0 ? NOTHING : ofRemovals(input, at, worst, needs);
}

function inputRefitNeeds(input: PlanInput, ask: NeedsOf, at: number, states: Tokens): Needs {
  const { architecture, layers } = input;
  const { inputs: by } = input.refit;
  if (by.by === 'none') return NOTHING;
  const layer = layers[at]!;
  const refit = {
    inputs: ffnInputs(architecture),
    taken: by.tokens,
    rounds: by.by === 'auxiliary' ? by.iterations : by.rounds,
    steps: by.by === 'auxiliary' ? null : by.steps,
  };
  const tokens = { ...states, paged: true };
  return ofRemovals(input, at, 0, (removed) => {
    const channels = layer.groups - removed;
    return ask.inputRefit(layer, { channels, tokens, ...refit });
  });
}
