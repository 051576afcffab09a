/** Weights and parameters of a network from which units are gone, before it is known which. */
import { elements } from '../../../model/axes';
import type { Network } from '../relate';
import type { Site } from '../sites';
import { mapsOf } from '../weights';
import type { Factored } from './factored';

interface Counted {
  dims: readonly number[];
  /** Whether it is a map: weights of convolutions, products and recurrent layers count as such. */
  isMap: boolean;
  /** What is computed from tensors is none that the file holds. */
  isStored: boolean;
  /** Rows that one sample multiplies it with. */
  rows: number;
  /** By the site's place: positions of an axis that go with a unit. */
  cuts: { site: number; axis: number; each: number }[];
  /** Written only where one of these sites is cut. */
  onlyWith?: readonly number[];
}

/** A map as two, of which what is smaller is written: they, or their product. */
interface Pair {
  down: Counted;
  up: Counted;
  /** Of `down`. */
  rankAxis: number;
}

export interface Amounts {
  weights: number;
  parameters: number;
  /** Of maps, for one sample; 0 where their rows are not known. */
  multiplyAdds: number;
}

export class Counts {
  private readonly tensors: Counted[];
  /** By the name of the second of the two. */
  private readonly pairs: ReadonlyMap<string, Pair>;

  /** `rows`: of each map (`rowsOfMaps`); `added`: biases that are written only where a refit has changed them (`changers`). */
  constructor(
    network: Network,
    sites: readonly Site[],
    {
      rows,
      factored = [],
      added,
    }: {
      rows?: ReadonlyMap<string, number>;
      factored?: readonly Factored[];
      added?: ReadonlyMap<string, readonly number[]>;
    } = {},
  ) {
    const maps = mapsOf(network);
    const counted = new Map<string, Counted>();
    const values = new Map([...network.values, ...maps]).values();
    for (const { name, dims, constant, tensor } of values) {
      if (!constant || !dims || !(tensor || maps.has(name))) continue;
      counted.set(name, {
        dims: dims.map(Number),
        isMap: maps.has(name),
        isStored: tensor !== undefined,
        rows: rows?.get(name) ?? 0,
        cuts: [],
        ...(added?.has(name) && { onlyWith: added.get(name)! }),
      });
    }
    sites.forEach(({ along, units }, site) => {
      for (const { value, axis, positions } of along) {
        const each = positions.length / units;
        counted.get(value.name)?.cuts.push({ site, axis, each });
      }
    });
    const take = (name: string) => {
      const one = counted.get(name)!;
      counted.delete(name);
      return one;
    };
    this.pairs = new Map(
      factored.map(({ down, up, between, outFirst }) => {
        if (between) counted.delete(between.name);
        const pair = { down: take(down.name), up: take(up.name), rankAxis: outFirst ? 0 : 1 };
        return [up.name, pair];
      }),
    );
    this.tensors = [...counted.values()];
  }

  /** `removed`: units that are gone, a number a site; none where left out. */
  after(removed?: ArrayLike<number>): Amounts {
    const amounts = { weights: 0, parameters: 0, multiplyAdds: 0 };
    const add = (size: number, { isMap, isStored, rows }: Counted) => {
      if (isStored) amounts.parameters += size;
      if (isMap) amounts.weights += size;
      amounts.multiplyAdds += size * rows;
    };
    for (const tensor of this.tensors) {
      const { onlyWith } = tensor;
      if (onlyWith && !onlyWith.some((site) => removed?.[site])) continue;
      add(elements(leftOf(tensor, removed)), tensor);
    }
    for (const pair of this.pairs.values()) {
      const { rank, whole, each, out } = sizesOf(pair, removed);
      const size = Math.min(whole, rank * each);
      if (pair.down.isMap) add(size, pair.up);
      else {
        // A table multiplies nothing, the second of two does.
        amounts.parameters += size;
        if (size < whole) amounts.multiplyAdds += rank * out * pair.up.rows;
      }
    }
    // Of the last batch a sample has a part alone.
    amounts.multiplyAdds = Math.round(amounts.multiplyAdds);
    return amounts;
  }

  /** Of a map as two: weights or multiply-adds of the whole, and of a rank. `up`: the name of the second. */
  ofRanks(
    up: string,
    priced: 'weights' | 'multiplyAdds',
    removed?: ArrayLike<number>,
  ): { whole: number; each: number } {
    const pair = this.pairs.get(up)!;
    const { whole, each } = sizesOf(pair, removed);
    const times = priced === 'weights' ? 1 : pair.up.rows;
    return { whole: whole * times, each: each * times };
  }
}

function leftOf({ dims, cuts }: Counted, removed?: ArrayLike<number>): number[] {
  const left = [...dims];
  for (const { site, axis, each } of cuts) left[axis]! -= each * (removed?.[site] ?? 0);
  return left;
}

/** Elements of the product of both, and in both of a rank. */
function sizesOf({ down, up, rankAxis }: Pair, removed?: ArrayLike<number>) {
  const [first, second] = [down, up].map((each) => leftOf(each, removed)) as [number[], number[]];
  const rank = first[rankAxis]!;
  const [columns, out] = [elements(first) / rank, elements(second) / rank];
  return { rank, whole: columns * out, each: columns + out, out };
}
