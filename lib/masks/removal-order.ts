/**
 * One order in which the groups of all layers go, by importances that are measured anew on what is left, as in GISP
 * (arXiv 2510.18030): what goes for less sparsity is a beginning of it, so one order serves them all.
 */
import { FirstOf } from '../allocation/first-of';
import { inTurns, type Steps } from '../turns';
import { worstFirst } from './select';

/** Importances are measured so many times at most. */
const TIMES = 24;
/** Such a share of all weights goes after each; after the last one all that may. */
export const STEP = 1 / 32;

export interface OrderedLayer {
  groups: number;
  /** Weights in a group. */
  cost: number;
  /** Removal counts, ascending: no more groups go than the last one. */
  allowed: Int32Array;
}

/** How often importances are measured: less where so little may go that all has gone before. */
export function timesMeasured(layers: readonly OrderedLayer[]): number {
  const most = layers.reduce((sum, { cost, allowed }) => sum + cost * allowed.at(-1)!, 0);
  return Math.min(TIMES, 1 + Math.floor(most / (STEP * weightsOf(layers))));
}

function weightsOf(layers: readonly OrderedLayer[]): number {
  return layers.reduce((sum, { groups, cost }) => sum + groups * cost, 0);
}

/** Of every layer the groups that stay, ascending. */
export type Kept = readonly Int32Array[];

/**
 * `[layers][groups]` which share of all weights goes before a group does; 1 where it may not go. Those of the least
 * importance a weight go first, of equal ones those of earlier layers, and of higher indices in a layer. `importances`:
 * `[layers][groups that stay]` in the network without the others, for the nth time.
 */
export async function removalOrder(
  layers: readonly OrderedLayer[],
  importances: (kept: Kept, nth: number) => Promise<Float64Array[]>,
): Promise<Float64Array[]> {
  const total = weightsOf(layers);
  const times = timesMeasured(layers);
  const order = layers.map(({ groups }) => new Float64Array(groups).fill(1));
  let kept: Kept = order.map((groups) => Int32Array.from(groups.keys()));
  let gone = 0;

  function* remove(values: Float64Array[], upTo: number): Steps<void> {
    const worst: number[][] = [];
    for (const of of values) {
      worst.push(worstFirst(of));
      yield;
    }
    const counts = new Int32Array(layers.length);
    const nextOf = (at: number) => {
      const { groups, cost, allowed } = layers[at]!;
      const more = groups - kept[at]!.length + counts[at]! < allowed.at(-1)!;
      return more ? values[at]![worst[at]![counts[at]!]!]! / cost : Number.POSITIVE_INFINITY;
    };
    const keys = Float64Array.from(layers.keys(), nextOf);
    const first = new FirstOf(keys);
    while (gone < upTo && keys[first.index]! < Number.POSITIVE_INFINITY) {
      const at = first.index;
      const place = worst[at]![counts[at]!++]!;
      order[at]![kept[at]![place]!] = gone / total;
      gone += layers[at]!.cost;
      keys[at] = nextOf(at);
      first.changed();
      yield;
    }
    kept = worst.map((places, at) =>
      Int32Array.from(places.slice(counts[at]), (place) => kept[at]![place]!).sort(),
    );
  }

  for (let nth = 1; nth <= times; nth++) {
    const upTo = nth < times ? nth * STEP * total : Number.POSITIVE_INFINITY;
    await inTurns(remove(await importances(kept, nth), upTo));
  }
  return order;
}
