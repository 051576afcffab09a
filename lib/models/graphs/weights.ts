/** How much of a network's maps can shrink, and what holds the rest. */
import type { Network } from './relate';

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

export function weightsOf({ axes, roles }: Network): Weights {
  const weights: Weights = { all: 0, exact: 0, mixed: 0, pinned: new Map() };
  for (const map of new Set(roles.map((role) => role.map))) {
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
