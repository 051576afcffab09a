/** Weights and parameters of a network from which units are gone, before it is known which. */
import { elements } from '../../../model/axes';
import type { Network } from '../relate';
import type { Site } from '../sites';
import { mapsOf } from '../weights';

interface Counted {
  dims: readonly number[];
  /** Whether it is a map: weights of convolutions, products and recurrent layers count as such. */
  isMap: boolean;
  /** Rows that one sample multiplies it with. */
  rows: number;
  /** By the site's place: positions of an axis that go with a unit. */
  cuts: { site: number; axis: number; each: number }[];
}

export interface Amounts {
  weights: number;
  parameters: number;
  /** Of maps, for one sample; 0 where their rows are not known. */
  multiplyAdds: number;
}

export class Counts {
  private readonly tensors: Counted[];

  /** `rows`: of each map (`rowsOfMaps`). */
  constructor(network: Network, sites: readonly Site[], rows?: ReadonlyMap<string, number>) {
    const maps = mapsOf(network);
    const counted = new Map<string, Counted>();
    for (const { name, dims, constant, tensor } of network.values.values()) {
      if (!constant || !dims || !(tensor || maps.has(name))) continue;
      counted.set(name, {
        dims: dims.map(Number),
        isMap: maps.has(name),
        rows: rows?.get(name) ?? 0,
        cuts: [],
      });
    }
    sites.forEach(({ along, units }, site) => {
      for (const { value, axis, positions } of along) {
        const each = positions.length / units;
        counted.get(value.name)?.cuts.push({ site, axis, each });
      }
    });
    this.tensors = [...counted.values()];
  }

  /** `removed`: units that are gone, a number a site; none where left out. */
  after(removed?: ArrayLike<number>): Amounts {
    const amounts = { weights: 0, parameters: 0, multiplyAdds: 0 };
    for (const { dims, isMap, rows, cuts } of this.tensors) {
      const left = [...dims];
      for (const { site, axis, each } of cuts) left[axis]! -= each * (removed?.[site] ?? 0);
      const size = elements(left);
      amounts.parameters += size;
      if (isMap) amounts.weights += size;
      amounts.multiplyAdds += size * rows;
    }
    // Of the last batch a sample has a part alone.
    amounts.multiplyAdds = Math.round(amounts.multiplyAdds);
    return amounts;
  }
}
