/**
 * Whole experts, and channels inside those that stay: one number of each for all layers, since stock classes know no more
 * (docs/decisions/0048): of the pairs that suffice the one with the least predicted loss is taken. Or a pair a layer, each a choice
 * of its block as a width is of a site (docs/decisions/0053).
 */
import type { Choices } from '../choices/types';
import { beyondTarget, checkBudget } from './sites';
import type { AllocationLayer, Budget, UniformAllocation } from './types';

/** With its block, whose `experts` stand before those inside. */
export type PairedLayer = AllocationLayer & { block: number };

/** So many experts of every layer, and so many channels of each that stays. */
interface Pair {
  removed: Int32Array;
  weights: number;
  /** By curves; else the larger of both shares, as a guess. */
  loss: number;
}

/**
 * `removed` has the channels at the first experts of every block, as many as stay: which ones do is not known yet.
 * @throws StruPruneError ERR_ARGUMENT where the budget cannot be met
 */
export function allocatePairs(layers: readonly PairedLayer[], budget: Budget): UniformAllocation {
  const pairs = pairsOf(layers);
  const enough = pairs.filter((pair) => suffices(pair, budget));
  if (enough.length === 0) throw shortOf(layers, pairs, budget);
  const best = enough.reduce((least, pair) => (isBetter(pair, least) ? pair : least));
  const { removed, weights: removedWeights, loss } = best;
  const measured = layers.every(({ curve }) => curve !== null);
  return {
    rule: 'uniform',
    removed,
    sparsities: Float64Array.from(layers, ({ groups }, l) => removed[l]! / groups),
    removedWeights,
    predictedError: measured ? loss : null,
  };
}

function isBetter(a: Pair, b: Pair): boolean {
  return a.loss < b.loss || (a.loss === b.loss && a.weights < b.weights);
}

function suffices({ removed, weights }: Pair, { remove, counted }: Budget): boolean {
  if (!counted?.freed) return weights >= remove;
  return counted.now - counted.freed(removed) <= counted.keep;
}

/** Blocks as sites, whose choices are pairs. */
export interface PairedSites {
  sites: Choices[];
  /** Groups that go of every layer, by the places of the pairs. */
  removedBy(places: Int32Array): Int32Array;
}

export function pairedSites(layers: readonly PairedLayer[]): PairedSites {
  const blocks = [...new Set(layers.map(({ block }) => block))].map((block) => {
    const at = [...layers.keys()].filter((l) => layers[l]!.block === block);
    return { at, pairs: front(pairsOf(at.map((l) => layers[l]!))) };
  });
  return {
    sites: blocks.map(({ at, pairs }) => asChoices(layers[at[0]!]!, pairs)),
    removedBy(places) {
      const removed = new Int32Array(layers.length);
      for (const [i, { at, pairs }] of blocks.entries()) {
        pairs[places[i]!]!.removed.forEach((count, k) => {
          removed[at[k]!] = count;
        });
      }
      return removed;
    },
  };
}

/** Those that no other beats: ascending in what they free and in what they lose, the first one frees nothing. */
function front(pairs: readonly Pair[]): Pair[] {
  const kept: Pair[] = [];
  for (const pair of pairs.toSorted((a, b) => b.weights - a.weights || a.loss - b.loss)) {
    const last = kept.at(-1);
    if (last && pair.weights === last.weights) continue;
    if (!last || pair.loss < last.loss || pair.weights === 0) kept.push(pair);
  }
  return kept.reverse();
}

/** `whole`: the experts of the block. */
function asChoices(whole: PairedLayer, pairs: readonly Pair[]): Choices {
  const weights = Float64Array.from(pairs, (pair) => pair.weights);
  const all = whole.cost * whole.groups;
  const place = (share: number) => weights.findLastIndex((freed) => freed <= share * all);
  return {
    ...{ scope: 'experts', groups: pairs.length, whole: all, cost: whole.cost },
    ...{ removed: Int32Array.from(pairs.keys()), freed: weights, weights },
    loss: whole.curve && Float64Array.from(pairs, ({ loss }) => loss),
    lossOf: (share) => pairs[place(share)]!.loss,
  };
}

function pairsOf(layers: readonly PairedLayer[]): Pair[] {
  const [whole, inside] = ['experts', 'expert-channels'].map((kind) =>
    layers.filter(({ scope }) => scope === kind),
  );
  const narrowings = common(inside!);
  return common(whole!).flatMap((gone) =>
    narrowings.map((narrowed) => pairOf(layers, gone, narrowed)),
  );
}

/** Removals that all of them allow; none without any. */
function common(layers: readonly PairedLayer[]): number[] {
  if (layers.length === 0) return [0];
  return [...layers[0]!.allowed].filter((count) =>
    layers.every(({ allowed }) => allowed.includes(count)),
  );
}

function pairOf(layers: readonly PairedLayer[], gone: number, narrowed: number): Pair {
  const removed = new Int32Array(layers.length);
  let left = 0;
  let loss = 0;
  let share = 0;
  for (const [l, { scope, groups, curve, weight }] of layers.entries()) {
    const whole = scope === 'experts';
    if (whole) left = groups - gone;
    const count = whole ? gone : narrowed;
    removed[l] = whole || left-- > 0 ? count : 0;
    // Tokens of experts that go pass others: all are counted, whichever stay.
    loss += curve ? weight * curve[count]! : 0;
    share = Math.max(share, count / groups);
  }
  const weights = layers.reduce((sum, { cost }, l) => sum + cost * removed[l]!, 0);
  return { removed, weights, loss: layers[0]!.curve ? loss : share };
}

function shortOf(layers: readonly PairedLayer[], pairs: readonly Pair[], budget: Budget): unknown {
  const most = pairs.reduce((a, b) => (b.weights > a.weights ? b : a));
  const experts = layers.filter(({ scope }) => scope === 'experts');
  const all: Choices = {
    ...{ scope: 'experts', groups: 1, cost: most.weights, loss: null, lossOf: () => 0 },
    whole: experts.reduce((sum, { cost, groups }) => sum + cost * groups, 0),
    removed: Int32Array.of(0, 1),
    freed: Float64Array.of(0, most.weights),
    weights: Float64Array.of(0, most.weights),
  };
  const { counted } = budget;
  if (!counted?.freed) checkBudget([all], budget);
  const least = Math.ceil(counted!.now - counted!.freed!(most.removed));
  return beyondTarget([all], budget, { least, most: most.weights });
}
