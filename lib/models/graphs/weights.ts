/** How much of a network's maps can shrink, and what holds the rest. */
import type { Network } from './relate';
import type { Value } from './value';

/** Elements of maps: of convolutions, products and recurrent layers. */
export interface Weights {
  all: number;
  /** With an axis that can shrink without changing the others' values. */
  exact: number;
  /** With an axis that can shrink, but only one that something else is computed across. */
  mixed: number;
  /** The rest, by the reasons why its axes stay. */
  pinned: Map<string, number>;
}

/** Ops whose constants are maps, where they are not understood too. */
const OPS = ['Conv', 'ConvTranspose', 'Einsum', 'GRU', 'Gemm', 'LSTM', 'MatMul', 'RNN'];

/** By their names. A table that is looked up is none. */
export function mapsOf({ roles, unknown, values }: Network): Map<string, Value> {
  const nodes = unknown.map(({ node }) => node).filter(({ opType }) => OPS.includes(opType));
  const read = nodes.flatMap(({ input }) => input.map((name) => values.get(name)));
  const maps = read.filter((value) => value?.tensor && value.dims!.length > 1) as Value[];
  const multiplied = roles.filter(({ node }) => node.opType !== 'Gather').map(({ map }) => map);
  return new Map([...multiplied, ...maps].map((map) => [map.name, map]));
}

export function weightsOf(network: Network): Weights {
  const { axes } = network;
  const weights: Weights = { all: 0, exact: 0, mixed: 0, pinned: new Map() };
  for (const map of mapsOf(network).values()) {
    const elements = (map.dims ?? []).reduce<number>((total, dim) => total * Number(dim), 1);
    let [held, inexact] = [1, 1];
    const reasons = new Map<string, number>();
    for (const axis of map.axes) {
      const size = axes.size(axis);
      let [pinned, mixed] = [0, 0];
      for (let i = 0; i < size; i++) {
        const unit = axes.unit(axis, i);
        const reason = axes.pinnedBy(unit);
        if (reason !== undefined) {
          pinned++;
          reasons.set(reason, (reasons.get(reason) ?? 0) + 1 / size);
        } else if (axes.mixedBy(unit) !== undefined) mixed++;
      }
      held *= size === 0 ? 1 : pinned / size;
      inexact *= size === 0 ? 1 : (pinned + mixed) / size;
    }
    weights.all += elements;
    weights.exact += elements * (1 - inexact);
    weights.mixed += elements * (inexact - held);
    share(weights.pinned, reasons, elements * held);
  }
  return weights;
}

/** Splits what is held among its reasons. */
function share(pinned: Weights['pinned'], reasons: Map<string, number>, elements: number): void {
  if (elements === 0) return;
  const total = [...reasons.values()].reduce((a, b) => a + b, 0);
  for (const [reason, part] of reasons) {
    pinned.set(reason, (pinned.get(reason) ?? 0) + (elements * part) / total);
  }
}
