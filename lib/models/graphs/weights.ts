/** How much of a network's maps can shrink, and what holds the rest. */
import { elements } from '../../model/axes';
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

/** A table that is looked up multiplies nothing. */
export function multiplies({ node }: Network['roles'][number]): boolean {
  return node.opType !== 'Gather';
}

/** By their names. */
export function mapsOf({ roles, unknown, values }: Network): Map<string, Value> {
  const nodes = unknown.map(({ node }) => node).filter(({ opType }) => OPS.includes(opType));
  const read = nodes.flatMap(({ input }) => input.map((name) => values.get(name)));
  const maps = read.filter((value) => value?.tensor && value.dims!.length > 1) as Value[];
  const multiplied = roles.filter(multiplies).map(({ map }) => map);
  return new Map([...multiplied, ...maps].map((map) => [map.name, map]));
}

export function weightsOf(network: Network): Weights {
  const { axes } = network;
  const weights: Weights = { all: 0, exact: 0, mixed: 0, pinned: new Map() };
  for (const map of mapsOf(network).values()) {
    const size = elements((map.dims ?? []).map(Number));
    let [held, inexact] = [1, 1];
    const reasons = new Map<string, number>();
    for (const axis of map.axes) {
      const length = axes.size(axis);
      let [pinned, mixed] = [0, 0];
      for (let i = 0; i < length; i++) {
        const unit = axes.unit(axis, i);
        const reason = axes.pinnedBy(unit);
        if (reason !== undefined) {
          pinned++;
          reasons.set(reason, (reasons.get(reason) ?? 0) + 1 / length);
        } else if (axes.mixedBy(unit) !== undefined) mixed++;
      }
      held *= length === 0 ? 1 : pinned / length;
      inexact *= length === 0 ? 1 : (pinned + mixed) / length;
    }
    weights.all += size;
    weights.exact += size * (1 - inexact);
    weights.mixed += size * (inexact - held);
    share(weights.pinned, reasons, size * held);
  }
  return weights;
}

/** Splits what is held among its reasons. */
function share(pinned: Weights['pinned'], reasons: Map<string, number>, weights: number): void {
  if (weights === 0) return;
  const total = [...reasons.values()].reduce((a, b) => a + b, 0);
  for (const [reason, part] of reasons) {
    pinned.set(reason, (pinned.get(reason) ?? 0) + (weights * part) / total);
  }
}
